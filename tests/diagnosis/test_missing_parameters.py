"""The parameters and entry points that a task lacks are told in its words."""

from pathlib import Path

import pytest

from runner import Runner, RunnerError
from runner.diagnosis.report.model import Report

STEP = """import importlib
def step(beta, gamma): return b''
NORTH = {'north': step}
class ValidationError(Exception): pass

"""
READS = {
    "return {'x': step(**p)}": (
        "calls step(), which needs 'gamma'; the task was not given it",
        "--param gamma=...",
    ),
    "return {'x': bytes(p.get('gamma') * 2)}": (
        "computes with the parameter 'gamma', which get() gives as None; the task was not given it",
        "--param gamma=...",
    ),
    r"raise ValidationError(f'1 error for {dict(**p)}\ngamma\n  Field required')": (
        "makes what needs 'gamma' of the parameters; the task was not given it",
        "--param gamma=...",
    ),
    "return NORTH[e]": ("has no entry point 'south'; there is north", " north"),
    "return {'x': {'a': 1}[e]}": ("has no entry point 'south'", " ENTRYPOINT"),
    "return importlib.import_module(e)": (
        "imports 'south' for the entry point 'south', and the bundle has no such module",
        " ENTRYPOINT",
    ),
}


def report_of(
    folder: Path, cache: Path, line: str, params: dict[str, object] | None = None
) -> Report:
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(f"{STEP}def wire(e, p, s):\n    {line}\n")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(folder, "south", params or {"beta": 1})
    return caught.value.report


@pytest.mark.parametrize("line", READS)
def test_what_the_task_lacks_is_said(line: str, tmp_path: Path, cache: Path) -> None:
    summary, command = READS[line]
    report = report_of(tmp_path, cache, line)
    assert report.summary == f"wire.py:{STEP.count(chr(10)) + 2} (wire) {summary}"
    assert (report.hints[0].command or "").endswith(command)


@pytest.mark.parametrize(
    "line",
    ["return step(1)", "return {'x': None * 2}", "return p.get('beta') * None", "NORTH['x']"],
)
def test_what_the_code_itself_gets_wrong_is_not_the_tasks(
    line: str, tmp_path: Path, cache: Path
) -> None:
    summary = report_of(tmp_path, cache, line).summary
    assert "the task was not" not in summary and "entry point" not in summary


@pytest.mark.parametrize(
    ("line", "params", "command"),
    [
        ("params['flag'].lower()", {"flag": True}, "--param 'flag=\"true\"'"),
        ("params['n'] + 1", {"n": None}, "--param n=..."),
        ("p['sim']['beta']", {"sim.beta": 0.3}, "--param 'sim={\"beta\": 0.3}'"),
    ],
)
def test_a_parameter_of_another_type_is_given_otherwise(
    line: str, params: dict[str, object], command: str, tmp_path: Path, cache: Path
) -> None:
    report = report_of(tmp_path, cache, f"params = p; return {line}", params)
    assert (report.hints[0].command or "").endswith(command)
