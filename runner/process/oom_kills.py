"""Finds out that the kernel killed for want of memory.

It kills with SIGKILL, and says so only in counters. That of our own control group, which a child
shares, tells most: ``memory.events`` in cgroup v2, ``memory.oom_control`` in v1 (cgroups(7)).
Without one there is the whole machine's, in ``/proc/vmstat``.

A counter names no process, and other processes are killed too. So it is looked at every second
while children run: what it has counted just before a child's death, and for nobody else's yet, is
taken for that child's.
"""

import threading
import time
from collections import deque
from pathlib import Path

import anyio

from runner.process.cgroups import counter, group_files, read

VMSTAT = Path("/proc/vmstat")

LOOK_SECONDS = 1.0
# The kernel counts before it kills; from then until the death is known, a process with much memory
# is taken apart.
DEATH_SECONDS = 5.0


class OomKills:
    """The kernel's kills that may yet turn out to be those of our children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: int | None = None
        self._looked = float("-inf")
        self._kills: deque[tuple[float, bool]] = deque()
        """When each was seen, and whether it was counted shortly before that."""

    def look(self, now: float | None = None) -> None:
        """Look at the counter, where nobody has just done so."""
        now = time.monotonic() if now is None else now
        with self._lock:
            if now >= self._looked + LOOK_SECONDS / 2:
                self._look(now)

    def take(self, now: float | None = None) -> bool | None:
        """Tell whether a child that has just died of SIGKILL was killed for want of memory.

        No other death is explained by the same kill.

        :returns: ``None`` where it is not known: the kernel does not count, or nobody has looked
            at the counter for so long that what it has counted may be old.
        """
        now = time.monotonic() if now is None else now
        with self._lock:
            self._look(now)
            while self._kills and self._kills[0][0] < now - DEATH_SECONDS:
                self._kills.popleft()
            if self._count is None:
                return None
            if not self._kills:
                return False
            _, recent = self._kills.popleft()
            return True if recent else None

    async def watch(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            self.look()
            await anyio.sleep(LOOK_SECONDS)

    def _look(self, now: float) -> None:
        count = oom_kills()
        if count is not None and self._count is not None:
            recent = now - self._looked <= DEATH_SECONDS
            # So many at a time that they are of no use to tell one death from another: bounded.
            self._kills.extend([(now, recent)] * min(count - self._count, 1000))
        self._count, self._looked = count, now


def oom_kills() -> int | None:
    """How many processes the kernel has killed so far; ``None`` where it does not count."""
    for file in (*group_files("memory", "memory.events", "memory.oom_control"), VMSTAT):
        if (count := counter(file, "oom_kill")) is not None:
            return count
    return None


def memory_limit() -> int | None:
    """The memory limit of our own control group, in bytes; ``None`` where there is none."""
    for file in group_files("memory", "memory.max", "memory.limit_in_bytes"):
        text = read(file).strip()
        # Without a limit, v2 says `max` and v1 the largest multiple of a page.
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None
