"""A real child of a bundle, as the tests drive it: its events, report, and what it leaves."""

import functools
import os
import select
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import anyio
import psutil
import pytest

from runner.child.facts import Launch
from runner.child.start import open_session
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.model import BundleInfo, Report
from runner.events import Event, Output, Phase, Stream
from runner.process.exits import exit_descriptor
from runner.task import Task

PYTHON_VERSION = ".".join(map(str, sys.version_info[:3]))
WIRE = """
def wire(entrypoint, params, seed):
    return {'out': repr((entrypoint, params, seed)).encode()}
"""


def command_line(process: psutil.Process) -> list[str]:
    """Nothing, where the process has ended, or is in the midst of its execve(2)."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def children_that_run(word: str) -> list[psutil.Process]:
    """Those of this process whose command line has an argument that ends with the word."""
    return [
        child
        for child in psutil.Process().children()
        if any(argument.endswith(word) for argument in command_line(child))
    ]


def still_running(
    processes: Iterable[psutil.Process | int], seconds: float = 10
) -> list[psutil.Process]:
    """Those, of processes or their numbers, that have not ended within the seconds.

    An orphan has ended before its init reaps it, which a container's may do late or never.
    """
    until, running = time.monotonic() + seconds, []
    for one in processes:
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            process = psutil.Process(one) if isinstance(one, int) else one
            descriptor = exit_descriptor(process.pid) if process.is_running() else None
            if descriptor is None:
                if psutil.wait_procs([process], max(0, until - time.monotonic()))[1]:
                    running.append(process)
                continue
            try:
                if not select.select([descriptor], [], [], max(0, until - time.monotonic()))[0]:
                    running.append(process)
            finally:
                os.close(descriptor)
    return running


@functools.cache
def full_version(python: Path) -> str:
    """The version of an interpreter: ``3.13.0``."""
    command = [python, "-c", "import platform; print(platform.python_version())"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


class Child:
    """A case, and how long after the death its failure was known."""

    def __init__(self, folder: Path, python: Path = Path(sys.executable)) -> None:
        self.events: list[Event] = []
        self.environ = {**os.environ, "MODELOPS_TEST": uuid.uuid4().hex}
        self.case = Case(self.events.append)
        self.case.bundle = BundleInfo(path=str(folder))
        self.launch = Launch(
            python=python,
            python_version=PYTHON_VERSION,
            bundle=folder,
            wire="wire.py:wire",
            project=None,
            installed=False,
            site=[],
            env=(),
        )

    async def run(
        self, *, params: dict[str, object] | None = None, startup: float = 30, limit: float = 30
    ) -> dict[str, bytes]:
        with anyio.fail_after(60):
            async with open_session(
                self.launch, case=self.case, environ=self.environ, startup_timeout=startup
            ) as session:
                with self.case.journal.phase(Phase.EXECUTE):
                    outputs, _ = await session.execute(Task("main", params or {}, 7), limit)
                    return outputs

    async def fail(
        self, *, params: dict[str, object] | None = None, startup: float = 30, limit: float = 30
    ) -> Report:
        began = time.monotonic()
        with pytest.raises(Failure) as caught:
            await self.run(params=params, startup=startup, limit=limit)
        seconds = time.monotonic() - began
        report = self.case.report(caught.value.finding)
        assert report.child is not None
        if report.child.lifetime_seconds is not None:
            self.seconds_after_death = seconds - report.child.lifetime_seconds
            # The promise is 0.5 s on an idle machine; what is asserted here is that nothing waits
            # for a time limit. scripts/bench_* measures.
            assert self.seconds_after_death < 10
        assert not self.left_behind(), "a process outlived its session"
        return report

    def left_behind(self) -> list[psutil.Process]:
        """Live processes that this session started, wherever they went."""
        found = []
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("MODELOPS_TEST") == self.environ["MODELOPS_TEST"]
                if marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def output(self, stream: Stream) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, Output) and event.stream is stream
        )
