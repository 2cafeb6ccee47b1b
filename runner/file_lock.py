"""Locks on files: flock(2), which the kernel lets go of when a process ends, however it ends.

The standard library's, and no lock library: what a process does that finds its environment built
takes 3 ms, and importing one another 20. On NFS these are locks of the whole file (flock(2)).
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def opened(file: Path) -> Iterator[int]:
    """A file to lock; on leaving, the lock is gone, also where a fork has the file open still.

    :raises OSError: it cannot be made.
    """
    # To write, because NFS gives nobody a lock of his own for less (flock(2)).
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock a file, where nobody else has.

    :raises OSError: its file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of a file, once nobody else has it.

    :raises OSError: it cannot be made, or its file system has no locks.
    """
    with opened(file) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
