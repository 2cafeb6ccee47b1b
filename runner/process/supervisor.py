"""A child process: every pipe drained, its exit watched, its descendants ended with it.

Not ``anyio.open_process``, for three reasons. trio starts a process from a worker thread, and Linux
sends the parent-death signal (prctl(2)) when that *thread* ends, ten idle seconds later. Neither
backend gives the resource usage that wait4(2) returns. And both infer the end from EOF or from
SIGCHLD, while here a grandchild that keeps a pipe open must delay nothing.
"""

import fcntl
import logging
import os
import resource
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import weakref
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec

from runner.diagnosis.deaths.exit import Exit, Limits
from runner.diagnosis.machine import Machine
from runner.process.forks import no_fork
from runner.process.guardian import MARKER, Guardian, guardian
from runner.process.kill_marked import kill_marked
from runner.process.oom_kills import OomKills, memory_limit
from runner.process.post_mortem import limits_of, machine_memory, machine_of, signal_name, spaces
from runner.process.signals import to_set_in_program
from runner.process.threads import run_in_thread

_log = logging.getLogger(__name__)

Sink = Callable[[bytes], None]
"""Takes a piece of output as it was read, and ``b""`` at the end of the stream.

Called in the event loop: it must not block or raise.
"""

READ_BYTES = 64 * 1024
# The most that a pipe holds unless root raises it (pipe(7), /proc/sys/fs/pipe-max-size): after an
# exit, whatever the dead process wrote and nobody has read is within as many bytes.
PIPE_BYTES = 1024 * 1024
# faulthandler writes every thread's stack within milliseconds of the SIGABRT; a child that is
# stopped or deep in the kernel never does.
STACKS_SECONDS = 0.3
# A killed process is gone within milliseconds, unless it sits in the kernel (a dead NFS server):
# then waiting on would hang the worker, and the process ends whenever the kernel lets go of it.
KILL_SECONDS = 5.0
# How long one that was killed, and that nobody watches any more, is waited for.
REAP_SECONDS = 1.0


class Process:
    """A running process; made by :func:`spawn`."""

    def __init__(
        self,
        popen: "subprocess.Popen[bytes]",
        pipes: Sequence[tuple[int, Sink]],
        *,
        stdin: int | None,
        stdout: int,
        ended: Callable[[], None] | None,
        beside: "Callable[[Process], Coroutine[Any, Any, None]] | None",
    ) -> None:
        self.pid = popen.pid
        self.stdin = stdin
        """The descriptor of its standard input, while that is an open pipe; non-blocking."""
        self.stdout = stdout
        """The descriptor of its output, for whoever asked to read it themselves; non-blocking."""
        self.exit: Exit | None = None
        """How it ended; ``None`` while it runs."""
        self._popen = popen
        self._pipes = pipes
        self.handing_on = threading.Lock()
        """Held while what it has written is read and goes to a sink."""
        self._unread = select.poll()
        for descriptor, _ in pipes:
            self._unread.register(descriptor, select.POLLIN)
        self._started = time.monotonic()
        _oom_kills.look()
        self._ended = anyio.Event()
        self._on_end = ended
        self._beside = beside
        _running.add(self)

    async def write(self, data: bytes) -> bool:
        """Write ``data`` to the process's standard input.

        A process that has closed it, or died, takes no more: that is no error here, since the exit
        or the silence is what gets diagnosed.

        :returns: whether it took all.
        """
        view = memoryview(data)
        while view and self.stdin is not None:
            try:
                view = view[os.write(self.stdin, view) :]
            except BlockingIOError:
                try:
                    await anyio.wait_writable(self.stdin)
                except anyio.ClosedResourceError:  # it has ended
                    break
            except BrokenPipeError:
                break
        return not view

    def unread_input(self) -> int:
        """How many bytes of what was written to it the process has not read, where it is told."""
        if self.stdin is None:
            return 0
        count = array("i", [0])
        try:
            fcntl.ioctl(self.stdin, termios.FIONREAD, count)
        except OSError as error:  # not every system tells it to the end that writes
            _log.debug("FIONREAD: %s", error)
        return count[0]

    def close_stdin(self) -> None:
        if self.stdin is not None:
            try:
                anyio.notify_closing(self.stdin)
            finally:
                with no_fork():
                    descriptor, self.stdin = self.stdin, None
                    os.close(descriptor)

    async def wait(self) -> Exit:
        """Wait until the process has ended and all that it wrote has reached the sinks."""
        await self._ended.wait()
        assert self.exit is not None
        return self.exit

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the process and its group, unless it has ended: its pid may be another's then."""
        if self.exit is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def end(self, grace: float) -> Exit:
        """End the process: SIGTERM to its group, and SIGKILL after ``grace`` seconds."""
        if self.exit is None and grace > 0:
            self.send_signal(signal.SIGTERM)
            with anyio.move_on_after(grace):
                return await self.wait()
        self.send_signal(signal.SIGKILL)
        return await self.wait()

    def signal_forks(self, number: signal.Signals) -> None:
        """Signal the processes that this one has forked; with SIGKILL, their groups too."""
        import psutil  # 18 ms, and not needed unless a task hangs

        with suppress(psutil.NoSuchProcess):
            for fork in psutil.Process(self.pid).children():
                with suppress(ProcessLookupError):
                    if number == signal.SIGKILL:
                        os.killpg(fork.pid, number)
                    else:
                        os.kill(fork.pid, number)

    def unread(self) -> bool:
        """Tell whether the process has written what the event loop has not taken yet."""
        ready = self._unread.poll(0)
        return bool(ready) and any(events & select.POLLIN for _, events in ready)

    def drain(self) -> None:
        """Hand on what the process has written by now, and not wait for the event loop's turn.

        Called in the event loop's thread.
        """
        with self.handing_on:
            for descriptor, sink in self._pipes:
                _drain(descriptor, sink)

    async def _pump(self, descriptor: int, sink: Sink) -> None:
        while True:
            await anyio.wait_readable(descriptor)
            with self.handing_on:
                try:
                    data = os.read(descriptor, READ_BYTES)
                except BlockingIOError:
                    continue
                sink(data)
            if not data:
                return

    async def _supervise(self) -> None:
        try:
            async with anyio.create_task_group() as pumps:
                for descriptor, sink in self._pipes:
                    pumps.start_soon(self._pump, descriptor, sink)
                if self._beside is not None:
                    pumps.start_soon(self._beside, self)
                pumps.start_soon(_oom_kills.watch)
                await self._watch_exit()
                pumps.cancel_scope.cancel()
            # Before it is reaped, while its pid, which is the group's number too, cannot be
            # another's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._reap()
            self.drain()
        finally:
            # Whatever has failed: nobody waits for its end for ever. It is reaped by spawn() then.
            try:
                if self._popen.returncode is None:
                    with suppress(OSError):
                        os.killpg(self.pid, signal.SIGKILL)
            finally:
                if self.exit is None:
                    seconds = time.monotonic() - self._started
                    self.exit = Exit(None, None, None, None, None, seconds)
                self._ended.set()
                if self._on_end is not None:
                    self._on_end()

    async def _watch_exit(self) -> None:
        """Wait for the exit without reaping, so that the pid cannot become another's meanwhile."""
        descriptor = _exit_descriptor(self.pid)
        if descriptor is None:
            await anyio.to_thread.run_sync(
                partial(_wait_unreaped, self.pid), abandon_on_cancel=True
            )
            return
        try:
            await anyio.wait_readable(descriptor)
        finally:
            try:
                anyio.notify_closing(descriptor)
            finally:
                os.close(descriptor)

    def _reap(self) -> None:
        limits = limits_of(self.pid)
        try:
            _, status, usage = os.wait4(self.pid, 0)
            # Popen would otherwise warn that its process still runs, and try to reap it again.
            self._popen.returncode = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            # The worker ignores SIGCHLD or reaps children that are not its own: the status is lost.
            _log.warning("the exit status of process %d was taken by somebody else", self.pid)
            code = number = rss = cpu = None
            self._popen.returncode = 0
        else:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            rss = _peak_memory(usage)
            cpu = usage.ru_utime + usage.ru_stime
        seconds = time.monotonic() - self._started
        self.exit = self.describe_exit(code, number, rss, cpu, seconds, limits)

    def look_at_machine(self, paths: Sequence[str], descendant_died: bool) -> Machine:
        """Look up what may be behind an exception in this process.

        :param paths: files that could not be loaded or run.
        :param descendant_died: whether a process that it had started has just died.
        """
        killed = _oom_kills.take() if descendant_died else None
        return machine_of(self.pid, paths, killed)

    def describe_exit(
        self,
        code: int | None,
        number: int | None,
        rss: int | None,
        cpu: float | None,
        seconds: float,
        limits: Limits,
    ) -> Exit:
        """How this process, or one that it forked and reaped, has just ended.

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
            oom_killed=killed and _oom_kills.take(),
            memory_limit=memory_limit() if killed else None,
            machine_memory=machine_memory() if killed else None,
            spaces=spaces() if number == signal.SIGBUS else (),
        )


@asynccontextmanager
async def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: Sink | None,
    stderr: Sink,
    console: tuple[str, Sink] | None = None,
    inherited: Sequence[int] = (),
    ended: Callable[[], None] | None = None,
    beside: Callable[[Process], Coroutine[Any, Any, None]] | None = None,
    stdin: bool = False,
    grace: float = 0.0,
) -> AsyncIterator[Process]:
    """Start a process in a session of its own, drain its pipes into the sinks, watch its exit.

    Leaving the context ends the process where it still runs, with its group and every descendant
    that has left the group, whatever the reason for leaving.

    :param env: its whole environment; :data:`runner.process.guardian.MARKER` is added.
    :param stdout: ``None`` where the caller reads it by itself, from :attr:`Process.stdout`.
    :param console: an option's name and a sink: a third pipe is made, and its descriptor's number
        follows that option at the end of ``argv``.
    :param inherited: descriptors of the caller's that the process has too.
    :param ended: called once the process has ended and the sinks have all that it wrote.
    :param beside: run while it runs, and cancelled then; it must not raise.
    :param stdin: whether it gets a pipe to read from; else ``/dev/null``.
    :param grace: seconds between SIGTERM and SIGKILL, where it has to be ended.
    :raises OSError: it could not be started.
    """
    guard = guardian()
    marker = guard.mark()
    argv = list(argv)
    pipes: list[tuple[int, Sink]] = []
    with ExitStack() as ours:
        with no_fork(), ExitStack() as theirs:

            def output_pipe(sink: Sink | None) -> tuple[int, int]:
                reading, writing = os.pipe()
                ours.callback(os.close, reading)
                theirs.callback(os.close, writing)
                os.set_blocking(reading, False)
                if sink is not None:
                    pipes.append((reading, sink))
                return reading, writing

            stdin_read: int = subprocess.DEVNULL
            stdin_write: int | None = None
            if stdin:
                stdin_read, stdin_write = os.pipe()
                theirs.callback(os.close, stdin_read)
                os.set_blocking(stdin_write, False)
            try:
                stdout_read, stdout_write = output_pipe(stdout)
                _, stderr_write = output_pipe(stderr)
                passed = list(inherited)
                if console is not None:
                    writing = output_pipe(console[1])[1]
                    passed.append(writing)
                    argv += [console[0], str(writing)]
                popen = subprocess.Popen(  # noqa: ASYNC220 - see above, and its docstring
                    argv,
                    env={**env, MARKER: marker},
                    cwd=cwd,
                    stdin=stdin_read,
                    stdout=stdout_write,
                    stderr=stderr_write,
                    start_new_session=True,
                    pass_fds=passed,
                    preexec_fn=to_set_in_program(),
                )
            except BaseException:
                if stdin_write is not None:
                    os.close(stdin_write)
                raise
            # Before other threads fork again, so that the fork closes its pipes.
            process = Process(
                popen, pipes, stdin=stdin_write, stdout=stdout_read, ended=ended, beside=beside
            )
        # No await from here until the task group is entered: a cancellation would leak the process.
        ours.callback(process.close_stdin)
        ours.callback(_running.discard, process)
        failures: list[Exception] = []
        async with anyio.create_task_group() as tasks:
            # Shielded from the caller's cancellation: supervision ends when the process does, and
            # the process is ended below.
            supervision = anyio.CancelScope(shield=True)

            async def attempt(step: Awaitable[object]) -> None:
                try:
                    await step
                except Exception as error:  # noqa: BLE001
                    _log.exception("process %d is ended: something has failed", process.pid)
                    failures.append(_alone(error))

            async def supervise() -> None:
                with supervision:
                    await attempt(process._supervise())

            tasks.start_soon(supervise)
            # What fails is raised below, where no group wraps it.
            try:
                guard.guard()  # after it, so that the two start side by side
                yield process
            except Exception as error:  # noqa: BLE001
                failures.append(error)
            finally:
                with anyio.CancelScope(shield=True):
                    try:
                        await attempt(_end(process, grace, supervision))
                    finally:
                        left = partial(_kill_descendants, marker, guard, popen)
                        await attempt(run_in_thread(left))
        if failures:
            raise failures[0]


def _alone(error: Exception) -> Exception:
    """Take what failed alone out of its group, whose words say nothing of it."""
    inner: tuple[object, ...] = getattr(
        error, "exceptions", ()
    )  # ExceptionGroup is not in Python 3.10
    first = inner[0] if len(inner) == 1 else None
    return first if isinstance(first, Exception) else error


async def _end(process: Process, grace: float, supervision: anyio.CancelScope) -> None:
    try:
        with anyio.move_on_after(grace + KILL_SECONDS):
            await process.end(grace)
        if process.exit is None:
            _log.error("process %d could not be ended; leaving it", process.pid)
    finally:
        if process.exit is None:
            supervision.cancel()


_running: "weakref.WeakSet[Process]" = weakref.WeakSet()
_oom_kills = OomKills()


def _leave_to_parent() -> None:
    """In a process that was forked from this one: a child must see its worker's end of the pipes
    close when the worker is gone."""
    for process in list(_running):
        pipes = {process.stdin, process.stdout, *(pipe for pipe, _ in process._pipes)}
        for descriptor in pipes - {None}:
            assert descriptor is not None
            # Whoever forked, or another hook, may have closed it.
            with suppress(OSError):
                os.close(descriptor)
        process.stdin = None
    _running.clear()


os.register_at_fork(after_in_child=_leave_to_parent)


def _drain(descriptor: int, sink: Sink) -> None:
    """Read what a process that has ended left in the pipe, and not what others go on writing."""
    left = PIPE_BYTES
    while left > 0:
        try:
            data = os.read(descriptor, min(left, READ_BYTES))
        except BlockingIOError:
            return
        if not data:
            return
        left -= len(data)
        sink(data)


def _exit_descriptor(pid: int) -> int | None:
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


def _peak_memory(usage: resource.struct_rusage) -> int | None:
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


def _wait_unreaped(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _kill_descendants(marker: str, guard: Guardian, popen: "subprocess.Popen[bytes]") -> None:
    """Kill what the process left behind, wherever it went; itself too, if need be."""
    try:
        if not kill_marked(f"{MARKER}={marker}"):
            _log.warning("descendants of an ended process keep forking; some may be left")
    finally:
        guard.release()
        if popen.returncode is None:  # nobody has reaped it
            popen.kill()
            with suppress(subprocess.TimeoutExpired):
                popen.wait(REAP_SECONDS)
