"""Writing what a run gives: whole or not at all, and never in the way of the run itself."""

import errno
import fcntl
import io
import os
import select
import shlex
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.refusals import lacks_room
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import size_text
from runner.events import Phase
from runner.result import Result

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)

_MOST_BYTES = 512 * 1024
"""So many of the first bytes that nobody has read yet are kept, and of the last."""
READER_TIMEOUT_SECONDS = 2.0
"""How long a reader may read nothing: of standard error once the run has ended, or of a pipe that a
result goes to."""


class Unblocked(io.RawIOBase):
    """Standard error, which may be a pipe that nobody reads: a write to it never waits.

    What it does not take is kept, up to a bound, and written with what comes later. Where it
    refuses, as a full disk does, it is left alone: no result depends on it.

    :param descriptor: of standard error.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._head = bytearray()
        self._tail = deque[bytes]()
        self._tail_bytes = 0
        self._dropped = 0
        self._refused = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "memoryview | bytes") -> int:  # type: ignore[override]
        taken = bytes(data)
        if self._tail or len(self._head) + len(taken) > _MOST_BYTES:
            self._keep_last(taken)
        else:
            self._head += taken
        self._push(0)
        return len(taken)

    def flush(self) -> None:
        self._push(0)

    def drain(self) -> None:
        """Write what is left, as long as somebody reads it."""
        last = time.monotonic()
        while self._head and time.monotonic() - last < READER_TIMEOUT_SECONDS:
            if self._push(READER_TIMEOUT_SECONDS):
                last = time.monotonic()

    def _keep_last(self, data: bytes) -> None:
        self._tail.append(data[-_MOST_BYTES:])
        self._dropped += len(data) - len(self._tail[-1])
        self._tail_bytes += len(self._tail[-1])
        while self._tail_bytes > _MOST_BYTES:
            gone = len(self._tail.popleft())
            self._tail_bytes -= gone
            self._dropped += gone

    def _push(self, seconds: float) -> bool:
        """Write what is taken at once.

        :param seconds: to wait until anything is.
        :returns: whether anything was.
        """
        wrote = False
        while self._head and not self._refused:
            try:
                size = write_at_once(self._descriptor, self._head, 0 if wrote else seconds)
            except OSError:
                self._refused = True
                break
            if not size:
                break
            wrote = True
            del self._head[:size]
            if not self._head and self._tail:
                if self._dropped:
                    self._head += b"\n[... %d bytes left out ...]\n" % self._dropped
                self._head += b"".join(self._tail)
                self._tail.clear()
                self._tail_bytes = self._dropped = 0
        if self._refused:
            self._head.clear()
            self._tail.clear()
            self._tail_bytes = 0
        return wrote


@contextmanager
def unblocked_stderr() -> Iterator[None]:
    """Write to standard error without ever waiting for whoever reads it."""
    before = sys.stderr
    try:
        stream = Unblocked(before.fileno())
    except (OSError, ValueError):  # a test's own, in memory
        yield
        return
    sys.stderr = io.TextIOWrapper(
        stream,  # as CPython makes its own, unbuffered
        encoding=before.encoding,
        errors="backslashreplace",
        write_through=True,
    )
    try:
        yield
    finally:
        sys.stderr = before
        stream.drain()


def write_at_once(descriptor: int, data: bytes | bytearray | memoryview, seconds: float) -> int:
    """Write as much as a pipe or a terminal takes without a wait, once it is ready.

    :param data: not empty.
    :param seconds: to wait until it is ready.
    :returns: how many bytes were written; 0: it was not ready.
    :raises OSError: it takes none.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    # One that is ready takes PIPE_BUF at once (pipe(7)).
    return os.write(descriptor, data[: select.PIPE_BUF]) if poll.poll(seconds * 1000) else 0


def write_whole(descriptor: int, data: bytes) -> None:
    """Write to a file, which is as it was where it does not take everything.

    :param descriptor: of a file; or of a pipe or a terminal, where nothing can be taken back.
    :raises OSError: it could not be written.
    """
    begin = None
    with suppress(OSError):  # a pipe has no place
        appends = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND
        begin = os.lseek(descriptor, 0, os.SEEK_END if appends else os.SEEK_CUR)
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        if begin is not None:
            with suppress(OSError):  # /dev/full
                os.ftruncate(descriptor, begin)
                os.lseek(descriptor, begin, os.SEEK_SET)
        raise


def not_written(error: OSError, what: str, size: int | None) -> str:
    """One line that says what could not be written, why, and how much it would have been.

    :param size: in bytes; ``None`` where it is not known.
    """
    code = f"error[{Code.DISK_FULL.value}]" if error.errno in _FULL else "error"
    wanted = "" if size is None else f" ({size_text(size)} wanted)"
    return f"modelops-runner: {code}: {what} could not be written: {error.strerror}{wanted}"


@contextmanager
def results_into(folder: Path, size: int) -> Iterator[None]:
    """Turn what the operating system refuses while results are written into a finding.

    :param folder: of ``--output``.
    :param size: of the results, in bytes.
    :raises Failure: the disk is full, or something may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*_FULL, *_DENIED) and folder.exists():
            raise
        raise Failure(not_kept(error, folder, size)) from error


def results_size(result: Result) -> int:
    """The bytes of a task's outputs, and of the files that it has left."""
    outputs = sum(memoryview(result.buffer(name)).nbytes for name in result)
    return outputs + sum(result.files.sizes.values())


def not_kept(error: OSError, folder: Path, size: int) -> Finding:
    """The finding of results that could not be written.

    :param size: in bytes.
    """
    if error.errno not in _FULL and (lacking := lacks_room(Phase.EXECUTE, error)) is not None:
        return lacking
    path = error.filename or folder
    wanted = f"{size_text(size)} wanted"
    if not folder.exists():
        return Finding(
            phase=Phase.EXECUTE,
            code=Code.PERMISSION_DENIED,
            summary=f"the results could not be written: {folder} is not there any more ({wanted})",
            explanation="It was there when the run began.",
            hints=[
                Hint(
                    title="see what has become of it",
                    command=f"ls -ld {shlex.quote(str(folder.parent))}",
                    by="person",
                ),
                Hint(title="then run the same command again, which makes it"),
            ],
        )
    if error.errno in _DENIED:
        return Finding(
            phase=Phase.EXECUTE,
            code=Code.PERMISSION_DENIED,
            summary=f"the results could not be written: {path}: {error.strerror} ({wanted})",
            hints=[Hint(title="name a folder that may be written to: --output DIR")],
        )
    return Finding(
        phase=Phase.EXECUTE,
        code=Code.DISK_FULL,
        summary=f"the results could not be written: {path}: {error.strerror} ({wanted})",
        explanation="What was written for this task is removed. What was there before is there.",
        hints=[
            Hint(
                title=f"free some space on the disk of {folder}",
                command=f"df -h -i {shlex.quote(str(folder))}",
            ),
            Hint(title="or name a folder on another disk: --output DIR"),
        ],
    )
