"""The commands that hints name run the same task again."""

import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.remedies import requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo
from runner.events import Phase
from runner.task import Task


@pytest.mark.parametrize(
    ("entrypoint", "params", "seed", "words"),
    [
        (None, {}, 0, []),
        ("default", {}, 0, []),
        ("baseline", {"beta": 0.3}, 4, ["baseline", "--seed", "4", "--param", "beta=0.3"]),
        ("a b", {"name": "Zürich a'b"}, 0, ["a b", "--param", "name=Zürich a'b"]),
        (None, {"code": "3"}, 0, ["--param", 'code="3"']),
        (None, {"ages": [1, None]}, 0, ["--param", "ages=[1, null]"]),
        ("baseline", {"text": "x" * 900}, 0, ["baseline"]),
        ("baseline", {str(n): n for n in range(90)}, 0, ["baseline"]),
        (None, {"gama": 1, "beta": 2}, 0, ["--param", "beta=2"]),
    ],
)
def test_a_command_asks_for_the_task_that_was_asked_for(
    entrypoint: str | None, params: Mapping[str, Any], seed: int, words: list[str]
) -> None:
    case = Case()
    case.task = Task(entrypoint, params, seed)
    command = case.exec_command("--timeout 60", without="gama")
    assert shlex.split(command) == ["modelops-runner", "exec", "BUNDLE", *words, "--timeout", "60"]


@pytest.mark.parametrize(
    ("declared", "specifier", "after"),
    [
        (">=3.8", ">=3.12", ">=3.12"),
        (">=3.8,<3.13", ">=3.12", ">=3.8,<3.13,>=3.12"),
        ("==3.9.*", ">=3.10", ">=3.10"),
        (">=3.8,<3.10", ">=3.12", ">=3.12"),
        ("~=3.9.1", "<3.9", "<3.9"),
    ],
)
def test_a_requirement_on_python_accepts_one(declared: str, specifier: str, after: str) -> None:
    case = Case()
    case.bundle = BundleInfo("/b", requires_python=declared)
    case.bundle_files = ("pyproject.toml",)
    case.pyproject = f'[project]\nrequires-python = "{declared}"\n'
    edit = requires_python_hint(case, specifier, "").edit
    assert edit is not None and edit.after == f'requires-python = "{after}"'


def test_a_finding_has_the_phase_of_its_code_where_that_has_one_alone() -> None:
    assert Finding.of(Code.LOCK_OUTDATED, "").phase is Phase.ENVIRONMENT
    assert Finding.of(Code.CANCELLED, "", phase=Phase.LOAD).phase is Phase.LOAD
    with pytest.raises(ValueError, match="unpack"):
        Finding.of(Code.CANCELLED, "")
    with pytest.raises(ValueError, match="unpack"):
        Finding.of(Code.CHILD_CRASHED, "")
