"""What earlier runs have left of a study's tasks, and which number a task has; sans-IO."""

from collections import deque
from enum import Enum

from msgspec import Struct

from runner.diagnosis.report.codes import Code
from runner.study.lines import Manifest


class Standing(Enum):
    """What became of a task in earlier runs."""

    DONE = "done"
    FAILED = "failed"
    TO_RUN = "to run"
    """It is not done with this bundle, under these conditions."""


class Known(Struct, frozen=True):
    """A task that an earlier run has left a line of.

    :param task: the digest of what the wire function was called with.
    :param code: why it failed.
    """

    task: str
    standing: Standing
    code: Code | None = None


class Earlier:
    """The tasks of earlier runs, by their numbers.

    A task is known by what it is called with. It keeps its number wherever it stands among the
    tasks of a later run; a new one has its place as its number, where that is free.
    """

    def __init__(self) -> None:
        self.made: dict[int, Manifest] = {}
        """The names of their outputs and files."""
        self._known: dict[int, Known] = {}
        self._numbers: dict[str, deque[int]] | None = None
        self._used: set[int] = set()
        self._next = 0

    def learn(self, number: int, known: Known) -> None:
        """Take a line; a later one stands for what an earlier one of that number said."""
        self._known[number] = known

    def take(self, task: str, place: int) -> tuple[int, Known]:
        """The number of a task, and what became of it. Of equal ones, each has its own.

        :param place: where it stands among the tasks, from 0 on.
        """
        if self._numbers is None:
            self._numbers = self._by_task()
        numbers = self._numbers.get(task)
        if numbers:
            number = numbers.popleft()
            return number, self._known.pop(number)
        number = place
        if number in self._used:
            number = self._next
        self._used.add(number)
        self._next = max(self._next, number + 1)
        return number, Known(task, Standing.TO_RUN)

    @property
    def left(self) -> set[int]:
        """The numbers of those that nobody has taken."""
        return set(self._known)

    def _by_task(self) -> dict[str, deque[int]]:
        numbers: dict[str, deque[int]] = {}
        # Of equal ones, those first that are done.
        order = {Standing.DONE: 0, Standing.FAILED: 1, Standing.TO_RUN: 2}
        for number in sorted(
            self._known, key=lambda number: (order[self._known[number].standing], number)
        ):
            numbers.setdefault(self._known[number].task, deque()).append(number)
        self._used = set(self._known)
        self._next = max(self._used, default=-1) + 1
        return numbers
