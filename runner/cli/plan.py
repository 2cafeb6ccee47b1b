"""The tasks of a study that are left to do."""

import json
import tempfile
from collections import Counter
from typing import IO

from msgspec import Struct

from runner.diagnosis.report.codes import Code
from runner.study.earlier import Earlier, Standing
from runner.study.lines import task_digest
from runner.task import Task

# They wait in memory up to this size, and in an unnamed file from there on.
_IN_MEMORY_BYTES = 16 << 20


class GivenTask(Struct, frozen=True):
    """A task as it is given.

    :param id: whatever the caller calls it.
    :param digest: of what the wire function is called with, once that is known.
    """

    task: Task
    id: str | int | float | None = None
    digest: str = ""


class Plan:
    """The tasks that are left to do, in their order."""

    def __init__(self) -> None:
        self.total = 0
        self.skipped = 0
        """How many are done already."""
        self.failed_before: Counter[Code] = Counter()
        """Those that have failed before, and are not run again."""
        # close() closes it.
        self._left: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115

    def add(self, given: GivenTask, earlier: Earlier, *, again: bool = False) -> None:
        """Take the next task of a study.

        :param given: it has an entry point.
        :param earlier: knows its number, and whether it is to be run.
        :param again: whether one that has failed before is.
        """
        task = given.task
        digest = task_digest(task)
        number, known = earlier.take(digest, self.total)
        self.total += 1
        if known.standing is Standing.DONE:
            self.skipped += 1
        elif known.standing is Standing.FAILED and known.code is not None and not again:
            self.failed_before[known.code] += 1
        else:
            line = [number, task.entrypoint, task.params, task.seed, given.id, digest]
            self._left.write(json.dumps(line).encode() + b"\n")

    def begin(self) -> None:
        """All are there."""
        self._left.seek(0)

    def next(self) -> tuple[int, GivenTask] | None:
        """The number of the next task to run, and the task; ``None`` where there is none."""
        line = self._left.readline()
        if not line:
            return None
        number, entrypoint, params, seed, name, digest = json.loads(line)
        return number, GivenTask(Task(entrypoint, params, seed), name, digest)

    def close(self) -> None:
        self._left.close()
