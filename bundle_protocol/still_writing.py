"""Names the files of a task that are still being written when it returns.

A thread or a process that the task has started and has not waited for may be at it: the file is
kept as far as it has come, and is another one the next time.
"""

from __future__ import annotations

import _thread  # Without the module threading, whose import takes 2 ms.
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

from bundle_protocol.left_open import lies_in
from bundle_protocol.open_files import descriptor_for_writing
from bundle_protocol.orphans import any_child, children

_MOST_PROCESSES = 100
_MOST_DESCRIPTORS = 10_000


class StillWriting:
    """Make it once the bundle is loaded."""

    def __init__(self) -> None:
        self._threads = len(sys._current_frames())

    def files(self, folder: str) -> dict[str, str]:
        """Who writes, by the names of the files.

        :param folder: where the task has worked.
        """
        found = {}
        if len(sys._current_frames()) > self._threads:
            for descriptor in _held_by_threads():
                if lies_in(descriptor, folder):
                    found[os.readlink(f"/proc/self/fd/{descriptor}")] = "a thread"
        if any_child():
            for link in _written_by_processes():
                with suppress(OSError):  # It has ended, or is another user's.
                    path = os.readlink(link)
                    if path.startswith(folder + os.sep):
                        found[path] = "a process"
        return {path[len(folder) + 1 :]: who for path, who in found.items()}


def _held_by_threads() -> Iterator[int]:
    """The descriptors of what is open for writing in a variable of another thread's functions."""
    own = _thread.get_ident()
    for thread, running in sys._current_frames().items():
        frame = None if thread == own else running
        while frame is not None:
            for value in list(frame.f_locals.values()):
                yield descriptor_for_writing(value)
            frame = frame.f_back


def _written_by_processes() -> Iterator[str]:
    """The links in /proc to what this process's descendants have open for writing."""
    left = children() or []
    looked_at = 0
    for pid in left:
        if len(left) < _MOST_PROCESSES:
            left += children(str(pid)) or []
        with suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                looked_at += 1
                if looked_at > _MOST_DESCRIPTORS:
                    return
                with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                    flags = next(line for line in file if line.startswith("flags"))
                if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                    yield f"/proc/{pid}/fd/{fd}"
