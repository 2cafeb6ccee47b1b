"""Which of many tasks are in hand, and whose outcome is next; sans-IO, for both of the faces."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

from runner.diagnosis.errors import RunnerError
from runner.result import Result
from runner.task import Task

Outcome: TypeAlias = Result | RunnerError


# How many tasks are in hand for each child: what it does next is ready when it is.
WINDOW = 2


class Window:
    """Bounds how many tasks are taken from an iterator ahead of the outcomes that are given out.

    :param size: how many at most are running, or done and not given out.
    :param ordered: whether outcomes are given out in the tasks' order, and not as they come.
    """

    def __init__(self, tasks: Iterable[Task], size: int, *, ordered: bool) -> None:
        self._tasks = enumerate(tasks)
        self.size = size
        self._ordered = ordered
        self._due = 0
        self._done: dict[int, Outcome] = {}
        self._in_hand = 0

    def to_start(self) -> Iterator[tuple[int, Task]]:
        """The tasks that may be started now."""
        for numbered in islice(self._tasks, max(0, self.size - self._in_hand)):
            self._in_hand += 1
            yield numbered

    @property
    def empty(self) -> bool:
        """Whether all has been given out, once :meth:`to_start` has nothing more."""
        return self._in_hand == 0

    def finish(self, index: int, outcome: Outcome) -> None:
        self._done[index] = outcome

    def next_outcome(self) -> tuple[int, Outcome] | None:
        """The next outcome to give out; ``None`` where it is not there yet."""
        index = self._due if self._ordered else next(iter(self._done), -1)
        if index not in self._done:
            return None
        self._due += 1
        self._in_hand -= 1
        return index, self._done.pop(index)


def unless_raised(outcome: Outcome, return_failures: bool) -> Outcome:
    """:raises RunnerError: it is a failure, and these are not to be returned."""
    if isinstance(outcome, RunnerError) and not return_failures:
        raise outcome
    return outcome
