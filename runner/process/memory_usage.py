"""How much memory processes hold, as Linux's /proc tells it (proc(5)); elsewhere, psutil."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

# Without the pages of mapped files, which the kernel takes back when it needs them.
_OWN = re.compile(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$", re.MULTILINE)
_SHARED = re.compile(r"^RssShmem:\s+(\d+) kB$", re.MULTILINE)
_IN_MEMORY = ("/memfd:", "/dev/shm/")
# The same where what several processes share is divided between them.
_SHARES = re.compile(r"^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+) kB$", re.MULTILINE)
_SHARES_BEFORE_LINUX_5_4 = re.compile(r"^(?:Pss|SwapPss):\s+(\d+) kB$", re.MULTILINE)


def resident(pid: int) -> int:
    """The resident memory of a process, in bytes; 0 where it has ended."""
    if sys.platform != "linux":
        return _resident_by_psutil(pid)
    words = _read(f"/proc/{pid}/statm").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if words else 0


def held(pids: Sequence[int], enough: int) -> int:
    """The memory that processes hold together, in bytes: in RAM and swapped out.

    :param enough: where it is less, it may be overstated: what forks share is counted once for each
        then, which takes microseconds, where the truth takes milliseconds for each GB.
    """
    if sys.platform != "linux":
        return sum(map(_resident_by_psutil, pids))
    statuses = {pid: _read(f"/proc/{pid}/status") for pid in pids}
    owned = {pid: _sum(_OWN, status) for pid, status in statuses.items()}
    total = sum(owned.values())
    if total >= enough and len(pids) > 1:
        # Another user's process shows no shares (ptrace(2), access mode checking).
        total = sum(_share(pid) or owned[pid] for pid in pids)
    # What of them is mapped is in the total already.
    mapped = sum(_sum(_SHARED, status) for status in statuses.values())
    return total + max(0, _open_in_memory(pids) - mapped)


def children(pid: int) -> list[int]:
    """The processes that a process has started, and not yet reaped."""
    threads = f"/proc/{pid}/task"
    try:
        # Listed under the thread that has started them.
        lists = [f"{threads}/{thread}/children" for thread in os.listdir(threads)]  # noqa: PTH208
        # Without CONFIG_PROC_CHILDREN the kernel has no such lists.
        if any(map(os.path.exists, lists)):
            return [int(child) for file in lists for child in _read(file).split()]
    except OSError:  # it has ended, or there is no /proc
        if sys.platform == "linux":
            return []
    return _children_by_psutil(pid)


def family(pid: int) -> list[int]:
    """A process and all that descend from it, but for daemons."""
    found = [pid]
    for member in found:  # which grows meanwhile
        found += children(member)
    return found


def _open_in_memory(pids: Sequence[int]) -> int:
    """The memory, in bytes, of files that lie in it and that processes have open, mapped or not."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)  # noqa: PTH208
        except OSError:  # it has ended; or is another user's
            continue
        for descriptor in descriptors:
            path = f"{folder}/{descriptor}"
            with suppress(OSError):  # closed meanwhile
                if os.readlink(path).startswith(_IN_MEMORY):  # noqa: PTH115
                    status = os.stat(path)  # noqa: PTH116
                    sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def _share(pid: int) -> int:
    shares = _read(f"/proc/{pid}/smaps_rollup")
    return _sum(_SHARES if "Pss_Anon" in shares else _SHARES_BEFORE_LINUX_5_4, shares)


def _read(file: str) -> str:
    try:
        # Not pathlib's, which takes twice the time; a process may give itself any name.
        with open(file, encoding="ascii", errors="replace") as lines:  # noqa: PTH123
            return lines.read()
    except OSError:  # it has ended; or is another user's
        return ""


def _sum(fields: "re.Pattern[str]", text: str) -> int:
    return sum(map(int, fields.findall(text))) * 1024


def _resident_by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _children_by_psutil(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.Error:
        return []
