"""Lets multiprocessing's resource trackers remove what a process has left.

A tracker is a process beside the one that has begun it. It removes the shared memory and the
semaphores that nobody has removed, once its pipe has no writer any more. Here it is in the group of
a task, or has a child's marker, and would be killed with these before it has done so.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any

_MODULES = ("multiprocessing.resource_tracker", "joblib.externals.loky.backend.resource_tracker",
            "loky.backend.resource_tracker")  # fmt: skip
# Of a process that still runs it may have the pipe for as long as that does.
_SECONDS = 0.5
_POLL_SECONDS = 0.002


def end_trackers() -> None:
    """Ends the trackers of this process, to be called as the last thing that it does."""
    deadline = time.monotonic() + _SECONDS
    for name in _MODULES:
        tracker: Any = getattr(sys.modules.get(name), "_resource_tracker", None)
        descriptor, pid = (getattr(tracker, each, None) for each in ("_fd", "_pid"))
        if type(descriptor) is int and type(pid) is int:
            try:
                if os.waitpid(pid, os.WNOHANG)[0] == 0:
                    os.close(descriptor)
                    while os.waitpid(pid, os.WNOHANG)[0] == 0 and time.monotonic() < deadline:
                        time.sleep(_POLL_SECONDS)
            except OSError:
                continue  # It is that of the process that this one was forked from, or has ended.
            tracker._fd = tracker._pid = None


def is_tracker(pid: int) -> bool:
    """Tells whether a process may be a tracker: by its words, which an exec gives it last."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return False
    if words == [b""]:
        return True
    starts = [f"from {name} import main;".encode() for name in _MODULES]
    return any(word.startswith(start) for word in words for start in starts)
