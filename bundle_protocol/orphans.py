"""Ends what a task leaves behind: processes with another session or another parent."""

from __future__ import annotations

import os
import signal
import time

from bundle_protocol import process
from bundle_protocol.resource_trackers import is_tracker

_ROUNDS = 100
"""The bound for processes that start others as fast as they are killed."""
_TRACKER_SECONDS = 2.0
"""Python may just start in it, on a busy machine."""
_POLL_SECONDS = 0.002


class Orphans:
    """Ends what tasks leave behind. Linux hands a process to this one when its parent has ended."""

    def __init__(self) -> None:
        self._adopts = children() is not None and process.adopt_orphans()
        # What the bundle has started while it was loaded is there for all of its tasks.
        self._kept = set(children() or ())

    def end_but_trackers(self, task: int) -> None:
        """Ends what a task has left that was killed, but for the trackers, which end by that.

        They are waited for for two seconds, as one may only look like a tracker.

        :param task: its process, which has ended and is not reaped here.
        """
        deadline = time.monotonic() + _TRACKER_SECONDS
        while self._adopts and time.monotonic() < deadline:
            left = [pid for pid in children() or () if pid not in self._kept and pid != task]
            if not left:
                return
            others = [pid for pid in left if not is_tracker(pid)]
            for pid in left:
                if pid in others:
                    self._end(pid)
                else:
                    os.waitpid(pid, os.WNOHANG)
            if not others:
                time.sleep(_POLL_SECONDS)

    def end(self) -> None:
        """Kills and reaps the processes that are left, and those that become this one's by it."""
        if not self._adopts:
            return
        for _ in range(_ROUNDS):
            if not self._kept and not any_child():
                return
            left = [pid for pid in children() or () if pid not in self._kept]
            if not left:
                return
            for pid in left:
                self._end(pid)
        process.complain("what a task has started keeps forking; some may be left")

    def _end(self, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except PermissionError:  # It has become another user's (setuid).
            self._kept.add(pid)
        else:
            os.waitpid(pid, 0)


def any_child() -> bool:
    # The one question that is asked after each task: it takes a microsecond, a look in /proc 20.
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def children(parent: str = "self") -> list[int] | None:
    """The processes whose parent this is, or another one; None where the kernel lists none."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{task}/children", encoding="ascii") as file:
                found += map(int, file.read().split())
    except OSError:  # It was built without CONFIG_PROC_CHILDREN; or a thread has just ended.
        return None
    return found
