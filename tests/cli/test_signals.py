"""Signals to the command before it runs anything, and again while it is being ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from children import still_running

RUN_SECONDS = 120

# As a console script does; the signal comes in the midst of an import.
AT_IMPORT = """
import os, sys

class Finder:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Finder())
from runner.cli import main
sys.argv = ["modelops-runner", "exec", {bundle!r}]
sys.exit(main())
"""
WIRE = """
import os, subprocess, sys, time

def wire(entrypoint, params, seed):
    own = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], env={})
    with open(params["here"], "w") as here:
        here.write(f"{os.getpid()} {own.pid}")
    time.sleep(1000)
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "requirements.txt").touch()
    (folder / "wire.py").write_text(WIRE)
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "module",
    ["argparse", "gettext", "runner.cli.run", "msgspec", "runner.child.messages", "runner.task"],
)
def test_a_signal_before_anything_runs_ends_it_without_a_traceback(
    module: str, number: signal.Signals, bundle: Path
) -> None:
    code = AT_IMPORT.format(module=module, number=int(number), bundle=str(bundle))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "")


def test_hardly_anything_is_imported_before_signals_are_handled() -> None:
    code = (
        "import sys; before = {*sys.modules, *sys.builtin_module_names}; import runner.cli\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    assert done.stdout == "runner runner.cli\n"


@pytest.mark.parametrize(
    ("number", "options", "left"),
    [
        (signal.SIGINT, [], "SIGINT ended the run while the task ran"),
        (signal.SIGTERM, [], "SIGTERM ended the run while the task ran"),
        (signal.SIGINT, ["--seeds", "0:3", "-j1"], "SIGINT ended the run; 3 of 3 tasks were left"),
    ],
)
def test_a_signal_while_the_run_is_being_ended_ends_it_at_once(
    number: signal.Signals,
    options: list[str],
    left: str,
    bundle: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    here = tmp_path / "here"
    os.mkfifo(here)
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "exec", bundle, "--param", f"here={here}", *options],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        started = [int(pid) for pid in here.read_text().split()]
        family = [*psutil.Process(process.pid).children(recursive=True), *started]
        until = time.monotonic() + RUN_SECONDS
        while process.poll() is None and time.monotonic() < until:
            process.send_signal(number)
        # Now, and not once the guardian has done it.
        alive = still_running(started, seconds=0)
        said, shown = process.communicate(timeout=RUN_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, said, alive) == (128 + number, "", [])
    assert not still_running(family)
    lines = [line for line in shown.splitlines() if "waiting for the" not in line]
    assert len(lines) == 1, shown
    assert lines[0].startswith(f"modelops-runner: {left} (at once, without a report); ")
    assert "again" in lines[0]
