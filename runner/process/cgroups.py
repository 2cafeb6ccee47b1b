"""Where the kernel keeps the limits and counters of this process's control group (cgroups(7))."""

import re
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")

CONTROLLERS_OF_CHILDREN = "cgroup.subtree_control"
"""The file that says which controllers there are in the groups within a group, in v2."""


def group_files(controller: str, v2: str, v1: str) -> list[Path]:
    """The files that may tell; which of them there are depends on the version of cgroups."""
    files = []
    for line in read(OWN_GROUPS).splitlines():
        _, _, rest = line.partition(":")
        controllers, _, group = rest.partition(":")
        if not controllers:
            files += [CGROUPS / group[1:] / v2, CGROUPS / "unified" / group[1:] / v2]
        elif controller in controllers.split(","):
            files.append(CGROUPS / controller / group[1:] / v1)
    return files


def counter(file: Path, name: str) -> int | None:
    """A line of a file that counts events; ``None`` where it has none of that name."""
    found = re.search(rf"^{name} (\d+)$", read(file), re.MULTILINE)
    return int(found[1]) if found else None


def read(file: Path) -> str:
    """The file's text; empty where there is none."""
    try:
        return file.read_text()
    except OSError:  # not Linux, not this version of cgroups, or a sandbox that hides it
        return ""
