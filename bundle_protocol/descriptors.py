"""Keeps what forks share with the child through descriptors: flags, and places in files."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator


def open_descriptors() -> Iterator[tuple[int, int, int]]:
    """The descriptors that are open, each with its flags (fcntl(2)) and its mode (inode(7))."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            yield fd, fcntl.fcntl(fd, fcntl.F_GETFL), os.fstat(fd).st_mode
        except OSError:
            continue  # The descriptor of the listing itself.


class Descriptors:
    """The descriptors as they are when this is made, before the first fork.

    A fork has numbers of its own for them, but shares what they stand for (fork(2)): where in a
    file the next read begins, and whether it waits.
    """

    def __init__(self) -> None:
        self._flags: dict[int, int] = {}
        self._places: dict[int, int] = {}
        for fd, flags, mode in open_descriptors():
            self._flags[fd] = flags
            # In a file that is only written, each task's lines come after those of the one before.
            if stat.S_ISREG(mode) and flags & os.O_ACCMODE != os.O_WRONLY:
                self._places[fd] = os.lseek(fd, 0, os.SEEK_CUR)

    def restore(self) -> None:
        """Undoes what the task before has changed."""
        for fd, flags in self._flags.items():
            fcntl.fcntl(fd, fcntl.F_SETFL, flags)
        for fd, place in self._places.items():
            os.lseek(fd, place, os.SEEK_SET)
