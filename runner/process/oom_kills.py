"""Whether the kernel killed for want of memory.

It kills with SIGKILL, and says so only in counters. That of our own control group, which a child
shares, tells most: ``memory.events`` in cgroup v2, ``memory.oom_control`` in v1 (cgroups(7)).
Without one there is the whole machine's, in ``/proc/vmstat``.
"""

import re
from pathlib import Path

from runner.process.cgroups import group_files, read

VMSTAT = Path("/proc/vmstat")


def oom_kills() -> int | None:
    """How many processes the kernel has killed so far; ``None`` where it does not count."""
    for file in (*group_files("memory", "memory.events", "memory.oom_control"), VMSTAT):
        count = _count(file)
        if count is not None:
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


def _count(file: Path) -> int | None:
    counter = re.search(r"^oom_kill (\d+)$", read(file), re.MULTILINE)
    return int(counter.group(1)) if counter else None
