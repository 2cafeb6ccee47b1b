"""Tells whether a task that ran in a warm child would have given the same in a process of its own.

What tasks leave in a process, such as globals and random numbers' state, later tasks of a warm
child find. Nothing else tells that their results depend on it.
"""

from pathlib import Path

import msgspec

from runner.async_runner import AsyncRunner
from runner.defaults import Isolation
from runner.diagnosis.report.text import one_line, printable
from runner.execution.bounded_map import Outcome
from runner.result import Result
from runner.settings import Settings
from runner.study.lines import DoneLine
from runner.study.output_files import OutputFile
from runner.task import Task

_LEAST_SECONDS = 1.0
_MOST_CHARACTERS = 60
_SHARE = 0.05
"""How much of a run's time it may take to run a task again."""


class WarmState:
    """Remembers the last task of a run that had others before it in its process."""

    def __init__(self) -> None:
        self._processes = set[int | None]()
        self._last: tuple[int, Task, DoneLine] | None = None
        self.notes: list[str] = []
        """The note of a task that gives others."""

    def done(self, index: int, task: Task, line: DoneLine) -> None:
        if line.isolation is Isolation.WARM:
            if line.child.pid in self._processes:
                self._last = index, task, line
            self._processes.add(line.child.pid)

    async def compare(self, settings: Settings, bundle: Path, seconds: float) -> None:
        """Run it again in a new process, where that takes little time beside the run's.

        :param seconds: that the run has taken.
        """
        if self._last is None:
            return
        index, task, line = self._last
        if line.cost.wall_seconds > max(_LEAST_SECONDS, seconds * _SHARE):
            return
        alone = msgspec.structs.replace(settings, isolation=Isolation.FRESH)
        async with AsyncRunner.of(alone) as runner:
            async for outcome in runner.map(bundle, [task], return_exceptions=True):
                if differs := _difference(line, outcome):
                    self.notes.append(
                        f"note: task {index} {differs} in a process of its own: its results depend"
                        " on the tasks before it (--isolation warm), or on what no seed reaches;"
                        " with --isolation fork they depend on none; check --reproducible tells"
                        " the rest"
                    )


def _difference(line: DoneLine, outcome: Outcome) -> str | None:
    if not isinstance(outcome, Result):
        return None if outcome.report.retryable else f"fails ({outcome.report.code.value})"
    outcome.files.remove()
    for name, made in line.outputs.items():
        if name not in outcome or OutputFile.of(outcome.buffer(name)).sha256 != made.sha256:
            return f"gives another {printable(one_line(name, _MOST_CHARACTERS))}"
    return None
