"""Has tasks take turns that write the same file outside of their own folders.

A model that writes a scratch file beside its own module, or in ``/tmp``, and reads it back, would
read what another task has written there meanwhile. So the first task that opens such a file for
writing has it until it ends, and the others wait for that before they open it.

Writes of programs that the task runs, and of libraries of C, are not seen. None is led to a copy of
the task's own: such a program or library would not find it there.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import sys
from binascii import crc32
from collections.abc import Callable
from contextlib import suppress

from bundle_protocol import process

LOCKS = "/dev/shm/modelops-runner-"
"""The file of locks of all tasks of a user, whose number follows; it is empty."""
_HIGH_DESCRIPTOR = 512
# Of Linux (fcntl(2)). A lock of an open file is that of all processes which have inherited it; one
# of a process (F_SETLK) would keep a pool's workers from what their own task has.
_F_OFD_GETLK, _F_OFD_SETLK, _F_OFD_SETLKW = 36, 37, 38
_WHILE_HOLDING = 0
"""The place of the lock that a task needs in order to wait while others may wait for it."""


class Turns:
    """Those of this process's task, and of the processes that it forks.

    :param note: takes what is to be said of the results.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._lock: int | None = None
        self._held: set[int] = set()
        self._under_way = False
        self._can = sys.platform == "linux" and sys.maxsize > 2**32
        if not hasattr(os, "register_at_fork"):  # Not every PyPy has it.
            self._can = False
        elif self._can:
            os.register_at_fork(before=self._open)

    def begin(self) -> None:
        """A task begins."""
        self._under_way = self._can

    def end(self) -> None:
        """The task has ended: others may write its files."""
        self._under_way = False
        self._held.clear()
        if self._lock is not None:
            with suppress(OSError):  # The task has closed it.
                self._ask(_F_OFD_SETLK, fcntl.F_UNLCK, 0, 0)
                os.close(self._lock)
            self._lock = None

    def take(self, path: str, *, if_held: bool = False) -> None:
        """Waits until no other task has a file, which is about to be written to.

        :param if_held: only where another task has it by now: it may be read alone.
        """
        if not self._under_way:
            return
        with suppress(OSError):
            if not stat.S_ISREG(os.stat(path).st_mode):
                return
        self._open()
        place = 1 + crc32(os.fsencode(path))
        if self._lock is None or place in self._held:
            return
        with suppress(OSError):  # The file system has no locks.
            if if_held and self._ask(_F_OFD_GETLK, fcntl.F_WRLCK, place, 1) == fcntl.F_UNLCK:
                return
            if not self._is_free(place):
                self._wait(path, place)
            self._held.add(place)

    def _wait(self, path: str, place: int) -> None:
        # Of all tasks that have a file, one alone may wait: two could wait for each other.
        if self._held and not self._is_free(_WHILE_HOLDING):
            self._note(
                f"{path} is written by several tasks at the same time, and this one could not wait"
                " for the others: its result may depend on theirs. Write it by a relative path"
            )
            return
        self._note(
            f"{path} is written by several tasks, which take turns from there on: each finds its"
            " own file, and none runs beside another. Write it by a relative path"
        )
        process.complain(f"waits until no other task writes {path}")
        self._ask(_F_OFD_SETLKW, fcntl.F_WRLCK, place, 1)
        self._ask(_F_OFD_SETLK, fcntl.F_UNLCK, _WHILE_HOLDING, 1)

    def _is_free(self, place: int) -> bool:
        """Take the lock at a place, if nobody has it."""
        try:
            self._ask(_F_OFD_SETLK, fcntl.F_WRLCK, place, 1)
        except BlockingIOError:
            return False
        return True

    def _ask(self, command: int, kind: int, place: int, length: int) -> int:
        """Return the kind of lock that the kernel answers with."""
        assert self._lock is not None
        # struct flock of Linux (fcntl(2)).
        asked = struct.pack("hhqqi4x", kind, 0, place, length, 0)
        answer = fcntl.fcntl(self._lock, command, asked)
        return int(struct.unpack_from("h", answer)[0])

    def _open(self) -> None:
        """Before the task forks, so that all of its processes have it."""
        if self._under_way and self._lock is None:
            with suppress(OSError):  # There is no such folder: there are no turns.
                flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                lock = os.open(f"{LOCKS}{os.geteuid()}", flags, 0o600)
                self._lock = lock
                # Out of the reach of code that closes files by number; if it may be so high.
                self._lock = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
                os.close(lock)
