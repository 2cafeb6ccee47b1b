"""Slips of a model's code, each in a real child: what is said, and what to write."""

import pickle
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner, RunnerError
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, Report
from runner.diagnosis.slips import slip

TOP = "import json, os, subprocess, sys\nfrom datetime import date\n"


def report_of(folder: Path, cache: Path, body: str, top: str = "") -> Report:
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(
        f"{TOP}{top}\ndef wire(entrypoint, params, seed):\n    {body}\n    return {{'x': b''}}\n"
    )
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(folder, params={"beta": 0.3})
    return caught.value.report


@pytest.mark.parametrize(
    ("body", "summary", "hint"),
    [
        ("np.zeros(3)", "uses np, which is not imported there", "import numpy as np"),
        ("math.exp(1)", "uses math, which is not imported there", "import math"),
        ("nothing", "NameError in wire.py", "see wire.py"),
        ("params.beta", "reads params.beta of a dict", 'write params["beta"]'),
        ("params.iterate()", "AttributeError in wire.py", "see wire.py"),
        ("json.dumps({1, 2})", "puts a value of type set into JSON", "sorted(...)"),
        ("json.dumps(date.today())", "puts a value of type date into JSON", ".isoformat()"),
        ("json.dumps(object())", "puts a value of type object into JSON", "make it of dicts"),
        ("json.load(sys.stdin)", "reads its standard input", 'params["name"]'),
        ("__import__('locale').setlocale(0, 'tlh_QO')", "does not have the locale", "'C.UTF-8'"),
        (
            "__import__('sqlite3').connect('r.db').execute('select * from runs')",
            "for the table 'runs', and the bundle has no r.db",
            "put r.db into the bundle",
        ),
        ("input('days? ')", "asks for input on a terminal", 'params["name"]'),
        ("sys.argv[7]", "reads a command line, and a task has none", "take the values from params"),
        ("subprocess.run(['no-such-tool'])", "starts the program no-such-tool, which this worker",
         "install no-such-tool"),
        ("subprocess.run(['dir'], cwd='/no/where')", "FileNotFoundError", "see wire.py"),
    ],
)  # fmt: skip
def test_a_slip_is_said_with_what_to_write(
    body: str, summary: str, hint: str, tmp_path: Path, cache: Path
) -> None:
    report = report_of(tmp_path / "b", cache, body)
    assert report.code == "task-raised"
    assert summary in report.summary and hint in report.hints[0].title


@pytest.mark.parametrize("captured", ["capture_output=True", "capture_output=True, text=True", ""])
def test_a_program_that_fails_says_why_where_it_was_captured(
    captured: str, tmp_path: Path, cache: Path
) -> None:
    command = f"[{sys.executable!r}, '-c', 'raise SystemExit(\"no \" + \"licence\")']"
    report = report_of(tmp_path / "b", cache, f"subprocess.run({command}, check=True, {captured})")
    assert f"`{shlex.quote(sys.executable)} -c " in report.summary
    assert "which wire.py:5 (wire) starts, ended with status 1" in report.summary
    assert ("no licence" in report.summary) == bool(captured)
    assert report.evidence.stderr is None or captured or "no licence" in report.evidence.stderr.text


def test_what_a_program_says_is_bounded(tmp_path: Path, cache: Path) -> None:
    command = f"[{sys.executable!r}, '-c', 'raise SystemExit(\"x\" * 100000 + \" the end\")']"
    report = report_of(
        tmp_path / "b", cache, f"subprocess.run({command}, check=True, capture_output=True)"
    )
    assert report.exception is not None
    said = str(report.exception.attributes["stderr"])
    assert len(said) == 2048 and said.rstrip().endswith("the end")


@pytest.mark.parametrize(
    "parser",
    [
        "import argparse; p = argparse.ArgumentParser(); p.add_argument('--n', required=True);"
        " p.parse_args()",
        "import optparse; p = optparse.OptionParser(); sys.argv[1:] = ['--n']; p.parse_args()",
    ],
)
def test_a_command_line_that_is_read_at_the_load_is_named(
    parser: str, tmp_path: Path, cache: Path
) -> None:
    report = report_of(tmp_path / "b", cache, "pass", parser)
    assert report.code == "child-exited" and report.phase == "load"
    assert "wire.py:3 reads a command line, and a task has none: " in report.summary
    assert "--n" in report.summary
    assert '__name__ == "__main__"' in report.hints[0].title


@pytest.mark.parametrize(
    ("line", "edit"),
    [("from .model import run", "from model import run"), ("from . import model", "import model")],
)
def test_a_relative_import_outside_of_a_package_is_by_name_then(
    line: str, edit: str, tmp_path: Path, cache: Path
) -> None:
    folder = tmp_path / "b"
    report = report_of(folder, cache, "pass", line)
    assert "imports relative to a package, and wire.py is in none" in report.summary
    change = report.hints[0].edit
    assert change is not None and (change.before, change.after) == (line, edit)
    (folder / "model.py").write_text("def run(): ...\n")
    wire = folder / "wire.py"
    wire.write_text(wire.read_text().replace(change.before, change.after))
    with Runner(cache=cache) as runner:
        assert runner.execute(folder)["x"] == b""


@pytest.mark.skipif(shutil.which("iconv") is None, reason="no iconv on this machine")
def test_a_file_in_another_encoding_is_named_and_the_command_converts_it(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "ages.csv").write_bytes("Zürich".encode("cp1252"))
    read = "open('ages.csv', encoding='utf-8').read()"
    (tmp_path / "wire.py").write_text(f"def wire(e, p, s):\n    return {{'v': {read}.encode()}}\n")
    with Runner(cache=cache) as runner:
        with pytest.raises(RunnerError) as caught:
            runner.execute(tmp_path)
        report = caught.value.report
        assert report.summary == "wire.py:2 (wire) reads ages.csv as UTF-8, which it is not"
        subprocess.run(report.hints[0].command or "false", shell=True, check=True, timeout=30)
        assert runner.execute(tmp_path)["v"] == "Zürich".encode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit('no licence')", "RuntimeError in wire.py:5 (wire): no licence"),
        ("if params: sys.exit(3)", "RuntimeError in wire.py:5 (wire): status 3"),
    ],
)
def test_a_task_that_exits_raises_instead_once_the_edit_is_made(
    body: str, said: str, tmp_path: Path, cache: Path
) -> None:
    report = report_of(tmp_path / "b", cache, body)
    assert report.code == "child-exited"
    follow(report, tmp_path / "b")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(tmp_path / "b", params={"beta": 0.3})
    assert caught.value.report.summary == said


@pytest.mark.parametrize("top", ['"Words."\nfrom __future__ import annotations\n', "# a\n"])
def test_an_import_is_put_before_the_first_statement(top: str, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"{top}def wire(e, p, s):\n    return {{'x': math.sqrt(s), 'y': Path('y').name}}\n"
    )
    with Runner(cache=cache) as runner:
        for _ in range(2):
            follow(failure(runner, tmp_path), tmp_path)
        assert runner.execute(tmp_path)["y"] == b"y"


def test_a_program_of_the_bundle_that_may_not_be_executed(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "wire.py").write_text(
        "import subprocess\ndef wire(e, p, s):\n    subprocess.run(['./run.sh'], check=True)\n"
        "    return {'x': b''}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert "starts run.sh, which may not be executed" in report.summary
        command = report.hints[0].command
        assert command is not None and command.startswith("chmod +x ")
        subprocess.run(["sh", "-c", command], check=True, timeout=10)
        assert runner.execute(tmp_path)["x"] == b""


@pytest.mark.parametrize("mode", ["", ", 'r'"])
def test_a_file_that_is_no_text_is_never_advised_to_be_recoded(
    mode: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "m.pkl").write_bytes(pickle.dumps([1] * 300, protocol=4))
    (tmp_path / "wire.py").write_text(
        f"import pickle\ndef wire(e, p, s):\n    return {{'x': pickle.load(open('m.pkl'{mode}))}}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.hints[0].command is None
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["x"].startswith(b"[1,")


def test_a_class_that_a_script_has_pickled_is_to_be_in_a_module(
    tmp_path: Path, cache: Path
) -> None:
    write = "import pickle, sys\nclass Model: pass\nsys.stdout.buffer.write(pickle.dumps(Model()))"
    pickled = subprocess.run([sys.executable, "-c", write], capture_output=True, timeout=30).stdout
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "m.pkl").write_bytes(pickled)
    (tmp_path / "wire.py").write_text(
        "import pickle\ndef wire(e, p, s):\n    return pickle.load(open('m.pkl', 'rb'))\n"
    )
    with Runner(cache=cache) as runner:
        title = failure(runner, tmp_path).hints[0].title
    assert title.startswith("a script has pickled it as its own class: define Model in a module")


# As the libraries say it, of a line that one other line mends.
@pytest.mark.parametrize(
    ("message", "line", "after"),
    [
        ("'numpy.random._generator.Generator' object has no attribute 'seed'", "rng.seed(seed + 1)",
         "rng.bit_generator.state = np.random.default_rng(seed + 1).bit_generator.state"),
        ("cannot unpack non-iterable float object", "s = odeint(sir, y0, days, args=(0.3,))",
         "s = odeint(sir, y0, days, args=(0.3,), tfirst=True)"),
        ("_parse_args_rvs() got an unexpected keyword argument 'shape'",
         "x = stats.gamma.rvs(shape=2.0, scale=3.0)", "x = stats.gamma.rvs(2.0, scale=3.0)"),
        ('time data "13/02/2020" doesn\'t match format "%m/%d/%Y". You might want to try:',
         'd = pd.to_datetime(t["date"])', 'd = pd.to_datetime(t["date"], dayfirst=True)'),
        ("If using all scalar values, you must pass an index", 't = pd.DataFrame({"attack": 0.3})',
         't = pd.DataFrame([{"attack": 0.3}])'),
        ("Integer column has NA values in column 1", 't = pd.read_csv(f, dtype={"cases": int})',
         't = pd.read_csv(f, dtype={"cases": "Int64"})'),
        ("'Expr' object has no attribute 'apply'", "x = pl.col('n').apply(f)",
         "x = pl.col('n').map_elements(f)"),
        ("DataFrame object does not support `Series` assignment by index\n\nUse",
         't["rate"] = t["cases"] / 100', 't = t.with_columns((t["cases"] / 100).alias("rate"))'),
        ("the truth value of an Expr is ambiguous\n\nYou probably",
         'x = t.filter(pl.col("a") > 0 and pl.col("b") > 0).height',
         'x = t.filter(pl.col("a") > 0, pl.col("b") > 0).height'),
        ("'int' object is not iterable", 'for day in params["days"]:',
         'for day in range(params["days"]):'),
        ("Population must be a sequence.  For dicts or sets, use sorted(d).",
         "x = random.sample(places, 2)", "x = random.sample(sorted(places), 2)"),
        ("'dict_keys' object is not subscriptable", "x = rates.keys()[0]",
         "x = list(rates.keys())[0]"),
        ("Unknown format code 'f' for object of type 'str'", 'x = f"{p[\'beta\']:.2f}"',
         'x = f"{float(p[\'beta\']):.2f}"'),
        ("'Dataset' object has no attribute 'value'", "x = f['x'].value", "x = f['x'][()]"),
        ("<function patient at 0x7f> is not a generator.", "env.process(patient)",
         "env.process(patient(env))"),
        ("<function wire.<locals>.patient at 0x7f> is not a generator.",
         "self.env.process(patient)", "self.env.process(patient(self.env))"),
        ("<function Car.run at 0x7f> is not a generator.", "env.process(Car.run)", None),
        ("<bound method Car.run of <wire.Car object at 0x7f>> is not a generator.",
         "env.process(self.run)", "env.process(self.run())"),
        ("None is not a generator.", "env.process(patient(env))", None),
        ("Extra arguments must be in a tuple.", "y = odeint(f, y0, t, args=(beta))",
         "y = odeint(f, y0, t, args=(beta,))"),
        ("Extra arguments must be in a tuple.", "y = odeint(f, y0, t, args=[beta, gamma])",
         "y = odeint(f, y0, t, args=tuple([beta, gamma]))"),
        ("'list' object is not callable", "s = solve_ivp(sir(0, y0), (0, 9), y0)",
         "s = solve_ivp(sir, (0, 9), y0)"),
        ("Unable to avoid copy while creating an array as requested.",
         "a = np.array(x, float, copy=False)", "a = np.asarray(x, float)"),
        ("'DegreeView' object has no attribute 'values'", "d = list(g.degree().values())",
         "d = list(dict(g.degree()).values())"),
        ("'numpy.random._generator.Generator' object has no attribute 'random_integers'",
         "x = rng.random_integers(0, 5)", "x = rng.integers(0, 5, endpoint=True)"),
        ("lineplot() takes from 0 to 1 positional arguments but 2 were given",
         "sns.lineplot(t, y, ax=ax)", "sns.lineplot(x=t, y=y, ax=ax)"),
        # What a library names in its place is a type, and no argument.
        ("`const` is removed, use `Literal` instead", 'k: str = Field("sir", const=True)', None),
    ],
)  # fmt: skip
def test_a_line_is_written_anew(message: str, line: str, after: str | None) -> None:
    assert rewritten(message, [line]) == after


def test_the_line_that_hands_over_a_callback_is_written_anew() -> None:
    lines = ["s = solve_ivp(sir, (0, 9), y0)", "s, i, r = y"]
    after = "s = solve_ivp(lambda t, y, *args: sir(y, t, *args), (0, 9), y0)"
    assert rewritten("cannot unpack non-iterable float object", lines) == after
    # Of no other cause a line is looked at that only led there.
    lines = ["for day in days:", "x = sum(3)"]
    assert rewritten("'int' object is not iterable", lines) is None


@pytest.mark.parametrize(
    ("message", "line", "hint"),
    [
        ("sir() missing 2 required positional arguments: 'beta' and 'gamma'",
         "s = solve_ivp(sir, (0, 9), y0)", "hand beta and gamma over: args=(beta, gamma)"),
        ("loss() missing 1 required positional argument: 'data'", "r = minimize(loss, [1.0])",
         "hand data over: args=(data,)"),
        ("sir() missing 1 required positional argument: 'gamma'",
         "s = odeint(sir, y0, t, args=(beta,))", "as many values as sir() takes: gamma too"),
        ("sir() takes 2 positional arguments but 4 were given",
         "s = solve_ivp(sir, (0, 9), y0, args=(beta, gamma))", "let sir() take what args="),
        ("sir() takes 1 positional argument but 2 were given", "s = solve_ivp(sir, t, y0)", None),
        ("sir() missing 1 required positional argument: 'y'", "x = sir(0)", None),
        ("sir() missing 1 required positional argument: 'y'", "x = apply(sir, 3)", None),
    ],
)  # fmt: skip
def test_what_a_library_calls_is_handed_its_arguments(
    message: str, line: str, hint: str | None
) -> None:
    found = found_slip(message, [line])
    assert (found and hint in found.hints[0].title) if hint else found is None


def rewritten(message: str, lines: list[str]) -> str | None:
    """The line that is advised, of an exception with these lines of the bundle's, outermost first.

    Of a library it is that fails in the end.
    """
    found = found_slip(message, lines)
    edit = found.hints[0].edit if found else None
    return edit.after if edit else None


def found_slip(message: str, lines: list[str]) -> Finding | None:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    frames = [Frame(file="/b/wire.py", line=1, function="wire", text=line) for line in lines]
    frames.append(Frame(file="/site-packages/library.py", line=1, function="f", text="raise"))
    return slip(case, ExceptionInfo("TypeError", message, traceback=frames))


@pytest.mark.parametrize(
    ("message", "line"),
    [
        # Put in its place, a rate would be taken for the shape.
        ("_parse_args_rvs() got an unexpected keyword argument 'rate'", "x = gamma.rvs(rate=2.0)"),
        ("cannot unpack non-iterable float object", "s = odeint(f, y0, g(h(1)))[0](2)"),
    ],
)
def test_a_line_that_would_give_other_numbers_is_left(message: str, line: str) -> None:
    assert rewritten(message, [line]) is None


MINUTES = "Invalid frequency: 15T. Failed to parse with error message: ValueError('Invalid"
MONTHS = "Invalid frequency: 2M. Failed to parse with error message: ValueError(\"'M' is no longer"
APART = "could not convert string '1.5,2.5' to float64 at row 0, column 1."
TRUTH = "The truth value of a Series is ambiguous. Use a.empty, a.item(), a.any() or a.all()."
POSITIONS = "Location based indexing can only have [integer, integer slice] types"
POWERS = "Integers to negative integer powers are not allowed."
OF_A_DAY = 'unconverted data remains when parsing with format "%Y-%m-%d": " 10:00"'


@pytest.mark.parametrize(
    ("message", "line", "after"),
    [
        (f"{MINUTES} frequency: T. Did you mean min?')", 's.asfreq("15T")', 's.asfreq("15min")'),
        (f"{MINUTES} frequency: T. Did you mean min?')", 's.T.resample("15T")', None),
        (f"{MONTHS} supported for offsets. Please use 'ME' instead.\")", 's.resample("2M")',
         's.resample("2ME")'),
        (APART, 'x = np.loadtxt("a.csv")', 'x = np.loadtxt("a.csv", delimiter=",")'),
        (APART, 'x = np.loadtxt("a.csv", delimiter=";")', None),
        # A decimal comma, and commas between thousands.
        (APART.replace("1.5,2.5", "1,5"), 'x = np.loadtxt("a.csv")', None),
        (APART.replace("1.5,2.5", "1,234,567.5"), 'x = np.loadtxt("a.csv")', None),
        (TRUTH, "d = df[df['x'] > 1 and df.y > 3]", "d = df[(df['x'] > 1) & (df.y > 3)]"),
        (TRUTH, "if df.x > 1 and df.y > 3:", None),
        (TRUTH, "d = df[a and b and c]", None),
        (TRUTH, "d = x[f(a > 0 and b > 0)]", None),
        (TRUTH, "df.loc[(df.x > 1) and df.y > 2, 'z'] = 0",
         "df.loc[((df.x > 1)) & (df.y > 2), 'z'] = 0"),
        (POSITIONS, 'x = df.iloc[0, "x"]', 'x = df.iloc[0, df.columns.get_loc("x")]'),
        (POWERS, "p = 2 * 10 ** -np.arange(3)", "p = 2 * 10.0 ** -np.arange(3)"),
        (POWERS, "p = x[10] ** -1", None),
        (OF_A_DAY, 'd = f(pd.to_datetime(df["d"]))',
         'd = f(pd.to_datetime(df["d"], format="ISO8601"))'),
        (OF_A_DAY, 'd = pd.to_datetime(df["d"], format="%Y-%m-%d")', None),
        ("Cannot interpret '4' as a data type", "a = np.zeros(3, 4)", "a = np.zeros((3, 4))"),
    ],
)  # fmt: skip
def test_a_line_is_rewritten_where_only_one_thing_can_be_meant(
    message: str, line: str, after: str | None
) -> None:
    assert rewritten(message, [line]) == after
