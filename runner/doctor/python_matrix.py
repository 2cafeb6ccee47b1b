"""Tries a bundle on several Pythons: its environment built, loaded, and a task run on each."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import msgspec
from msgspec import Struct

from runner.bundle.model import Bundle
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.model import Report
from runner.execution.run_task import execute_task, reported
from runner.settings import Settings
from runner.task import Task


class Cell(Struct, frozen=True, kw_only=True):
    """The outcome of a bundle on one Python.

    :param version: what that was, as far as one was found.
    """

    python: str
    version: str | None
    seconds: float
    report: Report | None = None
    """``None``: its task has run."""

    @property
    def ok(self) -> bool:
        return self.report is None


async def try_pythons(
    bundle: Path,
    requests: Sequence[str],
    task: Callable[[Bundle], Task],
    settings: Settings,
    *,
    jobs: int,
    on_cell: Callable[[Cell], None] | None = None,
) -> list[Cell]:
    """Try a bundle on each of the Pythons.

    :param requests: as ``Runner(python=)`` takes them.
    :param task: gives the task, once the bundle is known to be one.
    :returns: the cells, in the order of the requests.
    """
    cells: list[Cell | None] = [None] * len(requests)
    limiter = anyio.CapacityLimiter(jobs)

    async def attempt(index: int, request: str) -> None:
        async with limiter:
            one = msgspec.structs.replace(settings, python=request)
            cell = cells[index] = await _try(bundle, request, task, one)
        if on_cell is not None:
            on_cell(cell)

    async with anyio.create_task_group() as tasks:
        for index, request in enumerate(requests):
            tasks.start_soon(attempt, index, request)
    return [cell for cell in cells if cell is not None]


async def _try(
    bundle: Path, request: str, task: Callable[[Bundle], Task], settings: Settings
) -> Cell:
    began, case = time.monotonic(), Case(environ=settings.variables())
    report = None
    try:
        with reported(case):
            await execute_task(case, settings, bundle, task)
    except RunnerError as error:
        report = error.report
    seconds = time.monotonic() - began
    version = None
    if case.child is not None and case.child.python is not None:
        version = case.child.python.version
    elif case.interpreter is not None and case.interpreter.chosen is not None:
        version = case.interpreter.chosen.split()[1]
    return Cell(python=request, version=version, seconds=round(seconds, 3), report=report)
