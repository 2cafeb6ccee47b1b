"""Which of many tasks are in hand, and whose outcome is next; sans-IO, for both of the faces."""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from runner.diagnosis.errors import RunnerError
from runner.inputs import InputCopies
from runner.result import Result
from runner.task import Task, as_given

Outcome: TypeAlias = Result | RunnerError


# How many tasks are in hand for each child: what it does next is ready when it is.
WINDOW = 2


class Window:
    """Bounds how many tasks are taken from an iterator ahead of the outcomes that are given out.

    :param size: how many at most are running, or done and not given out; it may be changed.
    :param ordered: whether outcomes are given out in the tasks' order, and not as they come.
    :raises ValueError: the size is less than one: no task would ever start.
    """

    def __init__(self, tasks: Iterable[Task], size: int, *, ordered: bool) -> None:
        self._tasks = enumerate(tasks)
        self._copies = InputCopies()
        self._exhausted = False
        self.size = size
        self._ordered = ordered
        self.due = 0
        """The number of the task whose outcome is given out next, where they are in order."""
        self._done: dict[int, Outcome] = {}
        self._in_hand = 0

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a window of {size} tasks lets none start")
        self._size = size

    def to_start(self) -> Iterator[tuple[int, Task]]:
        """The tasks that may be started now.

        :raises TypeError: what comes next is not a task.
        """
        while self._in_hand < self.size and not self._exhausted:
            numbered = next(self._tasks, None)
            if numbered is None:
                self._exhausted = True
                return
            index, task = numbered
            given = as_given(task, self._copies)
            self._in_hand += 1
            yield index, given

    @property
    def empty(self) -> bool:
        """Tell whether there are no more tasks, and all outcomes have been given out."""
        return self._exhausted and self._in_hand == 0

    def finish(self, index: int, outcome: Outcome) -> None:
        self._done[index] = outcome

    def next_outcome(self) -> tuple[int, Outcome] | None:
        """The next outcome to give out; ``None`` where it is not there yet."""
        index = self.due if self._ordered else next(iter(self._done), -1)
        if index not in self._done:
            return None
        self.due += 1
        self._in_hand -= 1
        return index, self._done.pop(index)


def unless_raised(outcome: Outcome, return_exceptions: bool) -> Outcome:
    """:raises RunnerError: it is a failure, and these are not to be returned."""
    if isinstance(outcome, RunnerError) and not return_exceptions:
        raise outcome
    return outcome
