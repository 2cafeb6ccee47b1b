"""The command of a hint can be pasted into a shell, whatever is in the paths that it names."""

import errno
import os
import shlex
from pathlib import Path

import msgspec
import pytest

from runner.cli.command_line.commands import Exec
from runner.cli.command_line.parser import parse
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.machine import Noexec
from runner.diagnosis.noexec import move_hint
from runner.diagnosis.refusals import refused
from runner.diagnosis.report.model import BundleInfo, Hint
from runner.environment.own_io import own_io
from runner.events import Phase
from runner.interpreter.failures import broken
from runner.interpreter.model import Broken
from runner.settings import Isolation, Options, Settings
from runner.study.writing import not_kept

FOLDER = Path("/data/My models (2026)")


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number), str(FOLDER))


def _of_cache() -> Finding:
    with pytest.raises(Failure) as caught, own_io(Path("/elsewhere")):
        raise _error(errno.EACCES)
    return caught.value.finding


def _of_python() -> Finding:
    return broken(Case(), "x", Broken(FOLDER / "python", "ends")).finding


def _of_noexec(path: str) -> Hint:
    case = Case()
    case.bundle = BundleInfo(path=str(FOLDER))
    return move_hint(case, Noexec(path, "/data", str(FOLDER)))


HINTS = {
    "a folder that is gone": lambda: not_kept(_error(errno.ENOENT), FOLDER / "out", 1).hints[0],
    "a folder of others": lambda: refused(Phase.SPAWN, _error(errno.EACCES)).hints[0],
    "something in the way": lambda: refused(Phase.SPAWN, _error(errno.ENOTDIR)).hints[0],
    "a file that cannot be read": lambda: _of_cache().hints[0],
    "a bundle that may not be executed": lambda: _of_noexec(f"{FOLDER}/a.so"),
    "a temporary folder": lambda: _of_noexec("/tmp/a.so"),
    "a broken Python": lambda: _of_python().hints[1],
}


@pytest.mark.parametrize("name", HINTS)
def test_a_path_with_spaces_and_brackets_is_one_word(name: str) -> None:
    command = HINTS[name]().command
    assert command is not None
    assert any(str(FOLDER) in word for word in shlex.split(command)), command


def test_a_full_disk_is_looked_at_where_it_is(tmp_path: Path) -> None:
    folder = tmp_path / FOLDER.name
    folder.mkdir()
    command = not_kept(_error(errno.ENOSPC), folder, 1).hints[0].command
    assert command is not None
    assert shlex.split(command) == ["df", "-h", "-i", str(folder)]


# Options of the library, and words of the command.
OPTIONS: dict[str, Options] = {
    "--python 3.12": {"python": "3.12"},
    "--offline --ignore-lock": {"offline": True, "ignore_lock": True},
    "--memory-limit 512.5MiB": {"memory_limit": 1025 << 19},
    "--env 'A=x y' --env HOME": {"env": {"A": "x y", "HOME": None}},
    "--timeout 60": {"timeout": 5},  # the hint has another one
    "--startup-timeout 9 --build-timeout 8.5": {"startup_timeout": 9, "build_timeout": 8.5},
    "--threads 2": {"threads": 2, "children": 3, "isolation": "warm"},
}


@pytest.mark.parametrize("words", OPTIONS)
def test_a_command_runs_a_bundle_as_it_was_run(words: str) -> None:
    settings = Settings.of(OPTIONS[words])
    case = Case()
    case.bundle = BundleInfo(path="/b")
    case.options = settings.options()
    command = case.exec_command("--timeout 60")
    assert command.replace(" --timeout 60", "") + " --timeout 60" == command
    assert words in command
    typed = parse(shlex.split(command)[1:], {})
    assert isinstance(typed, Exec)
    known = msgspec.structs.replace(settings, timeout=60, children=None, isolation=Isolation.FORK)
    assert typed.settings == known
