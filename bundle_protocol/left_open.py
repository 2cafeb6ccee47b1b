"""Writes out what a task leaves open where its process goes on, before its files are taken.

Nothing is closed, as it would be in a fork: the bundle may go on writing to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from bundle_protocol.ending import flush_logs
from bundle_protocol.open_files import write_out


class LeftOpen:
    """Make it once the bundle is loaded."""

    def __init__(self) -> None:
        self._free = _lowest_free()

    def write_out(self, folder: str, note: Callable[[str], None]) -> None:
        """To be called after each task.

        :param folder: where the task has worked.
        :param note: told in a line what of the task's files is not whole.
        """
        free = _lowest_free()
        if free == self._free:
            return  # Whatever the task has opened, it has closed: a look at all objects takes long.
        self._free = free
        flush_logs(note)
        write_out(lambda descriptor: lies_in(descriptor, folder), note)


def _lowest_free() -> int:
    """The number that the next file gets: another one once something more is open."""
    with suppress(OSError):  # There are as many as there may be, or there is no stdin.
        number = os.dup(0)
        os.close(number)
        return number
    return -1


def lies_in(descriptor: int, folder: str) -> bool:
    """Tell whether a file that is open lies in a folder."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith(folder + os.sep)
    except OSError:
        return False
