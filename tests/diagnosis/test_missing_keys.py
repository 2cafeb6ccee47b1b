"""Keys that a dict does not have: what the child saw of it, and the hints, followed."""

import textwrap
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.missing_keys import missing_key
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, Report


def bundle(folder: Path, source: str) -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(textwrap.dedent(source))
    return folder


def report_of(runner: Runner, folder: Path, params: dict[str, object]) -> Report:
    with pytest.raises(RunnerError) as caught:
        runner.execute(folder, params=params)
    return caught.value.report


READS = {
    "directly": """
        def wire(entrypoint, params, seed):
            return {"v": str(params["gamma"]).encode()}
        """,
    "by another name": """
        def wire(e, p, s):
            return {"v": str(1 + p["gamma"]).encode()}
        """,
    "in a function": """
        def step(settings):
            return settings.pop("gamma")

        def wire(entrypoint, params, seed):
            return {"v": str(step(params)).encode()}
        """,
    "in an object": """
        class Model:
            def __init__(self, params):
                self.params = params

            def run(self):
                return self.params["gamma"]

        def wire(entrypoint, params, seed):
            return {"v": str(Model(params).run()).encode()}
        """,
}


@pytest.mark.parametrize("name", READS)
def test_a_parameter_of_another_name_is_shown_beside_those_that_there_were(
    name: str, tmp_path: Path, cache: Path
) -> None:
    folder = bundle(tmp_path / "b", READS[name])
    with Runner(cache=cache) as runner:
        report = report_of(runner, folder, {"beta": 0.3, "gama": 0.1})
        assert "reads the parameter 'gamma'; the task has beta, gama" in report.summary
        assert report.hints[0].title == "did you mean 'gama'?"
        follow(report, folder)
        runner.execute(folder, params={"beta": 0.3, "gama": 0.1})


def test_a_parameter_that_was_not_given_is_to_be_given(tmp_path: Path, cache: Path) -> None:
    folder = bundle(tmp_path / "b", READS["directly"])
    with Runner(cache=cache) as runner:
        report = report_of(runner, folder, {})
        assert report.summary.endswith("reads the parameter 'gamma'; the task has none")
        assert (report.hints[0].command or "").endswith("--param gamma=...")


def test_a_dict_that_is_not_the_parameters_is_named(tmp_path: Path, cache: Path) -> None:
    source = """
        RATES = {"north": 1, "south": 2}

        def wire(entrypoint, params, seed):
            return {"v": str(RATES["nort"]).encode()}
        """
    folder = bundle(tmp_path / "b", source)
    with Runner(cache=cache) as runner:
        report = report_of(runner, folder, {})
        assert report.summary == "KeyError in wire.py:5 (wire): 'nort'; RATES has north, south"
        follow(report, folder)
        assert runner.execute(folder)["v"] == b"1"


def test_many_and_long_keys_are_bounded_and_secrets_masked(tmp_path: Path, cache: Path) -> None:
    folder = bundle(tmp_path / "b", READS["directly"])
    params = {f"{'x' * 500}{number}": number for number in range(500)}
    with Runner(cache=cache) as runner:
        report = report_of(runner, folder, {"token=hunter2hunter2": 1, **params})
    assert len(report.summary) < 500 and "hunter2" not in report.summary


@pytest.mark.parametrize(
    "source",
    [
        "def wire(e, p, s):\n    try:\n        p['x']\n    except KeyError:\n"
        "        raise ValueError('no such model')\n",
        "class P:\n    @property\n    def params(self):\n        raise SystemExit\n\n"
        "def wire(e, p, s):\n    raise KeyError('no such model')  # P().params['x']\n",
        "def wire(e, p, s):\n    return {}[1.5]\n",
    ],
)
def test_another_failure_keeps_its_words(source: str, tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        report = report_of(runner, bundle(tmp_path / "b", source), {})
    assert "Error in wire.py" in report.summary and "parameter" not in report.summary


def test_a_table_of_one_column_has_another_separator(tmp_path: Path, cache: Path) -> None:
    source = """
        import csv

        def wire(entrypoint, params, seed):
            for row in csv.DictReader(["age;n", "3;5"]):
                return {"v": row["n"].encode()}
        """
    with Runner(cache=cache) as runner:
        report = report_of(runner, bundle(tmp_path / "b", source), {})
    assert report.summary.endswith("'n'; row has age;n")
    assert "';'" in report.hints[0].title


@pytest.mark.parametrize(
    ("mapping", "line", "after"),
    [("{'1': b'1'}", "x = d[1]", 'x = d["1"]'), ("{1: b'1'}", "x = d['1']", "x = d[1]")],
)
def test_a_key_of_another_type_is_named_as_that(
    mapping: str, line: str, after: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"def wire(e, p, s):\n    d = {mapping}\n    {line}\n    return {{'v': x}}\n"
    )
    with Runner(cache=cache) as runner:
        report = failure(runner, tmp_path)
        assert report.hints[0].title.startswith("the key is a ")
        assert report.hints[0].edit is not None and report.hints[0].edit.after == after
        follow(report, tmp_path)
        assert runner.execute(tmp_path)["v"] == b"1"


@pytest.mark.parametrize(
    ("dict_", "found"),
    [
        ('{"disease": {"beta": b"1"}, "run": {"n": b"2"}, "n": 3}', True),
        # Either may be meant.
        ('{"young": {"beta": b"1"}, "old": {"beta": b"2"}}', False),
        ('{"disease": {"rates": {"beta": b"1"}}}', False),
    ],
)
def test_a_key_of_a_section_is_found_there(
    dict_: str, found: bool, tmp_path: Path, cache: Path
) -> None:
    source = f"""
        CONFIG = {dict_}
        def wire(e, p, s):
            return {{"v": CONFIG['beta']}}
        """
    folder = bundle(tmp_path / "b", source)
    with Runner(cache=cache) as runner:
        report = failure(runner, folder)
        assert ("one level deeper" in report.hints[0].title) == found
        if found:
            follow(report, folder)
            assert runner.execute(folder)["v"] == b"1"


@pytest.mark.parametrize(
    ("line", "labels", "after", "older"),
    [
        ("x = s[-1]", "0\n1\n2", "x = s.iloc[-1]", False),
        ("x = s[-1]", "north\nsouth", "x = s.iloc[-1]", True),
        # No pandas takes it for a position, and -1 may be no position at all.
        ("x = s[i - 1]", "0\n1\n2", None, False),
        ("x = s[-1]", "-2\n0\n2", None, False),
        ("x = s[7]", "0\n1\n2", None, False),
    ],
)
def test_a_position_is_counted_from_the_end(
    line: str, labels: str, after: str | None, older: bool
) -> None:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    key = 7 if "7" in line else -1
    told: dict[str, str | int | None] = {"keys": labels, "key": key, "labels": "label"}
    frames = [Frame("/b/wire.py", 3, "wire", line)]
    exception = ExceptionInfo("KeyError", str(key), traceback=frames, attributes=told)
    found = missing_key(case, exception)
    assert found is not None
    assert (found.hints[0].edit and found.hints[0].edit.after) == after
    assert any("pandas before 3" in hint.title for hint in found.hints) == older


@pytest.mark.parametrize(
    ("line", "told", "title", "after"),
    [
        (
            'x = rates["no"]',
            {"key": "no", "keys": "se", "mapping": "rates", "boolean": 1},
            'write "no" in quotes in rates.yml: YAML takes it for true or false',
            None,
        ),
        (
            'x = table.loc[:]["day"]',
            {"key": "day", "keys": "beta", "labels": "column", "in_index": 1},
            "day is the name of its index: make a column of it, .reset_index()",
            None,
        ),
        (
            'x = table["day"].max()',
            {"key": "day", "keys": "beta", "labels": "column", "in_index": 1},
            "day is the name of its index: make a column of it, .reset_index()",
            'x = table.reset_index()["day"].max()',
        ),
    ],
)
def test_a_key_that_is_there_as_something_else(
    line: str, told: dict[str, str | int | None], title: str, after: str | None
) -> None:
    case = Case()
    case.bundle, case.bundle_files = BundleInfo(path="/b"), ("rates.yml", "wire.py")
    frames = [Frame("/b/wire.py", 3, "wire", line)]
    exception = ExceptionInfo("KeyError", repr(told["key"]), traceback=frames, attributes=told)
    found = missing_key(case, exception)
    assert found is not None
    assert [hint.title for hint in found.hints] == [title]
    assert (found.hints[0].edit and found.hints[0].edit.after) == after


@pytest.mark.parametrize("calls", ["", "a function"])
def test_a_group_has_a_column_left_out_only_where_a_function_gets_it(calls: str) -> None:
    frames = [
        Frame("/b/wire.py", 3, "wire", 'x = df.groupby("c").apply(f)'),
        Frame("/e/site-packages/pandas/core/groupby/groupby.py", 9, "apply", "f(group)"),
    ]
    if calls:
        frames.append(Frame("/b/wire.py", 5, "f", 'return group["c"]'))
    keys = {"key": "c", "keys": "a\nb", "labels": "column", "mapping": "df"}
    exception = ExceptionInfo("KeyError", "'c'", traceback=frames, attributes=keys)
    case = Case()
    case.bundle = BundleInfo(path="/b")
    finding = missing_key(case, exception)
    assert finding is not None
    assert finding.hints[0].title.startswith("if it is grouped by that") == bool(calls)


def test_what_a_caught_function_was_handed_is_not_the_tasks_parameters(
    tmp_path: Path, cache: Path
) -> None:
    source = """
        def step(env, log):
            try:
                log["wait"] += 1
            except KeyError as error:
                raise KeyError(*error.args) from error  # as simpy does

        def wire(entrypoint, params, seed):
            step(None, {})
        """
    with Runner(cache=cache) as runner:
        report = report_of(runner, bundle(tmp_path / "b", source), {"beta": 1})
    assert report.summary == "KeyError in wire.py:4 (step): 'wait'; log has none"
