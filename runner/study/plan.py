"""The tasks of a study that are left to do."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from typing import IO

from msgspec import Struct
from msgspec.structs import replace

from runner.diagnosis.report.codes import Code
from runner.study.earlier import Earlier, Known, Standing
from runner.study.lines import task_digest
from runner.study.shards import Shard
from runner.task import Task

# They wait in memory up to this size, and in an unnamed file from there on.
_IN_MEMORY_BYTES = 16 << 20
_MOST_COMPARED = 100_000
_RUN_AGAIN = {
    Standing.EDITED: "before the bundle was edited",
    Standing.OTHERWISE: "with another --python, --lock, --threads or --env",
    Standing.DONE: "before a file was changed that they read or have made",
}
"""When tasks ran that have results, and run again."""


class GivenTask(Struct, frozen=True):
    """A task as it is given.

    :param digest: of what the wire function is called with, once that is known.
    """

    task: Task
    id: str | int | float | None = None
    digest: str = ""


class Taken(Struct, frozen=True):
    """A task that has its place in a study.

    :param number: of the task; ``None``: it gets one when all are there.
    :param known: what became of it in earlier runs.
    """

    given: GivenTask
    number: int | None
    known: Known

    @property
    def done(self) -> bool:
        """Tell whether an earlier run has done it; its outputs may be gone since."""
        return self.known.standing is Standing.DONE


class Plan:
    """The tasks that are left to do, in their order.

    :param shard: has every so many of them; equal ones are in one shard, which gives each of them
        its number.
    """

    def __init__(self, shard: Shard | None = None) -> None:
        self._shard = shard
        self._shard_of: dict[bytes, int] = {}
        self._places = 0
        self._new_numbers: Iterator[int] = iter(())
        self._compared = set[str]()
        self._repeated = 0
        self.total = 0
        self.skipped = 0
        """How many are done already."""
        self.failed_before: Counter[Code] = Counter()
        """Those that have failed before, and are not run again."""
        self._run_again: Counter[Standing] = Counter()
        # close() closes it.
        self._left: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115

    def take(self, given: GivenTask, earlier: Earlier) -> Taken | None:
        """Take the next task of a study.

        :returns: nothing where it is another shard's.
        """
        digest = task_digest(given.task)
        self._repeated += digest in self._compared
        if len(self._compared) < _MOST_COMPARED:
            self._compared.add(digest)
        number, known = earlier.take(digest, self._places)
        self._places += 1
        if not self._is_ours(digest):
            return None
        return Taken(replace(given, digest=digest), number, known)

    def add(self, one: Taken, *, is_there: bool, again: bool = False) -> bool:
        """Have a task run, unless it is done or has failed.

        :param is_there: whether it is done, and what it has made is still as it was.
        :param again: whether one that has failed before is run.
        :returns: whether it is to be run.
        """
        self.total += 1
        known = one.known
        if is_there:
            self.skipped += 1
            return False
        if known.standing is Standing.FAILED and known.code is not None and not again:
            self.failed_before[known.code] += 1
            return False
        self._run_again[known.standing] += 1
        task, given = one.given.task, one.given
        line = [
            *(one.number, task.entrypoint, task.params, task.seed, task.function),
            *(given.id, given.digest),
        ]
        self._left.write(json.dumps(line).encode() + b"\n")
        return True

    def _is_ours(self, digest: str) -> bool:
        if self._shard is None:
            return True
        key, turn = bytes.fromhex(digest.rpartition(":")[2]), len(self._shard_of)
        return self._shard_of.setdefault(key, turn % self._shard.count) == self._shard.number - 1

    def begin(self, earlier: Earlier) -> None:
        """All are there."""
        self._shard_of.clear()
        self._compared.clear()
        self._new_numbers = earlier.new_numbers(self._places, self._shard)
        self._left.seek(0)

    @property
    def notes(self) -> list[str]:
        """Return what there is to say of tasks that are run again, or are called with the same."""
        notes = [
            f"note: to run again: {count}, which ran {_RUN_AGAIN[standing]}"
            for standing, count in self._run_again.items()
            if standing in _RUN_AGAIN
        ]
        if self._repeated:
            are = "task is" if self._repeated == 1 else "tasks are"
            notes.append(
                f"note: {self._repeated} {are} called as one before is, with its seed: the results"
                " are the same again, and count twice in a mean. Give each a seed of its own"
            )
        return notes

    def next(self) -> tuple[int, GivenTask] | None:
        """The number of the next task to run, and the task; ``None`` where there is none."""
        line = self._left.readline()
        if not line:
            return None
        number, entrypoint, params, seed, function, name, digest = json.loads(line)
        if number is None:
            number = next(self._new_numbers)
        return number, GivenTask(Task(entrypoint, params, seed, function=function), name, digest)

    def close(self) -> None:
        self._left.close()
