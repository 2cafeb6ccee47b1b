"""A child process: every pipe drained, its exit watched, its descendants ended with it.

Not ``anyio.open_process``, for three reasons. trio starts a process from a worker thread, and Linux
sends the parent-death signal (prctl(2)) when that *thread* ends, ten idle seconds later. Neither
backend gives the resource usage that wait4(2) returns. And both infer the end from EOF or from
SIGCHLD, while here a grandchild that keeps a pipe open must delay nothing.
"""

import fcntl
import logging
import os
import signal
import subprocess
import termios
import time
import weakref
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.machine import Machine
from runner.process.addresses import addresses_fixed
from runner.process.ending import KILL_SECONDS, SHOW_STACKS, Notice, kill_descendants, to_terminate
from runner.process.exits import (
    describe_exit,
    exit_descriptor,
    oom_kills,
    peak_memory,
    wait_unreaped,
)
from runner.process.forks import no_fork
from runner.process.guardian import MARKER, guardian
from runner.process.kill_marked import kill_but_trackers
from runner.process.memory_usage import children
from runner.process.output import Output, Sink
from runner.process.post_mortem import limits_of, machine_of
from runner.process.signals import to_set_in_program
from runner.process.threads import run_in_thread

_log = logging.getLogger(__name__)


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
        self.stdin_broken = False
        """True once it has closed its standard input."""
        self.stdout = stdout
        """The descriptor of its output, for whoever asked to read it themselves; non-blocking."""
        self.exit: Exit | None = None
        """How it ended; ``None`` while it runs."""
        self._popen = popen
        read = [descriptor for descriptor, _ in pipes]
        self.output = Output(pipes, others=() if stdout in read else (stdout,))
        self._started = time.monotonic()
        oom_kills.look()
        self._ended = anyio.Event()
        self._on_end = ended
        self._beside = beside
        self.marked = ("", range(0))  # see kill_but_trackers()
        _running.add(self)

    async def write(self, data: bytes) -> bool:
        """Write ``data`` to the process's standard input.

        One that has closed it, or died, takes no more: its exit or silence is what gets diagnosed.

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
                self.stdin_broken = True
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
        """Signal the process and its group, unless it has ended: its pid may be another's then.
        What ends it goes to itself alone: its group is ended when it has ended."""
        with suppress(ProcessLookupError):
            if self.exit is None:
                alone = number in (signal.SIGKILL, SHOW_STACKS)
                (os.kill if alone else os.killpg)(self.pid, number)

    async def end(self, *notices: Notice) -> Exit | None:
        """End the process: the notices in their order, then SIGKILL to its group.

        :returns: ``None`` where the kernel does not let go of it.
        """
        for notice in notices:
            for number in notice.signals:
                self.send_signal(number)
            with anyio.move_on_after(notice.seconds):
                return await self.wait()
        self.send_signal(signal.SIGKILL)
        with anyio.move_on_after(KILL_SECONDS):
            return await self.wait()
        _log.error("process %d could not be ended; leaving it", self.pid)
        return None

    def signal_forks(self, number: signal.Signals) -> None:
        """Signal the processes that this one has forked for tasks, which have their own groups."""
        for fork in children(self.pid):
            with suppress(ProcessLookupError):
                if os.getpgid(fork) == fork:
                    os.kill(fork, number)

    async def _supervise(self) -> None:
        try:
            async with anyio.create_task_group() as pumps:
                for descriptor, sink in self.output.pipes:
                    pumps.start_soon(self.output.pump, descriptor, sink)
                if self._beside is not None:
                    pumps.start_soon(self._beside, self)
                pumps.start_soon(oom_kills.watch)
                await self._watch_exit()
                pumps.cancel_scope.cancel()
            with suppress(OSError):  # no descriptor left: kill_descendants() says so
                await run_in_thread(partial(kill_but_trackers, *self.marked))
            # Before it is reaped, while its pid, the group's number too, cannot be another's.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self._reap()
            self.output.drain()
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
        descriptor = exit_descriptor(self.pid)
        if descriptor is None:
            await anyio.to_thread.run_sync(partial(wait_unreaped, self.pid), abandon_on_cancel=True)
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
            # The worker ignores SIGCHLD or reaps children that are not its own.
            _log.warning("the exit status of process %d was taken by somebody else", self.pid)
            code = number = rss = cpu = None
            self._popen.returncode = 0
        else:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
            rss = peak_memory(usage)
            cpu = usage.ru_utime + usage.ru_stime
        seconds = time.monotonic() - self._started
        self.exit = describe_exit(code, number, rss, cpu, seconds, limits)

    def look_at_machine(self, paths: Sequence[str], descendant_died: bool) -> Machine:
        """Look up what may be behind an exception in this process.

        :param descendant_died: whether a process that it had started has just died.
        """
        killed = oom_kills.take() if descendant_died else None
        return machine_of(self.pid, paths, killed)


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
    fixed_addresses: bool = False,
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
    :param fixed_addresses: whether its memory is to lie at the same addresses each time.
    :raises OSError: it could not be started.
    """
    guard = guardian()
    marker = guard.mark()
    argv, passed = list(argv), list(inherited)
    pipes: list[tuple[int, Sink]] = []
    with ExitStack() as ours:
        with no_fork(), ExitStack() as theirs, ExitStack() as unless_started:

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
                unless_started.callback(os.close, stdin_write)
                os.set_blocking(stdin_write, False)
            stdout_read, stdout_write = output_pipe(stdout)
            _, stderr_write = output_pipe(stderr)
            if console is not None:
                _, writing = output_pipe(console[1])
                passed.append(writing)
                argv += [console[0], str(writing)]
            with addresses_fixed() if fixed_addresses else nullcontext():
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
            unless_started.pop_all()
            numbers = guard.mark_by_limit(popen.pid)
            # Before other threads fork again, so that the fork closes its pipes.
            process = Process(
                popen, pipes, stdin=stdin_write, stdout=stdout_read, ended=ended, beside=beside
            )
            process.marked = f"{MARKER}={marker}", numbers
        # No await before its supervision: a cancellation would leak the process.
        ours.callback(process.close_stdin)
        ours.callback(_running.discard, process)
        left = partial(kill_descendants, marker, numbers, guard, popen)
        async with _supervised(process, grace, left):
            guard.guard()  # after it, so that the two start side by side
            yield process


@asynccontextmanager
async def _supervised(
    process: Process, grace: float, kill_left: Callable[[], None]
) -> AsyncIterator[None]:
    """Watch a process, and end it on leaving: first it, then what it has left.

    What fails first is raised alone, wrapped by no group.
    """
    failures: list[Exception] = []
    # Shielded from the caller's cancellation: supervision ends when the process does, and
    # the process is ended below.
    supervision = anyio.CancelScope(shield=True)

    async def attempt(step: Awaitable[object]) -> None:
        try:
            await step
        except Exception as error:  # noqa: BLE001
            failures.append(alone := out_of_group(error))
            # What the system refuses is not our fault; whoever catches it says so.
            why = None if isinstance(alone, OSError) else error
            text = "process %d is ended: something has failed: %s"
            _log.error(text, process.pid, alone, exc_info=why)

    async def supervise() -> None:
        with supervision:
            await attempt(process._supervise())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervise)
        try:
            yield
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await attempt(_end(process, grace, supervision))
                finally:
                    await attempt(run_in_thread(kill_left))
    if failures:
        raise failures[0]


def out_of_group(error: Exception) -> Exception:
    """Take what failed alone out of its group, whose words say nothing of it."""
    # ExceptionGroup is not in Python 3.10.
    inner: tuple[object, ...] = getattr(error, "exceptions", ())
    first = inner[0] if len(inner) == 1 else None
    return first if isinstance(first, Exception) else error


async def _end(process: Process, grace: float, supervision: anyio.CancelScope) -> None:
    try:
        await process.end(*to_terminate(grace))
    finally:
        if process.exit is None:
            supervision.cancel()


_running: "weakref.WeakSet[Process]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a process that was forked from this one: a child must see its worker's end of the pipes
    close when the worker is gone."""
    for process in list(_running):
        pipes = {process.stdin, process.stdout, *(pipe for pipe, _ in process.output.pipes)}
        for descriptor in pipes - {None}:
            assert descriptor is not None
            # Whoever forked, or another hook, may have closed it.
            with suppress(OSError):
                os.close(descriptor)
        process.stdin = None
    _running.clear()


os.register_at_fork(after_in_child=_leave_to_parent)
