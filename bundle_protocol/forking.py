"""A clean process for every task: the child forks for each, and watches what becomes of the fork.

The bundle is imported once, before the first fork. What a task does to its process (globals, random
numbers' state, open files, the working directory, signal handlers) ends with that process.
"""

from __future__ import annotations

import gc
import mmap
import os
import resource
import signal
import sys
import time
from contextlib import suppress
from functools import partial

from bundle_protocol import (
    bulk,  # noqa: F401 - else each fork with large outputs would import it anew
    process,
)
from bundle_protocol.describe import describe_exception, summarize
from bundle_protocol.descriptors import Descriptors, open_descriptors
from bundle_protocol.ending import Ending
from bundle_protocol.messages import ErrorCode, RequestError
from bundle_protocol.orphans import Orphans
from bundle_protocol.shared import shared_by_forks
from bundle_protocol.threads import threads_that_a_fork_leaves
from bundle_protocol.transport import Transport, status_of

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType
    from typing import NoReturn

# How far a task's process has come with its answer. One that ends before it is answered for, one
# that ends in the midst of it leaves a transport that nobody can write to any more.
_UNANSWERED, _ANSWERING, _ANSWERED = 0, 1, 2


def why_unsafe(modules: Iterable[ModuleType], transport: Transport) -> str | None:
    """Why this process must not be forked, in a person's words; None where it may be.

    A fork has the forking thread only. A lock that another one held stays locked in it for ever
    (fork(2), POSIX), and a GPU's context is not valid in it.

    :param modules: the bundle's own.
    :param transport: this process's own.
    """
    if sys.platform != "linux":
        return f"on {sys.platform}, system libraries do not survive a fork"
    if not hasattr(os, "waitid") or not hasattr(resource, "prlimit"):
        return f"{sys.implementation.name} cannot watch a fork as it has to be (os.waitid)"
    if not os.path.isdir("/proc/self/fd"):
        return "/proc is not there, by which a fork is watched (mount -t proc proc /proc)"
    targets = (os.readlink(f"/proc/self/fd/{fd}") for fd, _, _ in open_descriptors())
    if any(target.startswith("/dev/nvidia") for target in targets):
        return "CUDA was initialised while the bundle was loaded"
    threads = threads_that_a_fork_leaves()
    if threads:
        return "threads run since the bundle was loaded: " + ", ".join(threads[:5])
    shared = shared_by_forks(modules, transport.descriptors)
    if shared:
        return "forks would share what the import has opened for writing: " + ", ".join(shared[:5])
    return None


class Ended:
    """How a task's process ended without an answer; its attributes are ``TASK_ENDED``'s data."""

    def __init__(self, pid: int, seconds: float) -> None:
        limits = {
            name: resource.prlimit(pid, kind)
            for name, kind in (
                ("cpu", resource.RLIMIT_CPU),
                ("file", resource.RLIMIT_FSIZE),
                ("stack", resource.RLIMIT_STACK),
            )
        }
        _, status, usage = os.wait4(pid, 0)
        self.pid = pid
        self.exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        self.max_rss_bytes = usage.ru_maxrss * 1024
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self.lifetime_seconds = seconds
        self.limits = {
            "cpu_seconds": _limit(limits["cpu"][0]),
            "cpu_seconds_hard": _limit(limits["cpu"][1]),
            "file_bytes": _limit(limits["file"][0]),
            "stack_bytes": _limit(limits["stack"][0]),
        }


class Forker:
    """Forks this process for each task.

    :param transport: what the task's process answers over; this one does not write to it meanwhile.
    """

    def __init__(self, transport: Transport) -> None:
        self.forked = False
        """True if this is a task's process."""
        self._transport = transport
        self._orphans = Orphans()
        # Shared with the forks, because no exit status tells it.
        self._progress = mmap.mmap(-1, 1)
        # What the bundle set is for its own processes: it must not reap those that tasks run in.
        self._on_sigchld = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What is imported by now is not looked at by the garbage collector again, which would
        # copy the pages that it is on in each fork.
        gc.collect()
        if hasattr(gc, "freeze"):
            gc.unfreeze()  # what is frozen is not listed
        self._ending = Ending()
        self._ended = False
        if hasattr(gc, "freeze"):
            gc.freeze()
        self._descriptors = Descriptors()

    def fork(self) -> Ended | None:
        """Forks. In the task's process, sets ``forked`` and returns at once.

        In this one, returns once the task's process has ended: how, unless it has answered.

        :raises RequestError: ``INTERNAL_ERROR``; the system has no process or no memory for it.
        """
        self._progress[0] = _UNANSWERED
        process.flush_console()
        self._descriptors.restore()
        began = time.perf_counter()
        own = os.getpid()
        try:
            with self._transport.kept():
                pid = os.fork()
        except OSError as error:
            raise RequestError(
                ErrorCode.INTERNAL_ERROR,
                f"no process could be forked for the task: {summarize(error)}",
                {"exception": describe_exception(error)},
            ) from error
        if pid == 0:
            self.forked = True
            signal.signal(signal.SIGCHLD, self._on_sigchld)
            # A group of its own, so that all that it starts can be ended with it.
            os.setpgid(0, 0)
            process.die_with(own)
            self._ending.begin()
            return None
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        if self._progress[0] != _ANSWERED:
            self._orphans.end_but_trackers(pid)
        # Before it is reaped, while the number cannot be another's. It may have died before it had
        # a group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        if self._progress[0] == _ANSWERED:
            os.waitpid(pid, 0)
            self._orphans.end()
            return None
        ended = Ended(pid, time.perf_counter() - began)
        self._orphans.end()
        if self._progress[0] == _ANSWERING:
            _end_likewise(ended)
        return ended

    def end_task(self, note: Callable[[str], None], answer: Callable[[], None]) -> NoReturn:
        """Ends what the task has left, in its process, answers, and ends the process.

        :param note: told what could not be written.
        :param answer: sends the answer. Whoever has it may look at the files.
        """
        self._ended = True
        self._ending.end(note, partial(_exit, answer))
        raise AssertionError("a task's process came back from its end")

    def let_go(self) -> None:
        """To be called at the child's own end, which finalizes nothing that is frozen."""
        if hasattr(gc, "unfreeze"):
            gc.unfreeze()

    def send(self, body: bytes) -> None:
        """Writes the answer, in the task's process, and ends it."""
        if not self._ended:
            self.end_task(process.complain, partial(self.send, body))
        self._progress[0] = _ANSWERING
        self._transport.send(body)
        self._progress[0] = _ANSWERED
        os._exit(0)

    def leave(self, status: int) -> NoReturn:
        """Ends a task's process without an answer.

        What the bundle wants done at the exit is done when the child ends: it would be done to what
        the other tasks still need.
        """
        if not self._ended:
            self.end_task(process.complain, partial(os._exit, status))
        os._exit(status)


def _exit(act: Callable[[], None]) -> NoReturn:
    """Does the last thing in a process, and ends it. No exception may leave a callback of atexit:
    what is registered beside it would be done then."""
    status = 1
    try:
        status = status_of(act)
    except BaseException:  # noqa: BLE001  # There is nobody above to see it.
        sys.excepthook(*sys.exc_info())
    os._exit(status)


def _end_likewise(ended: Ended) -> None:
    """Half an answer is on the transport, and nothing can follow it."""
    process.complain("the task's process ended while it wrote its answer")
    if ended.signal is not None:
        if ended.signal not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(ended.signal, signal.SIG_DFL)
        os.kill(os.getpid(), ended.signal)
    os._exit(ended.exit_code or 1)


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value
