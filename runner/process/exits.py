"""How a process has ended, as the operating system tells it."""

import logging
import os
import resource
import select
import signal
import sys
from contextlib import suppress

import msgspec

from runner.diagnosis.deaths.exit import Exit, Limits
from runner.process.oom_kills import OomKills, memory_limit
from runner.process.post_mortem import machine_memory, signal_name, spaces

_log = logging.getLogger(__name__)

oom_kills = OomKills()


def exit_descriptor(pid: int) -> int | None:
    """A descriptor that becomes readable when the process exits; ``None`` where there is no such.

    pidfd_open(2) on Linux 5.3 and newer, EVFILT_PROC of kqueue(2) on macOS.
    """
    if hasattr(os, "pidfd_open"):
        try:
            return os.pidfd_open(pid)
        except OSError as error:  # an older kernel, or a sandbox that does not know the call
            _log.debug("pidfd_open: %s", error)
    if sys.platform == "darwin":
        queue = select.kqueue()
        exits = select.kevent(
            pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
        )
        descriptor = os.dup(queue.fileno())
        queue.control([exits], 0)
        return descriptor
    return None


def wait_unreaped(pid: int) -> None:
    """Wait in this thread until the process has exited, and leave it to be reaped."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def describe_exit(
    code: int | None,
    number: int | None,
    rss: int | None,
    cpu: float | None,
    seconds: float,
    limits: Limits,
) -> Exit:
    """How a process has just ended.

    :param number: the signal that ended it.
    :param rss: its peak of resident memory, in bytes.
    :param cpu: the seconds that it computed.
    :param seconds: how long it lived.
    """
    killed = number == signal.SIGKILL
    return Exit(
        code,
        number,
        None if number is None else signal_name(number),
        rss,
        cpu,
        seconds,
        limits=_before_sigxcpu(limits) if number == signal.SIGXCPU else limits,
        oom_killed=killed and oom_kills.take(),
        memory_limit=memory_limit() if killed else None,
        machine_memory=machine_memory() if killed else None,
        spaces=spaces() if number == signal.SIGBUS else (),
    )


def peak_memory(usage: resource.struct_rusage) -> int | None:
    """The peak of a process's resident memory, in bytes, where it can be told.

    Linux counts in what the parent had before the exec (setmax_mm_hiwater_rss in fs/exec.c), so a
    figure that is not above our own peak says nothing of the child.
    """
    if usage.ru_maxrss <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
        return None
    # In KiB on Linux, in bytes on macOS (getrusage(2) of either).
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _before_sigxcpu(limits: Limits) -> Limits:
    """The limits as they were before the kernel sent a SIGXCPU.

    Linux adds a second to the soft limit then, to send another one a second later
    (check_process_timers in kernel/time/posix-cpu-timers.c).
    """
    if sys.platform != "linux" or limits.cpu_seconds is None:
        return limits
    return msgspec.structs.replace(limits, cpu_seconds=limits.cpu_seconds - 1)
