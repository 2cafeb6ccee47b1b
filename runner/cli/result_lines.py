"""The lines that a run of many tasks leaves, one for each; and what an earlier run has left."""

import fcntl
import hashlib
import json
import mmap
import os
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
from anyio import to_thread
from msgspec import Struct

from runner.cli.commands import UsageError
from runner.cli.kept_files import remove_files
from runner.cli.outputs_folder import (
    Manifest,
    Study,
    has_single,
    refused,
    remove_outputs,
    remove_single,
)
from runner.cli.result import OutputFile, file_name
from runner.cli.task_file import read_lines
from runner.diagnosis.report.model import PythonInfo, Report
from runner.result import Cost
from runner.settings import Isolation, Settings

FILE = "results.jsonl"

# How each line begins.
_BEGIN = b'{"index":'
_READ_BYTES = 1 << 20


class Asked(Struct, frozen=True, omit_defaults=True):
    """The conditions that a task was to run on.

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


class _TaskLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The task that a line is of.

    :param params: as :func:`runner.diagnosis.report.asked.shown_params` shows them.
    :param task: the digest of what the wire function was called with.
    :param bundle: the digest of the bundle that it was called in.
    """

    index: int
    id: str | int | float | None = None
    ok: bool
    entrypoint: str | None
    params: dict[str, Any]
    seed: int
    task: str
    bundle: str | None
    study: Study


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
    asked: Asked = Asked()


class FailedLine(_TaskLine, frozen=True, kw_only=True, omit_defaults=True):
    """A task that failed."""

    report: Report


class _Line(Struct, frozen=True):
    """The part of either line that a later run needs."""

    index: int
    ok: bool
    task: str
    bundle: str | None = None
    asked: Asked = Asked()
    outputs: dict[str, OutputFile] = {}
    files: dict[str, OutputFile] = {}
    study: Study | None = None

    @property
    def made(self) -> Manifest:
        return Manifest(tuple(self.outputs), tuple(self.files))


class Earlier:
    """The results that earlier runs have left in a folder, by the tasks' numbers.

    :param done: the digests of the tasks that need not be run again: done with this very bundle,
        and their outputs are as they were.
    :param others: the digests of what another file of tasks has in their place, and was done.
    :param made: the names of their outputs and files.
    """

    def __init__(self) -> None:
        self.done: dict[int, str] = {}
        self.others: dict[int, str] = {}
        self.made: dict[int, Manifest] = {}


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
        """Return what is left to print of the document whose array has the lines."""
        before = "" if self._before == b",\n" else self._before.decode()
        return before + "\n],\n" + document.removeprefix("{\n") if self._array else document


def open_results(folder: Path, *, overwrite: bool) -> int:
    """Open the file of the lines, to append to it; nobody else may before it is closed.

    :param overwrite: whether what is there may be anything.
    :returns: its descriptor.
    :raises UsageError: it cannot be opened, or another run writes to it, or it is no such file.
    """
    if not overwrite and has_single(folder):
        raise refused(folder, "the outputs of a single task")
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
            begun = data[whole : whole + len(_BEGIN)]
        if not overwrite and begun != _BEGIN[: len(begun)]:
            os.close(descriptor)
            raise refused(folder, f"a {FILE} whose last line is not a task's result")
        os.ftruncate(descriptor, whole)
    return descriptor


async def read_earlier(
    folder: Path, study: Study, bundle: str, asked: Asked, *, overwrite: bool
) -> Earlier:
    """Read what earlier runs have left.

    :param bundle: the bundle's digest.
    :param asked: what the tasks are to run on.
    :param overwrite: whether it may be another study's.
    :raises UsageError: it is, and may not be.
    """
    earlier = Earlier()
    strangers: dict[int, _Line] = {}
    alike: dict[Manifest, Manifest] = {}
    descriptor = os.open(folder / FILE, os.O_RDONLY)
    try:
        number = 0
        async for text in read_lines(descriptor):
            number += 1
            line = _decode(text)
            if line is None:
                if text.strip() and not overwrite:
                    raise refused(folder, f"a {FILE} whose line {number} is not a task's result")
                continue
            # A later line stands for what the earlier one said.
            for kept in (earlier.done, earlier.others, strangers):
                kept.pop(line.index, None)
            made = earlier.made.get(line.index, Manifest()).and_of(line.made)
            if made.outputs or made.files:  # most tasks have the same: kept once
                earlier.made[line.index] = alike.setdefault(made, made)
            if not study.is_same(bundle, line.study, line.bundle):
                strangers[line.index] = line
                continue
            if not line.ok:
                continue
            if line.study is None or line.study.tasks is None or line.study.tasks != study.tasks:
                earlier.others[line.index] = line.task
            same = line.bundle == bundle and line.asked == asked
            if same and await to_thread.run_sync(_are_there, folder, line):
                earlier.done[line.index] = line.task
    finally:
        os.close(descriptor)
    if strangers and not overwrite:
        whose = next(iter(strangers.values())).study
        count = f"{len(strangers)} result" + ("" if len(strangers) == 1 else "s")
        of = f"of {whose}" if whose is not None else "of another bundle"
        raise refused(folder, f"{count} {of}, not of {study}")
    return earlier


def drop_replaced(folder: Path, total: int, *, overwrite: bool) -> int:
    """Keep the last line of each task only: the others tell of an edited one, or of a failure.

    :param total: how many tasks there are.
    :param overwrite: whether what other tasks have left goes too.
    :returns: of how many other tasks there are results.
    :raises OSError: it could not be written.
    """
    last: dict[int, int] = {}
    count = 0
    with (folder / FILE).open("rb") as file:
        for text in file:
            line = _decode(text)
            if line is not None and (line.index < total or not overwrite):
                last[line.index] = count
            elif line is not None:
                discard(folder, line.index, line.made)
            count += 1
        if overwrite:
            remove_single(folder)
        others = sum(index >= total for index in last)
        if len(last) == count:
            return others
        kept = set(last.values())
        file.seek(0)
        beside = folder / f".{FILE}.new"
        with beside.open("wb") as new:
            new.writelines(text for number, text in enumerate(file) if number in kept)
    beside.replace(folder / FILE)
    return others


def results_in(folder: Path) -> int:
    """How many lines of tasks there are in a folder."""
    try:
        with (folder / FILE).open("rb") as file:
            return sum(_decode(text) is not None for text in file)
    except OSError:
        return 0


def remove_results(folder: Path) -> None:
    """Remove what tasks have left in a folder, and their lines.

    :raises OSError: it could not be removed.
    """
    if not results_in(folder):
        return
    with (folder / FILE).open("rb") as file:
        for line in map(_decode, file):
            if line is not None:
                discard(folder, line.index, line.made)
    (folder / FILE).unlink()


def discard(folder: Path, index: int, made: Manifest) -> None:
    """Remove a task's outputs and files, and their folder where nothing else is in it.

    :raises OSError: one could not be removed.
    """
    remove_outputs(outputs_folder(folder, index), made.outputs)
    remove_files(outputs_folder(folder, index), made.files)
    with suppress(OSError):
        outputs_folder(folder, index).rmdir()


def _decode(text: bytes) -> _Line | None:
    try:
        return msgspec.json.decode(text, type=_Line)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        pass
    try:  # msgspec refuses the lone surrogates that an id may have
        return msgspec.convert(json.loads(text), _Line)
    except (ValueError, RecursionError):
        return None


def _are_there(folder: Path, line: _Line) -> bool:
    """Tell whether a task's outputs are as they were written."""
    for name, output in line.outputs.items():
        try:
            with (outputs_folder(folder, line.index) / file_name(name)).open("rb") as file:
                if os.fstat(file.fileno()).st_size != output.size:
                    return False
                digest = hashlib.sha256()
                while data := file.read(_READ_BYTES):
                    digest.update(data)
        except OSError:
            return False
        if digest.hexdigest() != output.sha256:
            return False
    return True


def outputs_folder(folder: Path, index: int) -> Path:
    """Where the outputs of a task go."""
    return folder / str(index)
