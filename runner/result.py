"""The result of a run that went well."""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, SupportsIndex

from msgspec import Struct

from runner.child.left_files import NO_FILES, LeftFiles
from runner.child.messages import Executed
from runner.defaults import Isolation
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import (
    BundleInfo,
    ChildInfo,
    EnvironmentInfo,
    InterpreterInfo,
    WorkerInfo,
)


class Timings(Struct, frozen=True):
    """Where the seconds went. A task that found a child ready has the phase ``execute`` only."""

    total_seconds: float
    phases: dict[str, float]


class Cost(Struct, frozen=True):
    """The cost of a task, as the process that ran it measured it.

    :param wall_seconds: within the wire function.
    :param cpu_seconds: likewise, of all its threads and of the processes it waited for.
    :param max_rss_bytes: the process's peak of resident memory. A ``fork`` begins with what it
        shares with the child, a ``warm`` child's is the peak over all of its tasks so far.
    """

    wall_seconds: float
    cpu_seconds: float
    max_rss_bytes: int | None


class Result(Mapping[str, bytes]):
    """A task's outputs, name to bytes, and how they came about.

    ``result[name]`` is ``bytes``, ``result.buffer(name)`` the same without a copy. Pickling copies
    a large output once; with protocol 5 and out-of-band buffers (PEP 574), not at all.

    :param bundle: the bundle as it was when the task ran.
    :param isolation: what the task had.
    :param isolation_note: why, where it is not what was asked for.
    :param threads: how many threads numerical libraries were to start, which results may depend
        on; ``None`` where ``OMP_NUM_THREADS`` is not a number.
    :param files: the files that the task has left in its working folder.
    :param notes: what a reader of the result should know, each on one line that is safe to print.
    :param read_files: the files that the task, or the bundle's import, has read outside of the
        bundle and of its working folder, as far as that was noticed.
    """

    __slots__ = ("_values", "bundle", "child", "cost", "files", "isolation", "isolation_note",
                 "notes", "read_files", "threads", "timings", "worker")  # fmt: skip

    def __init__(
        self,
        outputs: dict[str, bytes | memoryview],
        bundle: BundleInfo,
        child: ChildInfo,
        worker: WorkerInfo,
        timings: Timings,
        cost: Cost,
        isolation: Isolation,
        isolation_note: str | None = None,
        notes: tuple[str, ...] = (),
        threads: int | None = None,
        files: LeftFiles = NO_FILES,
        read_files: tuple[str, ...] = (),
    ) -> None:
        self._values = outputs
        self.bundle = bundle
        self.child = child
        self.worker = worker
        self.timings = timings
        self.cost = cost
        self.isolation = isolation
        self.isolation_note = isolation_note
        self.notes = notes
        self.threads = threads
        self.files = files
        self.read_files = read_files

    @classmethod
    def of(
        cls,
        case: Case,
        began: float,
        outputs: dict[str, bytes | memoryview],
        executed: Executed,
        isolation: Isolation,
        isolation_note: str | None = None,
        threads: int | None = None,
        files: LeftFiles | None = None,
    ) -> "Result":
        """The result of a case.

        :param began: when it was asked for, on the monotonic clock.
        """
        assert case.bundle is not None and case.child is not None and case.worker is not None
        # Not .value: that is a descriptor in Python, up to 3.11.
        phases = {phase.phase._value_: phase.seconds for phase in case.journal.phases}
        # By position: by keyword, so many take as long as the rest.
        return cls(
            outputs,
            case.bundle,
            case.child,
            case.worker,
            Timings(time.monotonic() - began, phases),
            Cost(executed.wall_seconds, executed.cpu_seconds, executed.max_rss_bytes),
            isolation,
            isolation_note,
            executed.notes,
            threads,
            NO_FILES if files is None else files,
            executed.read_files,
        )

    def __getitem__(self, name: str) -> bytes:
        value = self._values[name]
        if not isinstance(value, bytes):
            # In place of the mapping, which goes unless a caller of buffer() has it.
            value = self._values[name] = bytes(value)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def buffer(self, name: str) -> memoryview:
        """An output's bytes where they are, read-only, and there for as long as it is referred to.

        What reads buffers takes it without a copy: ``numpy.frombuffer``, ``pyarrow.py_buffer``,
        ``open(..., "wb").write``. Its length is the output's size.

        :raises KeyError: there is no such output.
        """
        return memoryview(self._values[name]).toreadonly()

    def with_outputs(self, outputs: Mapping[str, bytes | memoryview]) -> "Result":
        """This result with outputs added."""
        return Result({**self._values, **outputs}, **self._rest())

    def without_outputs(self, names: Collection[str]) -> "Result":
        """This result with outputs left out."""
        kept = {name: value for name, value in self._values.items() if name not in names}
        return Result(kept, **self._rest())

    @property
    def outputs(self) -> Mapping[str, bytes]:
        """The outputs: this mapping itself."""
        return self

    def __sizeof__(self) -> int:
        """The bytes that it holds: by that, Dask knows what a worker has in its memory."""
        return object.__sizeof__(self) + sum(map(len, self._values.values()))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name!r}: {len(data)} bytes" for name, data in self._values.items())
        return f"<Result {{{sizes}}}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        from pickle import PickleBuffer  # there by now, and not before

        wrap = PickleBuffer if protocol.__index__() >= 5 else bytes
        values = {
            name: value if isinstance(value, bytes) else wrap(value)
            for name, value in self._values.items()
        }
        return _unpickled, (values, self._rest())

    def _rest(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "_values"}


def _unpickled(values: dict[str, bytes | memoryview], rest: dict[str, Any]) -> Result:
    return Result(values, **rest)


class Check(Struct, frozen=True):
    """All that is known of a bundle without running a task.

    ``environment`` and ``child`` are ``None`` where nothing was built.

    :param withheld: the names of the worker's variables that the bundle's code does not get.
    """

    bundle: BundleInfo
    interpreter: InterpreterInfo
    environment: EnvironmentInfo | None
    child: ChildInfo | None
    threads: int | None = None
    """How many threads numerical libraries would have; ``None`` where no child was started."""
    withheld: tuple[str, ...] = ()
