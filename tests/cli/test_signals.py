"""Signals to the command before it runs anything, and again while it is being ended."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from children import still_running
from conftest import write_bundle
from forked_command import run_command

RUN_SECONDS = 120

StartRun = Callable[..., "tuple[subprocess.Popen[str], list[int]]"]

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
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.mark.parametrize(
    ("module", "number"),
    [
        ("argparse", signal.SIGINT),
        ("gettext", signal.SIGTERM),
        ("runner.cli.run", signal.SIGINT),
        ("msgspec", signal.SIGTERM),
        ("runner.child.messages", signal.SIGINT),
        ("runner.task", signal.SIGTERM),
    ],
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


@pytest.fixture
def under_way(bundle: Path, cache: Path, tmp_path: Path) -> Iterator[StartRun]:
    """Starts the command; gives it, and the processes that its first task has made."""
    processes: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple["subprocess.Popen[str]", list[int]]:
        here = tmp_path / "here"
        os.mkfifo(here)
        process = subprocess.Popen(
            [sys.executable, "-m", "runner", "exec", bundle, "--param", f"here={here}", *options],
            env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As a shell starts a job: one that nobody of the session has started cannot be stopped.
            preexec_fn=os.setpgrp,
        )
        processes.append(process)
        return process, [int(pid) for pid in here.read_text().split()]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ([], "ended the run while the task ran"),
        (["--seeds", "0:3", "-j1"], "ended the run; 3 of 3 tasks were left"),
    ],
)
def test_a_signal_while_the_run_is_being_ended_ends_it_at_once(
    options: list[str], left: str, under_way: StartRun
) -> None:
    process, started = under_way(*options)
    family = [*psutil.Process(process.pid).children(recursive=True), *started]
    until = time.monotonic() + RUN_SECONDS
    for number in itertools.cycle((signal.SIGINT, signal.SIGTERM)):
        if process.poll() is not None or time.monotonic() > until:
            break
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)  # Without an end to them it would do nothing but take signals.
    said, shown = process.communicate(timeout=RUN_SECONDS)
    assert (said, process.returncode) in (("", 130), ("", 143))
    assert not still_running(family)
    name = signal.Signals(process.returncode - 128).name
    last = shown.splitlines()[-1]
    assert last.startswith(f"modelops-runner: {name} {left} (at once, without a report); "), shown
    assert "again" in last
    assert "error[" not in shown


@pytest.mark.parametrize(
    ("number", "options"),
    [
        (signal.SIGINT, []),
        (signal.SIGTERM, []),
        # At the first SIGINT a study waits for the tasks that run.
        (signal.SIGTERM, ["--seeds", "0:2", "-j1"]),
    ],
)
def test_a_signal_that_comes_twice_as_it_is_handed_on_is_one(
    number: signal.Signals, options: list[str], under_way: StartRun
) -> None:
    process, started = under_way(*options)
    for _ in range(20):
        process.send_signal(number)
    _, shown = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 128 + number
    assert f"error[cancelled]: {number.name} ended the run" in " ".join(shown.split())
    assert not still_running(started)


@pytest.mark.parametrize("options", [["--params"], ["--params", "--seeds", "0:2"], ["--tasks"]])
def test_a_signal_ends_the_wait_for_what_a_pipe_brings(
    options: list[str], bundle: Path, cache: Path, tmp_path: Path
) -> None:
    pipe = tmp_path / "tasks.csv"
    os.mkfifo(pipe)
    words = [options[0], str(pipe), *options[1:]]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "exec", bundle, *words],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    writing: list[int] = []

    def is_read() -> bool:
        with suppress(OSError):  # nobody has opened it to read it
            writing.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(writing)

    try:
        wait_until(is_read)
        os.write(writing[0], b"x,y\n")
        process.send_signal(signal.SIGTERM)
        assert process.wait(RUN_SECONDS) == 128 + signal.SIGTERM
    finally:
        process.kill()
        process.wait()
        os.close(writing[0])


def wait_until(what: Callable[[], bool]) -> None:
    until = time.monotonic() + RUN_SECONDS
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("options", [[], ["--seeds", "0:2", "-j1"]])
def test_what_stops_the_command_stops_its_tasks_until_it_goes_on(
    options: list[str], under_way: StartRun
) -> None:
    process, started = under_way(*options)
    family = [psutil.Process(pid) for pid in (process.pid, *started)]
    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: all(one.status() == psutil.STATUS_STOPPED for one in family))
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: all(one.status() != psutil.STATUS_STOPPED for one in family))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 128 + signal.SIGTERM
    assert not still_running(started)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("options", [[], ["--seeds", "0:2", "-j1", "--isolation", "warm"]])
def test_a_task_that_has_signalled_the_runner_is_named(
    number: signal.Signals, options: list[str], cache: Path, tmp_path: Path
) -> None:
    code = f"""
import os, signal, time

def wire(entrypoint, params, seed):
    signal.signal({number}, lambda *_: None)  # which says nothing of the runner's way with it
    if seed == 0:
        os.kill(os.getppid(), {number})
        time.sleep(1)
    return {{"x": b"1"}}
"""
    bundle = write_bundle(tmp_path / "bundle", code)
    command = [sys.executable, "-m", "runner", "exec", bundle, *options]
    done = run_command(
        command, env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)}, timeout=RUN_SECONDS
    )
    assert done.returncode == 128 + number
    shown = " ".join(done.stderr.split())
    assert f"error[cancelled]: {number.name} ended the run" in shown
    assert ": wire.py:7 sent it The child" in shown
    assert "help: see wire.py:7: in this isolation a task's parent is the runner itself" in shown
    assert "run it again" not in shown
