"""The counts of what a runner has done so far."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterable

from msgspec import Struct

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase
from runner.result import Result


class Stats(Struct, frozen=True):
    """Counts since the runner was made; in a fork of its process, since the fork.

    :param children: how many it has now, with those that are being started or ended.
    :param tasks: how many have ended, well or not; those that were cancelled do not count.
    :param failures: how many runs have failed, by the code of their report: tasks, ``prepare`` and
        ``check``.
    :param seconds: those of all runs together, by phase. Runs that go on at the same time count
        each.
    """

    children: int
    tasks: int
    failures: dict[Code, int]
    seconds: dict[Phase, float]


class Tally:
    """The counts of one runner, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks = 0
        self._failures: Counter[Code] = Counter()
        # By the phases' values: those are what a result has, and take less time to look up.
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def done(self, result: Result) -> None:
        self.ran(result.timings.phases.items(), tasks=1)

    def failed(self, report: Report, *, tasks: int) -> None:
        phases = [(timing.phase.value, timing.seconds) for timing in report.timeline]
        with self._lock:
            self._failures[report.code] += 1
        self.ran(phases, tasks=tasks)

    def ran(self, phases: Iterable[tuple[str, float]], *, tasks: int) -> None:
        with self._lock:
            self._tasks += tasks
            for phase, seconds in phases:
                self._seconds[phase] += seconds

    def stats(self, children: int) -> Stats:
        with self._lock:
            seconds = {Phase(phase): spent for phase, spent in self._seconds.items()}
            return Stats(children, self._tasks, dict(self._failures), seconds)
