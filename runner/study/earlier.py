"""The tasks of a study that earlier runs have left, and which number a task has; sans-IO."""

from collections import deque
from collections.abc import Iterator
from enum import Enum
from itertools import count

from msgspec import Struct

from runner.diagnosis.report.codes import Code
from runner.study.lines import Manifest, Place
from runner.study.shards import Shard


class Standing(Enum):
    """The outcome of a task in earlier runs."""

    DONE = "done"
    FAILED = "failed"
    TO_RUN = "to run"
    EDITED = "of the bundle before an edit"
    OTHERWISE = "of other conditions"
    """It was run with another Python, lock, number of threads or variables than is asked for."""


class Known(Struct, frozen=True):
    """A task that an earlier run has left a line of.

    :param task: the digest of what the wire function was called with.
    :param code: why it failed.
    :param run: which run has left it.
    :param place: where its line is.
    """

    task: str
    standing: Standing
    code: Code | None = None
    run: int = 0
    place: Place | None = None


class Earlier:
    """The tasks of earlier runs, by their numbers.

    A task is known by what it is called with. It keeps its number wherever it stands among the
    tasks of a later run; a new one has its place as its number, where that is free, and one from
    :meth:`new_numbers` where it is not.
    """

    def __init__(self) -> None:
        self.made: dict[int, Manifest] = {}
        """The names of their outputs and files."""
        self._known: dict[int, Known] = {}
        self._numbers: dict[str, deque[int]] | None = None
        self._used: set[int] = set()

    @property
    def next_run(self) -> int:
        """The number of the run that comes now."""
        return max((known.run for known in self._known.values()), default=-1) + 1

    def learn(self, number: int, known: Known) -> bool:
        """Take a line; a later one stands for what an earlier one of that number said.

        :returns: whether no line of a later run is known.
        """
        if number in self._known and known.run < self._known[number].run:
            return False
        self._known[number] = known
        return True

    def take(self, task: str, place: int) -> tuple[int | None, Known]:
        """The number of a task, and what became of it. Of equal ones, each has its own.

        :returns: no number where it is new and its place is another's number.
        """
        if self._numbers is None:
            self._numbers = self._by_task()
        numbers = self._numbers.get(task)
        if numbers:
            number = numbers.popleft()
            return number, self._known.pop(number)
        known = Known(task, Standing.TO_RUN)
        if place in self._used:
            return None, known
        self._used.add(place)
        return place, known

    def new_numbers(self, total: int, shard: Shard | None) -> Iterator[int]:
        """Numbers that nobody has, once all tasks are taken.

        :param shard: of these, whose numbers no other shard gives, whatever it has read.
        """
        first = max(self._used, default=-1) + 1
        if shard is None:
            return count(first)
        # The places are those numbers that other shards give to their tasks.
        first = max(first, total)
        return count(first + (shard.number - 1 - first) % shard.count, shard.count)

    @property
    def left(self) -> set[int]:
        """The numbers of those that nobody has taken."""
        return set(self._known)

    def _by_task(self) -> dict[str, deque[int]]:
        numbers: dict[str, deque[int]] = {}
        # Of equal ones, those first that are done.
        order = {Standing.DONE: 0, Standing.FAILED: 1}
        for number in sorted(
            self._known, key=lambda number: (order.get(self._known[number].standing, 2), number)
        ):
            numbers.setdefault(self._known[number].task, deque()).append(number)
        self._used = set(self._known)
        return numbers
