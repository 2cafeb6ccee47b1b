"""Whether the kernel killed for want of memory.

It kills with SIGKILL, and says so only in counters. That of our own control group, which a child
shares, tells most: ``memory.events`` in cgroup v2, ``memory.oom_control`` in v1 (cgroups(7)).
Without one there is the whole machine's, in ``/proc/vmstat``.
"""

import re
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")
VMSTAT = Path("/proc/vmstat")


def oom_kills() -> int | None:
    """How many processes the kernel has killed so far; ``None`` where it does not count."""
    for file in (*_group_files("memory.events", "memory.oom_control"), VMSTAT):
        count = _count(file)
        if count is not None:
            return count
    return None


def memory_limit() -> int | None:
    """The memory limit of our own control group, in bytes; ``None`` where there is none."""
    for file in _group_files("memory.max", "memory.limit_in_bytes"):
        text = _read(file).strip()
        # Without a limit, v2 says `max` and v1 the largest multiple of a page.
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def _group_files(v2: str, v1: str) -> list[Path]:
    files = []
    for line in _read(OWN_GROUPS).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            files += [CGROUPS / group[1:] / v2, CGROUPS / "unified" / group[1:] / v2]
        elif "memory" in controllers.split(","):
            files.append(CGROUPS / "memory" / group[1:] / v1)
    return files


def _count(file: Path) -> int | None:
    counter = re.search(r"^oom_kill (\d+)$", _read(file), re.MULTILINE)
    return int(counter.group(1)) if counter else None


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # not Linux, not this version of cgroups, or a sandbox that hides it
        return ""
