"""Forks elsewhere in the worker, at the worst moment: a pipe for a child has just been made."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from runner.process.guardian import Guardian
from runner.process.supervisor import spawn

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

STRANGER_SECONDS = 20
FORK_SECONDS = 0.3
"""How long the maker of a pipe lets the other thread have the processor, to fork."""


class Strangers:
    """A thread that forks a process which lives for long, each time that a pipe was made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pids: list[int] = []
        self._make = os.pipe
        self._asked, self._forked = threading.Event(), threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._fork)
        self._thread.start()
        monkeypatch.setattr(os, "pipe", self._pipe)

    def _pipe(self) -> tuple[int, int]:
        ends = self._make()
        self._forked.clear()
        self._asked.set()
        self._forked.wait(FORK_SECONDS)
        return ends

    def _fork(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            if self._over:
                return
            pid = os.fork()
            if pid == 0:
                time.sleep(STRANGER_SECONDS)
                os._exit(0)
            self.pids.append(pid)
            self._forked.set()

    def have_forked(self) -> bool:
        """Wait for the fork that was asked for: it may have to wait until it is let."""
        return self._forked.wait(STRANGER_SECONDS) and bool(self.pids)

    def end(self) -> None:
        self._over = True
        self._asked.set()
        self._thread.join(STRANGER_SECONDS)
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """For what may block the event loop, where no timeout of its own can end it."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


@pytest.fixture
def strangers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Strangers]:
    made = Strangers(monkeypatch)
    yield made
    made.end()


async def test_a_fork_elsewhere_neither_stalls_the_loop_nor_keeps_a_childs_input_open(
    strangers: Strangers,
) -> None:
    out = bytearray()
    with within(STRANGER_SECONDS / 2):
        async with spawn(
            [sys.executable, "-I", "-c", "import sys; print(len(sys.stdin.read()))"],
            env=dict(os.environ),
            cwd=Path("/"),
            stdout=out.extend,
            stderr=out.extend,
            stdin=True,
        ) as process:
            await process.write(b"x" * 1000)
            process.close_stdin()
            with anyio.fail_after(STRANGER_SECONDS / 2):
                await process.wait()
    assert bytes(out) == b"1000\n"
    assert strangers.have_forked()


def test_a_fork_elsewhere_neither_stalls_the_start_of_a_guardian_nor_keeps_it(
    strangers: Strangers,
) -> None:
    guard = Guardian()
    with within(STRANGER_SECONDS / 2):
        guard.guard()
        guard.release()
    assert strangers.have_forked()


async def test_a_fork_closes_the_pipes_of_all_children_each_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Also where a sink takes the standard output, so that the pipe is known by two names."""

    async def wait_for_input(started: anyio.Event, over: anyio.Event) -> None:
        async with spawn(
            [sys.executable, "-I", "-c", "input()"],
            env=dict(os.environ),
            cwd=Path("/"),
            stdout=bytearray().extend,
            stderr=bytearray().extend,
            stdin=True,
        ) as process:
            assert process.stdin is not None
            pipes.update((process.stdin, process.stdout))
            started.set()
            await over.wait()

    pipes: set[int] = set()
    over = anyio.Event()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                started = anyio.Event()
                tasks.start_soon(wait_for_input, started, over)
                await started.wait()
            pid = os.fork()
            if pid == 0:
                os._exit(sum(map(is_open, pipes)))
            status = os.waitpid(pid, 0)[1]  # noqa: ASYNC222 - it ends at once
            over.set()
    assert len(pipes) == 6
    assert os.waitstatus_to_exitcode(status) == 0
    assert "Exception ignored" not in capfd.readouterr().err


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_a_signal_handler_may_fork_while_forks_have_to_wait() -> None:
    code = """if True:
        import os, signal
        from runner.process.forks import no_fork
        def fork(*_):
            if os.fork() == 0:
                with no_fork():
                    os._exit(3)
        signal.signal(signal.SIGUSR1, fork)
        with no_fork():
            os.kill(os.getpid(), signal.SIGUSR1)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 3
    """
    subprocess.run([sys.executable, "-c", code], timeout=20, check=True)
