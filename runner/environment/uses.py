"""Marks that a venv is in use by those who may write to it.

Who ends looks first at what may have been written, and takes the mark away. One that is there is of
somebody at work, or of one who was killed, and tells whoever comes next to look. All marks of a
cache are in one folder: uv links its files into many venvs, and who writes to one writes to all.
"""

import fcntl
import logging
import os
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from runner.environment.store import lock_file

_log = logging.getLogger(__name__)

_FOLDER = "in-use"


def begin_use(cache: Path, venv: Path, holds: ExitStack) -> Path | None:
    """Mark a venv. The mark stays, with nobody who keeps it locked, where the process is killed.

    :param holds: keeps it locked until it is closed.
    :returns: the mark; ``None`` where there can be none: the cache is read-only, or another user's.
    """
    while True:
        try:
            (cache / _FOLDER).mkdir(exist_ok=True)
            descriptor, mark = tempfile.mkstemp(dir=cache / _FOLDER)
            holds.callback(os.close, descriptor)
            os.fchmod(descriptor, 0o644)  # other users look at it, too
            os.write(descriptor, os.fsencode(venv.absolute()))
        except OSError as error:
            _log.debug("nobody is told that %s is in use: %s", venv, error)
            return None
        with suppress(OSError):  # a file system without locks: the mark says it all the same
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else somebody came first, and took it for abandoned
            return Path(mark)


def end_use(mark: Path | None) -> None:
    """Take a mark away: what may have been written was looked at."""
    if mark is not None:
        with suppress(OSError):
            mark.unlink()


def uses(cache: Path) -> list[Path]:
    """The marks of those who use a venv, and of those who were killed."""
    try:
        return [cache / _FOLDER / name for name in os.listdir(cache / _FOLDER)]  # noqa: PTH208
    except OSError:
        return []


def is_abandoned(mark: Path, held: ExitStack) -> bool:
    """Find whether a mark is of one who was killed; nobody else finds so until ``held`` is closed.

    :raises OSError: it may not be looked at, or its file system has no locks.
    """
    return lock_file(mark, held) and mark.exists()


def used(mark: Path) -> Path:
    """The venv that a mark is of.

    :raises OSError: the mark is gone.
    """
    return Path(os.fsdecode(mark.read_bytes()))
