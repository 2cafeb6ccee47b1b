"""The lines that a run of many tasks leaves, one for each; and what an earlier run has left."""

import fcntl
import hashlib
import json
import mmap
import os
import select
import shutil
import stat
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec
from msgspec import Struct

from runner.cli.commands import UsageError
from runner.cli.result import OutputFile, file_name
from runner.cli.task_file import read_lines
from runner.diagnosis.report.model import PythonInfo, Report
from runner.result import Cost
from runner.settings import Isolation, Settings

FILE = "results.jsonl"


class Asked(Struct, frozen=True, omit_defaults=True):
    """What a task was to run on.

    :param python: the request (``--python``).
    :param lock: the digest of the file that has the versions (``--lock``).
    :param threads: ``--threads``.
    :param env: the digest of the variables that the run has asked for (``--env``).
    """

    python: str | None = None
    lock: str | None = None
    threads: int | None = None
    env: str | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Asked":
        try:
            text = None if settings.lock is None else settings.lock.read_bytes()
        except OSError:
            text = b""  # it is told when the environment is made
        lock = None if text is None else _digest(text)
        # A digest, because a value may be a secret.
        variables = json.dumps(sorted(settings.env.items())).encode()
        return cls(
            settings.python,
            lock,
            settings.threads,
            _digest(variables) if settings.env else None,
        )


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class LineChild(Struct, frozen=True):
    pid: int | None
    python: PythonInfo | None


class DoneLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that was done.

    :param files: the files that the task left, where they are kept.
    :param task: the digest of what the wire function was called with.
    :param bundle: the digest of the bundle that it was called in.
    """

    index: int
    id: str | int | float | None = None
    ok: bool
    outputs: dict[str, OutputFile]
    files: dict[str, OutputFile] = {}
    cost: Cost
    child: LineChild
    isolation: Isolation
    isolation_note: str | None = None
    threads: int | None = None
    notes: tuple[str, ...] = ()
    asked: Asked = Asked()
    task: str
    bundle: str | None


class FailedLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that failed."""

    index: int
    id: str | int | float | None = None
    ok: bool
    report: Report
    task: str
    bundle: str | None


class _Line(Struct, frozen=True):
    """What a later run needs of either."""

    index: int
    ok: bool
    task: str
    bundle: str | None = None
    asked: Asked = Asked()
    outputs: dict[str, OutputFile] = {}


class Lines:
    """Where the lines go: each is written as its task is done, and whole.

    :param array: whether they are the elements of the array that begins a JSON document.
    """

    def __init__(self, descriptor: int, *, array: bool = False) -> None:
        self._descriptor = descriptor
        self._plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._array = array
        self._before = b'{"results": [\n' if array else b""

    async def write(self, line: DoneLine | FailedLine) -> None:
        """:raises OSError: it could not be written."""
        # Not msgspec's own encoder: it refuses the lone surrogates that JSON can say.
        text = json.dumps(msgspec.to_builtins(line), separators=(",", ":")).encode()
        left = memoryview(self._before + text + (b"" if self._array else b"\n"))
        self._before = b",\n" if self._array else b""
        while left:
            if self._plain:
                left = left[os.write(self._descriptor, left) :]
                continue
            # A pipe that is ready takes so much at once. Whoever reads may take its time, and
            # the signals come in meanwhile.
            with suppress(PermissionError):  # epoll refuses /dev/null
                await anyio.wait_writable(self._descriptor)
            left = left[os.write(self._descriptor, left[: select.PIPE_BUF]) :]

    def end(self, document: str) -> str:
        """What is left to print of the document whose array has the lines."""
        before = "" if self._before == b",\n" else self._before.decode()
        return before + "\n],\n" + document.removeprefix("{\n") if self._array else document


def open_results(folder: Path) -> int:
    """Open the file of the lines, to append to it; nobody else may before it is closed.

    :returns: its descriptor.
    :raises UsageError: it cannot be opened, or another run writes to it.
    """
    path = folder / FILE
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError as error:
        raise UsageError(f"--output: {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise UsageError(f"--output: another run is writing to {path}") from None
    except OSError:  # a file system without locks
        pass
    # A run that was killed, or had no room, may have left a part of a line.
    if size := os.fstat(descriptor).st_size:
        with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
            whole = data.rfind(b"\n") + 1
        os.ftruncate(descriptor, whole)
    return descriptor


async def done_before(folder: Path, bundle: str | None, asked: Asked) -> dict[int, str]:
    """The tasks that earlier runs have done, number to digest: with this bundle, outputs there.

    :param bundle: the bundle's digest.
    :param asked: what they were to run on.
    """
    done: dict[int, str] = {}
    descriptor = os.open(folder / FILE, os.O_RDONLY)
    try:
        async for text in read_lines(descriptor):
            line = _decode(text)
            if line is None:
                continue
            # A later line stands for what the earlier one said.
            done.pop(line.index, None)
            same = line.bundle == bundle and line.asked == asked
            if line.ok and same and _are_there(folder, line):
                done[line.index] = line.task
    finally:
        os.close(descriptor)
    return done


def drop_replaced(folder: Path, total: int) -> None:
    """Keep the last line of each task only: the others tell of an edited one, or of a failure.

    :param total: how many tasks there are; what others have left goes too.
    :raises OSError: it could not be written.
    """
    last: dict[int, int] = {}
    count = 0
    with (folder / FILE).open("rb") as file:
        for text in file:
            line = _decode(text)
            if line is not None and line.index < total:
                last[line.index] = count
            elif line is not None:
                shutil.rmtree(outputs_folder(folder, line.index), ignore_errors=True)
            count += 1
        if len(last) == count:
            return
        kept = set(last.values())
        file.seek(0)
        beside = folder / f".{FILE}.new"
        with beside.open("wb") as new:
            new.writelines(text for number, text in enumerate(file) if number in kept)
    beside.replace(folder / FILE)


def _decode(text: bytes) -> _Line | None:
    try:
        return msgspec.json.decode(text, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _are_there(folder: Path, line: _Line) -> bool:
    for name, output in line.outputs.items():
        try:
            status = (outputs_folder(folder, line.index) / file_name(name)).stat()
        except OSError:
            return False
        if status.st_size != output.size:
            return False
    return True


def outputs_folder(folder: Path, index: int) -> Path:
    """Where the outputs of a task go."""
    return folder / str(index)
