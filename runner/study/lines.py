"""The lines that a study's tasks leave in ``results.jsonl``, one for each."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from bundle_protocol.messages import MAX_MESSAGE_BYTES
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, PythonInfo, Report
from runner.diagnosis.report.text import printable
from runner.result import Cost
from runner.settings import Isolation, Settings
from runner.stored_files import DamagedError, open_stored, read_stored
from runner.study.output_files import OutputFile, outputs_folder
from runner.study.shards import parts
from runner.task import Task

T = TypeVar("T")

FILE = "results.jsonl"
MOST_LINE_BYTES = MAX_MESSAGE_BYTES + (1 << 20)
"""A task's parameters travel as one message."""

_MOST_OPEN = 100
"""The number of files of a study's shards that are open at a time."""


def task_digest(task: Task) -> str:
    """The digest of all that a function is called with, and of its name where it has one.

    The task has an entry point.
    """
    called = [task.entrypoint, task.params, task.seed]
    if task.function is not None:
        called.append(task.function)
    return _digest(json.dumps(called, sort_keys=True).encode())


class Study(Struct, frozen=True, omit_defaults=True):
    """Whose results these are."""

    bundle: str | None
    path: str

    @classmethod
    def of(cls, bundle: BundleInfo) -> "Study":
        # A name that is not UTF-8 has lone surrogates, which msgspec refuses to decode.
        path = str(Path(bundle.path).resolve()).encode(errors="replace").decode()
        return cls(bundle.name, path)

    def is_same(self, digest: str | None, other: "Study | None", its_digest: str | None) -> bool:
        """Tell whether two are of one bundle: moved with its content, or edited in its place.

        :param digest: of this one's bundle.
        """
        if digest is not None and digest == its_digest:
            return True
        return other is not None and (self.bundle, self.path) == (other.bundle, other.path)

    def __str__(self) -> str:
        return printable(f"the bundle {self.bundle or ''} ({self.path})".replace("  ", " "))


class Manifest(Struct, frozen=True):
    """The names of what a task has made; beside a single task's outputs it tells them again.

    :param files: the paths of the files that it has left.
    :param printed: the streams that it has printed to.
    :param story: whether the folder's line and account are this single task's.
    """

    outputs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    printed: tuple[str, ...] = ()
    story: bool = False

    def and_of(self, other: "Manifest") -> "Manifest":
        """Return what either of two has."""
        return Manifest(
            tuple(dict.fromkeys((*self.outputs, *other.outputs))),
            tuple(dict.fromkeys((*self.files, *other.files))),
            tuple(dict.fromkeys((*self.printed, *other.printed))),
            self.story or other.story,
        )


class Asked(Struct, frozen=True, omit_defaults=True):
    """The conditions that a task was to run on.

    :param python: the request (``--python``).
    :param lock: the digest of the file that has the versions (``--lock``).
    :param ignore_lock: whether the bundle's own says nothing (``--ignore-lock``).
    :param threads: ``--threads``.
    :param env: the digest of the variables that the run has asked for (``--env``).
    """

    python: str | None = None
    lock: str | None = None
    threads: int | None = None
    env: str | None = None
    ignore_lock: bool = False

    @classmethod
    def of(cls, settings: Settings) -> "Asked":
        try:
            text = None if settings.lock is None else read_stored(settings.lock)
        except (OSError, DamagedError):
            text = b""  # it is told when the environment is made
        lock = None if text is None else _digest(text)
        # A digest, because a value may be a secret.
        variables = json.dumps(sorted(settings.env.items())).encode()
        return cls(
            settings.python,
            lock,
            settings.threads,
            _digest(variables) if settings.env else None,
            settings.ignore_lock,
        )


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class LineChild(Struct, frozen=True):
    pid: int | None
    python: PythonInfo | None


class _TaskLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task that a line is of.

    :param params: with secrets masked.
    :param function: the function that was called; ``None``: the wire function.
    :param task: the digest of what the wire function was called with.
    :param bundle: the digest of the bundle that it was called in.
    :param run: how many runs the folder had seen: a later run's line stands for an earlier one's,
        in whichever file it is.
    :param printed: what it has written to its standard output and error, where that is kept.
    :param single: whether it is a run's only task, whose outputs lie beside the line.
    """

    index: int
    id: str | int | float | None = None
    ok: bool
    entrypoint: str | None
    params: dict[str, Any]
    seed: int
    function: str | None = None
    task: str
    bundle: str | None
    study: Study
    asked: Asked = Asked()
    run: int = 0
    printed: dict[str, OutputFile] = {}
    single: bool = False


class DoneLine(_TaskLine, frozen=True, kw_only=True, omit_defaults=True):
    """A task that was done.

    :param files: the files that the task left, where they are kept.
    """

    outputs: dict[str, OutputFile]
    files: dict[str, OutputFile] = {}
    cost: Cost
    child: LineChild
    isolation: Isolation
    isolation_note: str | None = None
    threads: int | None = None
    notes: tuple[str, ...] = ()
    read_files: tuple[str, ...] = ()

    @property
    def made(self) -> Manifest:
        return Manifest(tuple(self.outputs), tuple(self.files), tuple(self.printed))


class FailedLine(_TaskLine, frozen=True, kw_only=True, omit_defaults=True):
    """A task that failed."""

    report: Report


class FailedFor(Struct, frozen=True):
    """The part of a report that says why a task failed."""

    code: Code
    retryable: bool = False
    summary: str = ""


class TaskLine(Struct, frozen=True, kw_only=True):
    """Either line as it is read again; those of earlier releases lack some of it."""

    index: int
    ok: bool
    task: str
    id: str | int | float | None = None
    entrypoint: str | None = None
    params: dict[str, Any] | None = None
    seed: int = 0
    function: str | None = None
    bundle: str | None = None
    asked: Asked = Asked()
    run: int = 0
    outputs: dict[str, OutputFile] = {}
    files: dict[str, OutputFile] = {}
    printed: dict[str, OutputFile] = {}
    study: Study | None = None
    isolation: Isolation = Isolation.FORK
    threads: int | None = None
    read_files: tuple[str, ...] = ()
    child: LineChild | None = None
    report: FailedFor | None = None
    single: bool = False

    def outputs_in(self, folder: Path) -> Path:
        """Where in the folder of ``--output`` the task's outputs are."""
        return folder if self.single else outputs_folder(folder, self.index)

    @property
    def made(self) -> Manifest:
        return Manifest(tuple(self.outputs), tuple(self.files), tuple(self.printed))


def decode_line(text: bytes) -> TaskLine | None:
    """Read a line; ``None`` where it is none."""
    return decoded_as(text, TaskLine)


def decoded_as(text: bytes, kind: type[T]) -> T | None:
    """Read a line as it was written; ``None`` where it is no such one."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        pass
    try:  # msgspec refuses the lone surrogates that an id may have
        return msgspec.convert(json.loads(text), kind)
    except (ValueError, RecursionError):
        return None


class Place(NamedTuple):
    """Where a line begins."""

    file: str
    at: int


def stored_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; one that is longer than any of ours comes in pieces."""
    return iter(partial(file.readline, MOST_LINE_BYTES), b"")


def last_places(folder: Path) -> list[Place]:
    """Where each task's last line begins, in the order of the tasks' numbers.

    :raises OSError: a file cannot be read.
    """
    last: dict[int, tuple[int, Place]] = {}  # with their runs
    for name in parts(folder, FILE):
        at = 0
        with open_stored(folder / name, follow=False) as file:
            for text in stored_lines(file):
                # The last one may be torn: a run is writing it, or was killed.
                line = decode_line(text) if text.endswith(b"\n") else None
                if line is not None and last.get(line.index, (0,))[0] <= line.run:
                    last[line.index] = line.run, Place(name, at)
                at += len(text)
    return [last[index][1] for index in sorted(last)]


def lines_at(folder: Path, places: Iterable[Place]) -> Iterator[TaskLine]:
    """The lines at these places.

    :raises OSError: a file cannot be read.
    """
    opened: dict[str, BinaryIO] = {}
    with ExitStack() as stack:
        for name, at in places:
            if name not in opened:
                if len(opened) == _MOST_OPEN:
                    stack.close()
                    opened.clear()
                file = open_stored(folder / name, follow=False)
                opened[name] = stack.enter_context(file)
            opened[name].seek(at)
            if (line := decode_line(opened[name].readline(MOST_LINE_BYTES))) is not None:
                yield line
