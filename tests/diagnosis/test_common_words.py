"""Exceptions of Python itself whose words say what, and not how: the first hint says how."""

from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.common_words import common_advice
from runner.diagnosis.refused_values import refused_value
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, Hint, Report

TOP = """\
from datetime import datetime, timezone
now = datetime.now
def nothing(): 0
class M:
    def run(days): return days
total = 0
from argparse import Namespace
args = Namespace(n_rep=None)
def step(beta, gamma): return beta * gamma
"""
# A line of the function, and words of the first hint.
SAID = {
    "x = nothing()['a']": "end nothing() with a return",
    "total += 1": "`global total`",
    "M().run(1)": "see whether its def lacks self",
    "now() - now(timezone.utc)": "give both a time zone, or none",
    "range(10 / 2)": "hand over a whole number",
    "[1, 2][1.0]": "hand over a whole number",
    "float('0,5')": "it has a decimal comma",
    "float('')": "a value is empty",
    "p('beta')": "take an element with [...]",
    "'days: ' + 5": 'make a text of it: f"{value}"',
    "[{'a': 1}]['a']": "it is a list",
    "1 / 0": "see wire.py",
    "raise TypeError(\"'NoneType' object\")": "see wire.py",
    "float('high')": "see wire.py",
    "step(1)": "call it as wire.py:9 defines it: step(beta, gamma)",
    "step(1, 2, 3)": "call it as wire.py:9 defines it: step(beta, gamma)",
    "datetime(1)": "see wire.py",
    "range(args.n_rep)": "where n_rep is None, give the option: it has no default",
}


def _report(folder: Path, cache: Path, body: str, params: dict[str, object]) -> Report:
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(
        f"{TOP}def wire(e, p, s):\n    params = p\n    {body}\n    return {{'v': b'1'}}\n"
    )
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(folder, params=params)
    return caught.value.report


@pytest.mark.parametrize("body", SAID)
def test_the_first_hint_says_how(body: str, tmp_path: Path, cache: Path) -> None:
    body_of = body.replace("total += 1", "total += 1; del total")
    report = _report(tmp_path, cache, body_of, {})
    assert SAID[body] in report.hints[0].title
    assert report.hints[-1].title.startswith("see wire.py")


@pytest.mark.parametrize("loop", ["for k in d:", "for k, v in d.items(): # all"])
def test_what_is_changed_while_it_is_gone_over_is_copied(
    loop: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"def wire(e, p, s):\n    d = {{1: 2}}\n    {loop}\n        d[3] = 4\n"
        "    return {'v': str(len(d)).encode()}\n"
    )
    with Runner(cache=cache) as runner:
        follow(failure(runner, tmp_path), tmp_path)
        assert runner.execute(tmp_path)["v"] == b"2"


@pytest.mark.parametrize(
    ("body", "given", "summary", "command"),
    [
        ("range(params['days'])", 10.0, "the task gives 10.0, which is no", "--param days=10"),
        ("x = params['days'] * 0.5", "high", "the task gives the text 'high'", "--param days=..."),
        ("x = 1 + params.get('days')", "7", "the task gives the text '7'", "--param days=7"),
        ("list(params['days'])", 0.5, "the number 0.5, which is no list", "--param days=[0.5]"),
    ],
)
def test_a_parameter_of_another_type_is_named(
    body: str, given: object, summary: str, command: str, tmp_path: Path, cache: Path
) -> None:
    report = _report(tmp_path, cache, body, {"days": given, "beta": 1})
    assert summary in report.summary
    assert (report.hints[0].command or "").endswith(f"--param beta=1 {command}")


@pytest.mark.parametrize("given", [10.5, 10])
def test_a_parameter_that_is_as_it_should_be_is_not_blamed(
    given: float, tmp_path: Path, cache: Path
) -> None:
    report = _report(tmp_path, cache, "range(params['days'] / 4)", {"days": given})
    assert "computes with the parameter" not in report.summary


@pytest.mark.parametrize(
    ("line", "name", "text", "said", "after"),
    [
        ("y = c['n'] * 2.5", "c['n']", "1e5", "can't multiply sequence", "y = float(c['n']) * 2.5"),
        ("y = zeros(n)", "n", "10", "'str' object cannot be interpreted as an integer",
         "y = zeros(int(n))"),
        ("y = int(n)", "n", "1e5", "invalid literal for int() with base 10: '1e5'",
         "y = int(float(n))"),
        ("y = n + n * 2.5", "n", "0.5", "can't multiply sequence", None),
    ],
)  # fmt: skip
def test_a_number_is_made_of_a_text(
    line: str, name: str, text: str, said: str, after: str | None
) -> None:
    case, frame = Case(), Frame("/b/wire.py", 3, "wire", line)
    case.bundle = BundleInfo(path="/b")
    told: dict[str, str | int | None] = {"text_of": name, "text": text}
    hint = common_advice(case, ExceptionInfo("TypeError", said, attributes=told), frame)
    assert hint is not None and f"{name} is the text {text!r}" in hint.title
    assert (hint.edit and hint.edit.after) == after


def advised(line: str, said: str, values: str = "") -> Hint | None:
    case, frame = Case(), Frame("/b/wire.py", 3, "wire", line)
    case.bundle = BundleInfo(path="/b")
    told: dict[str, str | int | None] = {"values": values}
    return common_advice(case, ExceptionInfo("TypeError", said, attributes=told), frame)


@pytest.mark.parametrize(
    ("line", "values", "after"),
    [
        ("for i in range(n):", "n is 29.999999999999996", "for i in range(round(n)):"),
        ("x = np.zeros(T / dt)", "T is 3.0; dt is 0.1", "x = np.zeros(round(T / dt))"),
        ("for i in range(n / 2):", "n is 7", "for i in range(n // 2):"),
        # Which of two numbers is meant, nobody knows.
        ("for i in range(n):", "n is 3.5", None),
        ("for i in range(1 / dt):", "dt is 0.3", None),
        ("for i in range(T / dt):", "T is 1e308; dt is 1e-10", None),
        ("for i in range(n):", "", None),
    ],
)
def test_a_number_is_rounded_where_it_is_whole_but_for_rounding(
    line: str, values: str, after: str | None
) -> None:
    for said in ("'float' object", "'numpy.float64' object"):
        hint = advised(line, f"{said} cannot be interpreted as an integer", values)
        assert hint is not None and hint.title.startswith("hand over a whole number: ")
        assert (hint.edit and hint.edit.after) == after


@pytest.mark.parametrize(
    ("value", "dtype", "line", "cast"),
    [
        ("0.5", "int64", 'df.loc[i, "x"] = 0.5', 'df["x"] = df["x"].astype(float)'),
        ("0.5", "int64", "df.at[i, 'x'] *= b[0]", "df['x'] = df['x'].astype(float)"),
        ("0.5", "int64", 'df.loc[i, "x"] = "0.5"', 'df["x"] = df["x"].astype(object)'),
        ("0.5", "bool", 'df.loc[i, "x"] = 0.5', 'df["x"] = df["x"].astype(object)'),
        ("5", "str", 'df.loc[0, "x"] = 5', 'df["x"] = df["x"].astype(object)'),
        ("5", "str", "df.iloc[0, 1] = 5", None),
        ("5", "str", "s.d.loc[0, 'x'] = 5", "s.d['x'] = s.d['x'].astype(object)"),
    ],
)
def test_a_column_takes_a_value_of_another_type_once_it_is_made_of_it(
    value: str, dtype: str, line: str, cast: str | None
) -> None:
    said = f"Invalid value '{value}' for dtype '{dtype}'"
    said += ". Value should be a string or missing value, got 'int' instead." * (dtype == "str")
    hint = advised(line, said)
    assert hint is not None and f"the column is of {dtype}" in hint.title
    assert (hint.edit and hint.edit.after) == (f"{cast}\n{line}" if cast else None)
    frames = [Frame("/b/wire.py", 3, "wire", line), Frame("/v/site-packages/pandas/i.py", 1, "f")]
    exception = ExceptionInfo("TypeError", said, traceback=frames)
    case = Case()
    case.bundle = BundleInfo(path="/b")
    assert refused_value(case, exception) is None


@pytest.mark.parametrize(
    ("line", "values", "after"),
    [
        ("y = x[len(x) / 2]", "", "y = x[len(x) // 2]"),
        # 0.3 / 0.1 is a little less than 3, of which int() would make 2.
        ("y = x[t / dt]", "t is 0.3; dt is 0.1", "y = x[round(t / dt)]"),
        ("y = x[t / dt]", "t is 0.25; dt is 0.1", None),
        ("y = x['beta']", "", None),
    ],
)
def test_an_element_is_taken_by_a_whole_number(line: str, values: str, after: str | None) -> None:
    said = "only integers, slices (`:`), ellipsis (`...`) and arrays are valid indices"
    hint = advised(line, said, values)
    assert hint is not None and (hint.edit and hint.edit.after) == after
    assert ("no names" in hint.title) == ("beta" in line)


@pytest.mark.parametrize(
    ("said", "wants"),
    [
        ("Model too large for size-limited license; visit https://gurobi.com", True),
        ("No Gurobi license found (user me, host vm)", True),
        ("The license has expired on 2026-01-01", True),
        ("expected a file LICENSE.txt", False),
    ],
)
def test_a_solver_without_its_licence_is_told_as_that(said: str, *, wants: bool) -> None:
    hint = advised("model.optimize()", said)
    assert (hint is not None and "wants a licence" in hint.title) == wants


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("mat1 and mat2 shapes cannot be multiplied (3x5 and 4x2)", "hand over 4 numbers a row"),
        ("mat1 and mat2 must have the same dtype, but got Double and Float", ".float()"),
        ("element 0 of tensors does not require grad and does not have", "requires_grad=True"),
        ("grad can be implicitly created only for scalar outputs", ".sum()"),
        ("a leaf Variable that requires grad is being used in an in-place op", "torch.no_grad()"),
        ("Abstract tracer value encountered where concrete value is expected", "static_argnames"),
    ],
)
def test_what_torch_and_jax_say_is_told_by_what_to_write(said: str, title: str) -> None:
    hint = advised("y = step(x)", said)
    assert hint is not None and title in hint.title
