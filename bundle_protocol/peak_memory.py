"""The peak of this process's resident memory, and not of what it was before its exec."""

from __future__ import annotations

import resource
import sys


class PeakMemory:
    """Tells the peak. Make it early, before the bundle's code runs.

    Linux counts in what the process held before the exec, and that is what its parent holds
    (setmax_mm_hiwater_rss in fs/exec.c): a child's figure would be its worker's. It says nothing
    until it rises; up to then /proc is asked, which takes as long as a small task.
    """

    def __init__(self) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._inherited = usage.ru_maxrss if sys.platform == "linux" else 0
        self._faults = -1
        self.bytes: int | None = None
        """The peak by the last look; None where it is not known."""

    def begin_in_fork(self) -> None:
        """A fork, which has seen no exec, inherits nothing."""
        self._inherited = 0
        self.look()

    def look(self, usage: resource.struct_rusage | None = None) -> None:
        """Looks at the peak.

        :param usage: this process's, as of now, where it is known.
        """
        usage = usage or resource.getrusage(resource.RUSAGE_SELF)
        if usage.ru_maxrss > self._inherited:
            self.bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            return
        faults = usage.ru_minflt + usage.ru_majflt
        if faults != self._faults:  # Else it has got no page since.
            self._faults = faults
            self.bytes = _high_water()


def _high_water() -> int | None:
    try:
        with open("/proc/self/status", "rb", 0) as file:
            words = file.read().partition(b"\nVmHWM:")[2].split(None, 1)
    except OSError:  # There may be no /proc.
        return None
    return int(words[0]) * 1024 if words else None
