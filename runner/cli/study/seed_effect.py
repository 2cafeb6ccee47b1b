"""Notices tasks that come out the same whatever their seed is: their replicates are one."""

from collections.abc import Mapping

from runner.study.output_files import OutputFile
from runner.task import Task

_TELLING = 3
"""So many tasks with the same outputs are no chance."""


class SeedEffect:
    """Compares those tasks of a run that differ from the first one in the seed alone."""

    def __init__(self) -> None:
        self._first: Task | None = None
        self._outputs: dict[str, str] = {}
        self._same = 0
        """How many had the same outputs, as long as none had others."""

    def done(self, task: Task, outputs: Mapping[str, OutputFile]) -> None:
        """A task has been done."""
        if self._first is None:
            self._first, self._outputs, self._same = task, _digests(outputs), 1
        elif self._same and _but_for_seed(task) == _but_for_seed(self._first):
            self._same = self._same + 1 if _digests(outputs) == self._outputs else 0

    def notes(self) -> list[str]:
        """Return what there is to say of it."""
        if self._same < _TELLING:
            return []
        return [
            f"note: {self._same} tasks that differ in their seed alone have the same outputs: the"
            " model does not use it, or seeds its generators itself"
        ]


def _but_for_seed(task: Task) -> tuple[object, ...]:
    return task.entrypoint, task.params, task.function


def _digests(outputs: Mapping[str, OutputFile]) -> dict[str, str]:
    return {name: output.sha256 for name, output in outputs.items()}
