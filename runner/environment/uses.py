"""Marks that a venv is in use by those who may write to it.

Who ends looks first at what may have been written, and takes the mark away. One that is there is of
somebody at work, or of one who was killed, and tells whoever comes next to look. All marks of a
cache are in one folder: uv links its files into many venvs, and who writes to one writes to all.
"""

import fcntl
import logging
import os
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

from runner.environment.store import lock_file
from runner.stored_files import DamagedError, read_stored

_log = logging.getLogger(__name__)

_FOLDER = "in-use"
# PATH_MAX, as most systems have it (limits.h).
_MOST_BYTES = 4096


def begin_use(cache: Path, venv: Path, holds: ExitStack) -> Path | None:
    """Mark a venv. The mark stays, with nobody who keeps it locked, where the process is killed.

    :returns: the mark; ``None`` where there can be none: the cache is read-only, or another user's.
    """
    while True:
        try:
            (cache / _FOLDER).mkdir(exist_ok=True)
            mark = cache / _FOLDER / uuid.uuid4().hex
            # As readable as the umask lets it be: other users of the cache look at it, too.
            descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            holds.callback(os.close, descriptor)
            os.write(descriptor, os.fsencode(venv.absolute()))
        except OSError as error:
            _log.debug("nobody is told that %s is in use: %s", venv, error)
            return None
        with suppress(OSError):  # a file system without locks: the mark says it all the same
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:  # else somebody came first, and took it for abandoned
            return mark


def end_use(mark: Path | None) -> None:
    """Take a mark away: what may have been written was looked at."""
    if mark is not None:
        with suppress(OSError):
            mark.unlink()


def uses(cache: Path) -> list[Path]:
    """The marks of those who use a venv, and of those who were killed."""
    try:
        with os.scandir(cache / _FOLDER) as entries:
            # Nobody who uses one leaves anything but a file.
            return [Path(one.path) for one in entries if one.is_file(follow_symlinks=False)]
    except OSError:
        return []


def is_abandoned(mark: Path, held: ExitStack) -> bool:
    """Find whether a mark is of one who was killed; nobody else finds so until ``held`` is closed.

    :raises OSError: it may not be looked at, or its file system has no locks.
    """
    return lock_file(mark, held) and mark.exists()


def used(mark: Path) -> Path | None:
    """The venv of the cache that a mark is of; ``None``: it names none, it was cut say.

    :raises OSError: the mark is gone.
    """
    cache = mark.parent.parent.absolute()
    try:
        venv = Path(os.fsdecode(read_stored(mark, _MOST_BYTES)))
    except DamagedError:
        return None
    return venv if cache in venv.parents and ".." not in venv.parts else None
