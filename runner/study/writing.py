"""Writes what tasks come to: whole or not at all, and says why where it cannot be."""

import errno
import fcntl
import os
import select
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.refusals import lacks_room
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import size_text
from runner.events import Phase
from runner.result import Result

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def write_at_once(descriptor: int, data: bytes | bytearray | memoryview, seconds: float) -> int:
    """Write as much as a pipe or a terminal takes without a wait, once it is ready.

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


@contextmanager
def results_into(folder: Path, size: int) -> Iterator[None]:
    """Turn what the operating system refuses while results are written into a finding.

    :raises Failure: the disk is full, or something may not be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (*FULL, *_DENIED) and folder.exists():
            raise
        raise Failure(not_kept(error, folder, size)) from error


def results_size(result: Result) -> int:
    """The bytes of a task's outputs, and of the files that it has left."""
    outputs = sum(memoryview(result.buffer(name)).nbytes for name in result)
    return outputs + sum(result.files.sizes.values())


def not_kept(error: OSError, folder: Path, size: int) -> Finding:
    """The finding of results that could not be written."""
    if error.errno not in FULL and (lacking := lacks_room(Phase.EXECUTE, error)) is not None:
        return lacking
    path = error.filename or folder
    wanted = f"{size_text(size)} wanted"
    if not folder.exists():
        return Finding.of(
            Code.PERMISSION_DENIED,
            f"the results could not be written: {folder} is not there any more ({wanted})",
            "It was there when the run began.",
            by_hand("see what has become of it", f"ls -ld {shlex.quote(str(folder.parent))}"),
            Hint("then run the same command again, which makes it"),
            phase=Phase.EXECUTE,
        )
    if error.errno in _DENIED:
        return Finding.of(
            Code.PERMISSION_DENIED,
            f"the results could not be written: {path}: {error.strerror} ({wanted})",
            "",
            Hint("name a folder that may be written to: --output DIR"),
            phase=Phase.EXECUTE,
        )
    return Finding.of(
        Code.DISK_FULL,
        f"the results could not be written: {path}: {error.strerror} ({wanted})",
        "What was written for this task is removed. What was there before is there.",
        Hint(
            f"free some space on the disk of {folder}",
            command=f"df -h -i {shlex.quote(str(folder))}",
        ),
        Hint("or name a folder on another disk: --output DIR"),
        phase=Phase.EXECUTE,
    )
