"""Marks that a venv is in use by those who may write to it.

Who ends looks first at what may have been written, and takes its mark away. One that is there is
of somebody at work, or of one who was killed, and tells whoever comes next to look.
"""

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from runner.environment.store import lock_file

_log = logging.getLogger(__name__)

_MARK = "modelops-in-use-"


def begin_use(folder: Path, holds: ExitStack) -> Path | None:
    """Mark a folder. The mark stays, with nobody who keeps it locked, where the process is killed.

    :param holds: keeps it locked until it is closed.
    :returns: the mark; ``None`` where there can be none: the folder is read-only, or another
        user's.
    """
    while True:
        try:
            descriptor, mark = tempfile.mkstemp(prefix=_MARK, dir=folder)
        except OSError as error:
            _log.debug("nobody is told that %s is in use: %s", folder, error)
            return None
        holds.callback(os.close, descriptor)
        with suppress(OSError):  # a file system without locks: the mark says it all the same
            os.fchmod(descriptor, 0o644)  # other users try its lock, too
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else somebody came first, and took it for abandoned
            return Path(mark)


def end_use(mark: Path | None) -> None:
    """Take one's own mark away: what may have been written was looked at."""
    if mark is not None:
        with suppress(OSError):
            mark.unlink()


def uses(folder: Path) -> list[Path]:
    """The marks of those who use a folder, and of those who were killed."""
    return [folder / name for name in os.listdir(folder) if name.startswith(_MARK)]  # noqa: PTH208


def forget_abandoned(marks: Iterable[Path]) -> None:
    """Remove those of the killed: what they may have written was looked at."""
    for mark in marks:
        with suppress(OSError), ExitStack() as held:
            if lock_file(mark, held):
                mark.unlink()
