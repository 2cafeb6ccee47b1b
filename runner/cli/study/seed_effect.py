"""Notices tasks that come out the same whatever their seed is: their replicates are one."""

import msgspec

from runner.study.lines import DoneLine, task_digest
from runner.task import Task

_TELLING = 3
"""So many tasks with the same outputs are no chance."""


class SeedEffect:
    """Compares those tasks of a run that differ from the first one in the seed alone."""

    def __init__(self) -> None:
        self._first: Task | None = None
        self._made: list[dict[str, str]] = []
        """The digests of its outputs, and of the files that it has left."""
        self._seeds = set[int]()
        """Those that had the same outputs, as long as none had others."""
        self._differ = False

    def done(self, task: Task, line: DoneLine) -> None:
        if self._differ:
            return
        if self._first is None:
            self._first, self._made = task, _made(line)
        if _are_called_alike(task, self._first):
            self._seeds.add(task.seed)
            self._differ = _made(line) != self._made

    def notes(self) -> list[str]:
        if self._differ or len(self._seeds) < _TELLING:
            return []
        return [
            f"note: {len(self._seeds)} tasks that differ in their seed alone have the same outputs:"
            " the model does not use it, or seeds its generators itself"
        ]


def _are_called_alike(one: Task, other: Task) -> bool:
    """Tell whether they are called with the same, but for the seed: 1, 1.0 and true are not."""
    one, other = (msgspec.structs.replace(task, seed=0) for task in (one, other))
    # Most of a grid's differ, and a digest takes as long as a small task's line.
    return one == other and task_digest(one) == task_digest(other)


def _made(line: DoneLine) -> list[dict[str, str]]:
    return [
        {name: output.sha256 for name, output in each.items()}
        for each in (line.outputs, line.files)
    ]
