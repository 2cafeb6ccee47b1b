"""Reads what the machine still tells of a process that has ended: limits, memory, disks."""

import logging
import os
import resource
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from runner.diagnosis.deaths.exit import Limits, Space
from runner.diagnosis.machine import Machine
from runner.process.cgroups import counter, group_files, read
from runner.process.mounts import find_noexec

_log = logging.getLogger(__name__)

SHARED_MEMORY = "/dev/shm"


def limits_of(pid: int) -> Limits:
    """The resource limits of a process, which Linux still tells of a zombie (prlimit(2)).

    A task may have changed its own, so those of this process, which it inherited, are the second
    choice.

    :param pid: a child that has ended and is not reaped.
    """

    def limit(kind: int) -> tuple[int | None, int | None]:
        try:
            both = resource.prlimit(pid, kind)
        except (AttributeError, OSError):  # macOS; a sandbox without the call
            both = resource.getrlimit(kind)
        soft, hard = (None if value == resource.RLIM_INFINITY else value for value in both)
        return soft, hard

    cpu, cpu_hard = limit(resource.RLIMIT_CPU)
    return Limits(
        cpu_seconds=cpu,
        cpu_seconds_hard=cpu_hard,
        file_bytes=limit(resource.RLIMIT_FSIZE)[0],
        stack_bytes=limit(resource.RLIMIT_STACK)[0],
        open_files=limit(resource.RLIMIT_NOFILE)[0],
        memory_bytes=limit(resource.RLIMIT_AS)[0],
        processes=limit(resource.RLIMIT_NPROC)[0],
        group_processes=group_processes(),
        group_refusals=_group_refusals(),
    )


def machine_of(pid: int, paths: Sequence[str], oom_killed: bool | None = None) -> Machine:
    """The limits of a process and the mounts that it meets."""
    limits = msgspec.structs.replace(limits_of(pid), user_processes=_user_processes())
    return Machine(limits, find_noexec(paths), oom_killed)


def _user_processes() -> int | None:
    """The processes of this user on this machine, each thread counted."""
    try:
        found = [entry.path for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:  # not Linux
        return None
    count = 0
    for path in found:
        with suppress(OSError):  # it has just ended
            if os.stat(path).st_uid == os.getuid():  # noqa: PTH116 - many of them
                count += len(os.listdir(f"{path}/task"))  # noqa: PTH208
    return count


def group_processes() -> int | None:
    """How many processes and threads our own control group, which a child shares, may have."""
    said = [read(file).strip() for file in group_files("pids", "pids.max", "pids.max")]
    return min((int(one) for one in said if one.isdigit()), default=None)


def _group_refusals() -> int | None:
    counts = (counter(file, "max") for file in group_files("pids", "pids.events", "pids.events"))
    return next((count for count in counts if count is not None), None)


def machine_memory() -> int | None:
    """The machine's memory in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):  # not known here
        return None


def spaces() -> tuple[Space, ...]:
    """How much room there is for mapped files."""
    found = []
    for path in (SHARED_MEMORY, tempfile.gettempdir()):
        try:
            status = os.statvfs(path)
        except OSError as error:
            _log.debug("statvfs: %s", error)
            continue
        found.append(
            Space(path, status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize)
        )
    return tuple(found)


def signal_name(number: int) -> str:
    """``SIGKILL`` and the like; one without a name of its own becomes ``signal N``."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
