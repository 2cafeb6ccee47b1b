"""Modules that the command does not import where it can do without: each is part of its start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN_SECONDS = 60

# The distributions that it needs, and what of the standard library takes longest.
HEAVY = {
    "anyio", "asyncio", "filelock", "findpython", "importlib.metadata", "logging", "msgspec",
    "packaging", "pathlib", "psutil", "rich", "shtab", "subprocess", "typing",
}  # fmt: skip
# What only a failure, a build, or another command has a use for.
UNNEEDED = {
    "csv", "email", "filecmp", "filelock", "findpython", "importlib.metadata", "pickle",
    "platformdirs", "psutil", "rich", "secrets", "shtab", "zipfile",
    "runner.bundle.foreign",
    "runner.cli.completion", "runner.cli.replay", "runner.cli.study.many_tasks",
    "runner.dask", "runner.doctor",
    "runner.diagnosis.child_raised", "runner.diagnosis.data",
    "runner.diagnosis.deaths.child_deaths",
    "runner.diagnosis.deaths.fatal_error", "runner.diagnosis.imports", "runner.diagnosis.limits",
    "runner.diagnosis.noexec", "runner.diagnosis.report.frames", "runner.diagnosis.report.masking",
    "runner.diagnosis.report.terminal", "runner.diagnosis.time_outs", "runner.diagnosis.uv.output",
    "runner.diagnosis.withheld",
    "runner.environment.locks", "runner.environment.older_wheels", "runner.environment.wheel",
    "runner.recording.recorder",
}  # fmt: skip


def imported(cache: Path, *arguments: str | Path) -> set[str]:
    """The modules that the command has imported when it ends, with the packages they are in."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "runner", *map(str, arguments)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    names = {line.rpartition("|")[2].strip() for line in lines}
    assert "runner.cli.command_line.parser" in names
    return names | {name.rpartition(".")[0] for name in names}


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["exec", "--help"]])
def test_help_and_version_import_nothing_that_runs_a_bundle(
    arguments: list[str], tmp_path: Path
) -> None:
    names = imported(tmp_path, *arguments)
    assert not names & HEAVY
    own = {name for name in names if name.startswith("runner.")} - {"runner.__main__"}
    assert own <= {
        "runner.cli", "runner.cli.exit_codes", "runner.defaults", "runner.version",
        "runner.cli.command_line", "runner.cli.command_line.parser",
        "runner.cli.command_line.options", "runner.cli.command_line.arguments",
        "runner.cli.command_line.argument_parser",
        "runner.cli.command_line.verbosity",
    }  # fmt: skip


def test_a_task_that_is_done_has_imported_nothing_that_is_for_failures(
    cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "wire.py").write_text("def wire(e, params, seed):\n    return {'a': b'1'}\n")
    subprocess.run(
        [sys.executable, "-m", "runner", "exec", str(tmp_path)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        capture_output=True,
        timeout=RUN_SECONDS,
        check=True,
    )  # now the environment is built
    assert not imported(cache, "exec", tmp_path) & UNNEEDED
