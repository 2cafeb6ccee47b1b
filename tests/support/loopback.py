"""A real Dask cluster on loopback: a scheduler and workers, each a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import runner
from runner.process.guardian import guarded_folder, guardian

_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
# What runs here is what the workers run, installed or not.
_ROOT = Path(runner.__file__).parents[1]


class DidNotStart(RuntimeError):
    """A process of the cluster ended, or took too long; the message has its log."""


def start_process(
    command: Sequence[str], log: int, environ: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Start a process in a session of its own, whose output goes to this descriptor."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=environ,
        start_new_session=True,  # a nanny's worker ends with it
    )


class DaskProcess:
    """A scheduler, or a worker with or without its nanny.

    :param address: where it listens; empty until it says so.
    """

    def __init__(self, command: Sequence[str], log: Path, environ: dict[str, str]) -> None:
        self.log = log
        self.address = ""
        with log.open("wb") as file:
            self.process = start_process(command, file.fileno(), environ)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def text(self) -> str:
        return self.log.read_text("utf-8", "replace")

    def wait_for(self, pattern: str, seconds: float = _START_SECONDS) -> re.Match[str]:
        """Wait until its log has this.

        :raises DidNotStart: it ended before, or took longer.
        """
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.text())) is None:
            if not self.alive:
                raise DidNotStart(f"it ended with {self.process.returncode}:\n{self.text()}")
            if time.monotonic() >= deadline:
                raise DidNotStart(f"no {pattern!r} in its log in {seconds:g} s:\n{self.text()}")
            time.sleep(0.02)
        return found

    def stop(self) -> None:
        """End it, with what it has started. A worker whose scheduler is gone heeds no SIGTERM."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait(_STOP_SECONDS)


class DaskCluster:
    """A scheduler with its workers, which are there until it is closed.

    :param workers: how many start at once, with one thread each.
    :param python: the interpreter that runs them; it has distributed.
    :param nanny: whether each worker has a nanny, which starts it again when it dies.
    :param environ: variables of all of them, beside this process's.
    """

    def __init__(
        self,
        workers: int = 2,
        *,
        python: str | Path = sys.executable,
        nanny: bool = False,
        environ: dict[str, str] | None = None,
    ) -> None:
        self._python = str(python)
        self._nanny = nanny
        self._stack = ExitStack()
        # Nothing of it outlives this process.
        self._folder = self._stack.enter_context(guarded_folder())
        mark = self._stack.enter_context(guardian().guarding())
        self._environ = {**os.environ, "PYTHONPATH": str(_ROOT), **(environ or {}), **mark}
        self.workers: list[DaskProcess] = []
        try:
            self.scheduler = self._start_scheduler("0")
            self.address = self.scheduler.address
            # All are started before the first is waited for.
            for _ in range(workers):
                self.start_worker()
            for worker in self.workers:
                self._wait_until_joined(worker)
        except BaseException:
            self.close()
            raise

    def add_worker(
        self,
        python: str | Path | None = None,
        *arguments: str,
        environ: dict[str, str] | None = None,
    ) -> DaskProcess:
        """Start one more, and wait until it has joined.

        :param environ: variables of its own, beside the cluster's.
        """
        worker = self.start_worker(python, *arguments, environ=environ)
        self._wait_until_joined(worker)
        return worker

    def start_worker(
        self,
        python: str | Path | None = None,
        *arguments: str,
        environ: dict[str, str] | None = None,
    ) -> DaskProcess:
        """Start one more, which may never join; otherwise as :meth:`add_worker`."""
        nanny = "--nanny" if self._nanny else "--no-nanny"
        options = ["--host", "127.0.0.1", "--nthreads", "1", nanny, *arguments]
        worker = self._start(
            "worker", str(python or self._python), self.address, *options, environ=environ
        )
        self.workers.append(worker)
        return worker

    def replace_scheduler(self) -> None:
        """Kill the scheduler, and start another one at its address, which knows of nothing."""
        self.scheduler.stop()
        self.scheduler = self._start_scheduler(self.address.rpartition(":")[2])

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "DaskCluster":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_scheduler(self, port: str) -> DaskProcess:
        scheduler = self._start("scheduler", self._python, "--host", "127.0.0.1", "--port", port)
        scheduler.address = scheduler.wait_for(r"Scheduler at: +(\S+:\d+)")[1]
        return scheduler

    def _wait_until_joined(self, worker: DaskProcess) -> None:
        worker.address = worker.wait_for(r"Start worker at: +(\S+:\d+)")[1]
        worker.wait_for("Registered to")
        # The worker hears of it before the scheduler's list has it.
        self.scheduler.wait_for(f"Starting worker compute stream, {re.escape(worker.address)}")

    def _start(
        self, role: str, python: str, *arguments: str, environ: dict[str, str] | None = None
    ) -> DaskProcess:
        name = f"{role}-{len(self.workers)}"
        command = [python, "-m", f"distributed.cli.dask_{role}", *arguments]
        space = ["--local-directory", str(self._folder)] if role == "worker" else []
        process = DaskProcess(
            # Port 0: the page that each serves even without a dashboard takes any free one.
            [*command, *space, "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
            self._folder / f"{name}.log",
            {**self._environ, **(environ or {})},
        )
        self._stack.callback(process.stop)
        return process
