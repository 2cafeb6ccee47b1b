"""Tells whether tasks that ran in a warm child would have given the same in processes of their own.

What tasks leave in a process, such as globals and random numbers' state, later tasks of a warm
child find. Nothing else tells that their results depend on it.
"""

from itertools import accumulate
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
"""How much of a run's time it may take to run tasks again."""
_COMPARED = 3

_Done = tuple[int, Task, DoneLine]


class WarmState:
    """Remembers the last task of a run that had others before it in its process, and some more."""

    def __init__(self) -> None:
        self._processes = set[int | None]()
        self._some: list[_Done] = []
        """By the digests of their calls, which chooses from anywhere in the run; the last comes
        first."""
        self.notes: list[str] = []
        """The note of a task that gives others."""

    def done(self, index: int, task: Task, line: DoneLine) -> None:
        if line.isolation is Isolation.WARM:
            if line.child.pid in self._processes:
                others = sorted(self._some, key=_digest)[: _COMPARED - 1]
                self._some = [(index, task, line), *others]
            self._processes.add(line.child.pid)

    async def compare(self, settings: Settings, bundle: Path, seconds: float) -> None:
        """Run them again in new processes, as many as take little time beside the run's.

        :param seconds: that the run has taken.
        """
        taken = accumulate(line.cost.wall_seconds for _, _, line in self._some)
        most = max(_LEAST_SECONDS, seconds * _SHARE)
        some = self._some[: sum(one <= most for one in taken)]
        if not some:
            return
        alone = msgspec.structs.replace(settings, isolation=Isolation.FRESH)
        tasks = [task for _, task, _ in some]
        compared = iter(some)
        async with AsyncRunner.of(alone) as runner:
            async for outcome in runner.map(bundle, tasks, return_exceptions=True):
                index, _, line = next(compared)
                differs = _difference(line, outcome)
                if differs and not self.notes:
                    self.notes.append(
                        f"note: task {index} {differs} in a process of its own: its results depend"
                        " on the tasks before it (--isolation warm), or on what no seed reaches;"
                        " with --isolation fork they depend on none; check --reproducible tells"
                        " the rest"
                    )


def _digest(done: _Done) -> str:
    return done[2].task


def _difference(line: DoneLine, outcome: Outcome) -> str | None:
    if not isinstance(outcome, Result):
        return None if outcome.report.retryable else f"fails ({outcome.report.code.value})"
    outcome.files.remove()
    for name, made in line.outputs.items():
        if name not in outcome or OutputFile.of(outcome.buffer(name)).sha256 != made.sha256:
            return f"gives another {printable(one_line(name, _MOST_CHARACTERS))}"
    return None
