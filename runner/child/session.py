"""A session with a live child: hello, initialize, execute, shutdown; and its end."""

import math
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from runner.bundle import content_files, empty_folders
from runner.child.blocking_call import Direct
from runner.child.bulk import Bulk, bulk_channel
from runner.child.facts import BadOutput, Launch, NotStarted, OverMemory, Start, TimedOut
from runner.child.launch import child_command, child_environ, exchange_folder
from runner.child.left_files import LeftFiles
from runner.child.messages import Executed, Message, Response
from runner.child.state import Dialogue
from runner.child.working_folder import WorkingFolders
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.child_raised import (
    concerns_imports,
    concerns_machine,
    is_of_pool,
    missing_library,
)
from runner.diagnosis.noexec import suspect_paths
from runner.diagnosis.report.model import ChildInfo, ExceptionInfo
from runner.diagnosis.report.text import printable
from runner.environment import installed_modules, libraries_like, library_folders
from runner.events import Origin, Phase, Stream
from runner.process.memory_cgroup import MemoryGroup, memory_group
from runner.process.memory_polling import watch_memory
from runner.process.memory_usage import children
from runner.process.post_mortem import machine_of
from runner.process.processors import thread_count
from runner.process.signals import stopped
from runner.process.supervisor import (
    KILL_SECONDS,
    PIPE_BYTES,
    READ_BYTES,
    STACKS_SECONDS,
    Process,
    spawn,
)
from runner.process.threads import run_in_thread
from runner.task import Task

# A task's process that is to be killed may still have to be forked.
AGAIN_SECONDS = 0.05
# A child whose end of the wire is closed is about to die, unless the bundle's code closed it.
CLOSED_WIRE_SECONDS = 1.0
# The answer is in hand by then: this is for the bundle's atexit handlers.
SHUTDOWN_SECONDS = 2.0


class TimeLimit:
    """A time limit.

    :param seconds: ``None`` for none.
    :param spent: how many of them have passed already.
    """

    def __init__(self, seconds: float | None, spent: float = 0.0) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self.deadline = anyio.current_time() + self.seconds - spent


class Session:
    """A live child that has loaded the bundle. Made by :func:`open_session`; one call at a time.

    The event loop watches what the child writes to its output and error, and its end. The wire is
    read by whoever waits for an answer: the loop, or a thread that calls :attr:`direct`.
    """

    def __init__(
        self,
        case: Case,
        launch: Launch,
        bulk: Bulk,
        folders: WorkingFolders,
        wake: tuple[int, int],
        group: MemoryGroup | None,
        *,
        threads: int | None,
        library_folders: tuple[str, ...],
    ) -> None:
        self._case = case
        self._memory_limit = launch.memory_limit
        self._group = group
        self._bulk = bulk
        self._folders = folders
        self.threads = threads
        """How many threads numerical libraries start in it, by its variables."""
        self._library_folders = library_folders
        self._wake = wake
        self._broken = False
        # Of two in the event loop, one is a call whose thread was interrupted: it ends soon.
        self._in_loop = anyio.Lock(fast_acquire=True)
        self._info: ChildInfo
        self.dialogue = Dialogue(case, launch)
        self.process: Process
        self.direct: Direct
        """The way to the child for a thread."""

    def begin(self, case: Case) -> None:
        """From here on, what the child does is for this case, which knows all but the child."""
        case.child = msgspec.structs.replace(self._info)
        if self._group is not None:
            self._group.killed()  # what the task before has survived is not this one's
        with self.process.handing_on:  # what that one has written, neither
            self._case = case
            self.dialogue.begin(case)

    @property
    def usable(self) -> bool:
        """Tell whether it can run another task."""
        dialogue = self.dialogue
        return (
            self.process.exit is None
            and dialogue.violation is None
            and not (self._broken or dialogue.wire_closed)
        )

    def abandon(self) -> None:
        """Run no further task in it, whatever comes in the way of ending it."""
        self._broken = True

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left of the task that it ran last."""
        return self.dialogue.settled and not self.direct.interrupted

    @property
    def untouched(self) -> bool:
        """Tell whether the child ended before it read the request, so that no task has begun."""
        return self.dialogue.half_sent or (
            self.dialogue.waiting and self.process.unread_input() > 0
        )

    def started(self, process: Process) -> None:
        self.process = process
        self.direct = Direct(self.dialogue, process, self._wake)
        self._bulk.started()

    def on_end(self) -> None:
        """The process has ended, and all that it wrote to its output and error is here."""
        try:
            anyio.notify_closing(self.process.stdout)
            if self.process.stdin is not None:  # of which another process may have the other end
                anyio.notify_closing(self.process.stdin)
        finally:
            self.direct.wake()

    async def keep_to_memory(self, process: Process) -> None:
        """See that the child keeps to its memory limit, where the kernel does not."""
        limit = self._memory_limit
        if limit is None or (self._group is not None and self._group.add(process.pid)):
            return
        await watch_memory(
            process,
            limit,
            forks=lambda: self.dialogue.forks,
            over=lambda used: self.dialogue.over_memory(OverMemory(limit, used)),
        )

    def _killed_by_group(self) -> bool:
        """Take the kernel's word for a kill at the memory limit."""
        if self._group is None or self._memory_limit is None or not self._group.killed():
            return False
        self.dialogue.over_memory(OverMemory(self._memory_limit, self._group.peak()))
        return True

    # The calls, in the event loop.

    async def handshake(self, limit: TimeLimit) -> None:
        """Wait for the child's hello and judge it."""
        self.dialogue.greet(await self.receive(Phase.HANDSHAKE, limit))

    async def load(self, limit: TimeLimit, *, fork: bool) -> None:
        """Let the child load the wire function."""
        request = self.dialogue.initialize(self._bulk.folder, fork=fork)
        await self._send(request, limit)
        response = await self.receive(Phase.LOAD, limit)
        await self._learn_more(response)
        self.dialogue.loaded(response)
        try:
            self._folders.loaded()
        except OSError as error:
            raise self.dialogue.failure(child_failures.no_exchange_folder(error)) from error
        assert self._case.child is not None
        self._info = msgspec.structs.replace(self._case.child)

    async def execute(
        self, task: Task, timeout: float | None
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Run one task.

        :param timeout: seconds that it may take; ``None``: as long as it likes.
        :returns: its outputs by name, and what it took.
        :raises Failure: whatever went wrong.
        """
        if task.inputs:
            # In a thread: they may be large.
            request = await anyio.to_thread.run_sync(self.request, task)
        else:
            request = self.request(task)
        limit = TimeLimit(timeout)
        async with self._in_loop:
            self.dialogue.sending()
            await self._send(request, limit)
            response = await self.receive(Phase.EXECUTE, limit)
            return await self.executed(response)

    async def go_on(
        self, response: Message | None, timeout: float | None, spent: float
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Go on where a thread has left off, after so many seconds.

        :raises Failure: whatever went wrong.
        """
        async with self._in_loop:
            if response is None:
                response = await self.receive(Phase.EXECUTE, TimeLimit(timeout, spent))
            return await self.executed(response)

    async def executed(self, response: Message) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Judge the answer to a task, and take its outputs.

        :raises Failure: whatever went wrong.
        """
        await self._learn_more(response)
        executed = self.dialogue.executed(response)
        if any(record.data is None for record in executed.outputs):
            # In a thread: they are large.
            return await anyio.to_thread.run_sync(self.outputs, executed), executed
        return self.outputs(executed), executed

    async def shutdown(self) -> None:
        """Let the child end by itself; one that does not is killed, and the journal says so."""
        if self.dialogue.violation is not None or not self.dialogue.settled:
            return  # Nothing that it would say can be understood: it is killed.
        with anyio.move_on_after(SHUTDOWN_SECONDS):
            await self.process.write(self.dialogue.shutdown())
            self.process.close_stdin()
            await self.process.wait()
            self._read()
            return
        self._case.journal.note(
            f"the child did not end within {SHUTDOWN_SECONDS:g} s of its last answer; ended it"
        )

    async def take_unread(self) -> None:
        """Hand on what the child has written since its last answer."""
        self.process.drain()

    async def settle(self) -> None:
        """End the task that is under way, if one is, because nobody waits for it any more.

        It cannot be cancelled. Where nothing is left of the task, the child is as it was before.
        """
        if self.settled:
            return
        with anyio.CancelScope(shield=True):
            async with self._in_loop:
                self.direct.forget_interrupt()
                self._read()
                if not await self._answered():
                    await self._end()
                self.dialogue.forget_answer()
                self._bulk.discard()

    async def _end(self) -> None:
        """Kill the child; one that the kernel does not let go of is not waited for any longer."""
        self._broken = True
        with anyio.move_on_after(KILL_SECONDS):
            await self.process.end(0)

    def continue_stopped(self) -> None:
        """Let the child go on where something else than its task has stopped it.

        In the event loop, while a call waits for it. A task that is under way in the child itself
        may have stopped itself: that is for its time limit to end.
        """
        if (self.dialogue.forks or self.untouched) and stopped([self.process.pid]):
            self._case.journal.note("a signal (SIGSTOP) had stopped the child; continued it")
            self.process.send_signal(signal.SIGCONT)

    async def _answered(self) -> bool:
        """Bring the wire to where it is between two tasks; tell whether it could be done."""
        if self.dialogue.half_sent or self.direct.reading:
            return False
        return not self.dialogue.waiting or (self.dialogue.forks and await self._end_fork())

    async def receive(self, phase: Phase, limit: TimeLimit) -> Message:
        """The next message.

        :raises Failure: none comes.
        """
        with anyio.CancelScope(deadline=limit.deadline):
            while True:
                if (message := self.dialogue.take(phase)) is not None:
                    return message
                if self.dialogue.wire_closed and self.process.exit is None:
                    with anyio.move_on_after(CLOSED_WIRE_SECONDS):
                        await self.process.wait()
                        continue
                    out = TimedOut(CLOSED_WIRE_SECONDS, wire_closed=True)
                    self._case.journal.fact(Origin.TIMEOUT, out)
                    raise self.dialogue.timed_out(phase, out)
                if self.process.exit is None:
                    # The end of the process wakes it up, see on_end().
                    with suppress(anyio.ClosedResourceError):
                        await anyio.wait_readable(self.process.stdout)
                self._read()
        out = TimedOut(limit.seconds, stopped=await anyio.to_thread.run_sync(self._task_stopped))
        self._case.journal.fact(Origin.TIMEOUT, out)
        await self._end_hung(out)
        raise self.dialogue.timed_out(phase, out)

    async def _send(self, request: bytes, limit: TimeLimit) -> None:
        with anyio.CancelScope(deadline=limit.deadline):
            self.dialogue.half_sent = not await self.process.write(request)

    async def _learn_more(self, response: Message) -> None:
        """Learn what an error answer does not say, before it is judged."""
        error = response.error if isinstance(response, Response) else None
        if error is None:
            return
        self._bulk.discard()
        self.process.drain()
        killed = self._killed_by_group()
        if error.data is not None and error.data.ended is not None:
            fork = error.data.ended
            ended = self.process.describe_exit(
                fork.exit_code,
                fork.signal,
                fork.max_rss_bytes,
                fork.cpu_seconds,
                fork.lifetime_seconds,
                fork.limits,
            )
            raise self.dialogue.task_died(ended, fork.pid)
        if killed:  # a subprocess, and the task says that it has failed
            raise self.dialogue.subprocess_killed()
        if error.data is not None and error.data.exception is not None:
            await self._look_up(self._case, error.data.exception)

    async def _look_up(self, case: Case, exception: ExceptionInfo) -> None:
        """Ask the disk about an import that has failed, in a thread: it may be a slow one."""
        in_thread = anyio.to_thread.run_sync
        environment = case.environment
        if concerns_imports(exception) and environment is not None and environment.path is not None:
            case.installed = await in_thread(installed_modules, Path(environment.path))
            case.journal.fact(Origin.INSTALLED, case.installed)
        if library := missing_library(exception):
            case.libraries = await in_thread(libraries_like, library, self._library_folders)
            case.journal.fact(Origin.LIBRARIES, case.libraries)
        if concerns_machine(exception):
            paths = suspect_paths(case, exception, tempfile.gettempdir())
            of_pool = is_of_pool(exception)
            case.machine = await in_thread(self.process.look_at_machine, paths, of_pool)
            case.journal.fact(Origin.MACHINE, case.machine)

    def _read(self) -> None:
        """Take what is on the wire, and that the process has ended after all that it wrote."""
        ended = self.process.exit
        left = PIPE_BYTES
        while left > 0 and not self.dialogue.wire_closed:
            try:
                data = os.read(self.process.stdout, READ_BYTES)
            except BlockingIOError:
                break
            left -= len(data)
            self.dialogue.feed_wire(data)
            if not data:
                break
        if ended is not None and self.dialogue.exit is None:
            self._killed_by_group()
            self.dialogue.end(ended)

    def _task_stopped(self) -> bool:
        """In a thread: looking at other processes takes a while."""
        pid = self.process.pid
        return stopped(children(pid) if self.dialogue.forks else [pid])

    async def _end_hung(self, out: TimedOut) -> None:
        """End what does not answer, and let it say first where it stands."""
        # A stopped process takes no signal but SIGKILL until it is continued.
        first = [signal.SIGABRT, *([signal.SIGCONT] if out.stopped else [])]
        with anyio.CancelScope(shield=True):
            # One that has not read the request whole has not forked for it.
            forks = self.dialogue.forks and not self.dialogue.half_sent
            if forks and await self._end_fork(first):
                return
            for number in first:
                self.process.send_signal(number)
            with anyio.move_on_after(STACKS_SECONDS):
                await self.process.wait()
            await self._end()
            self._read()

    async def _end_fork(self, first: Sequence[signal.Signals] = ()) -> bool:
        """End the process that the child forked for a task, and take the child's word for it.

        :param first: what it gets, to say its last words, before SIGKILL.
        """
        give_up = time.monotonic() + KILL_SECONDS
        numbers, seconds = (first, STACKS_SECONDS) if first else ([signal.SIGKILL], AGAIN_SECONDS)
        if stopped([self.process.pid]):
            self.process.send_signal(signal.SIGCONT)  # else it cannot say that the task has ended
        while time.monotonic() < give_up:
            # Again and again: it may not have forked yet.
            for number in numbers:
                await run_in_thread(partial(self.process.signal_forks, number))
            with anyio.move_on_after(seconds):
                while self.usable:
                    if self.dialogue.answer() is not None:
                        self.process.drain()
                        return True
                    with suppress(anyio.ClosedResourceError):
                        await anyio.wait_readable(self.process.stdout)
                    self._read()
                return False
            numbers, seconds = [signal.SIGKILL], AGAIN_SECONDS
        return False

    def request(self, task: Task) -> bytes:
        """The request to run a task, whose inputs are on their way then.

        :raises Failure: the task cannot be sent.
        """
        try:
            cwd = self._folders.begin()
        except OSError as error:
            raise self.dialogue.failure(child_failures.no_exchange_folder(error)) from error
        if not task.inputs:
            return self.dialogue.execute(task, cwd)
        # The child would take what is left of them for the next task's.
        self.dialogue.half_sent = True
        try:
            inputs = self._bulk.send(task.inputs, self.dialogue.request_id + 1)
        except OSError as error:
            if error.errno not in child_failures.NO_ROOM:
                raise
            raise self.dialogue.failure(child_failures.no_room("the task's inputs")) from error
        return self.dialogue.execute(task, cwd, inputs)

    def left_files(self, executed: Executed) -> LeftFiles | None:
        """Take the files that the task has left in its working folder, if it has left any.

        :param executed: what it took.
        :raises Failure: there is no room for them.
        """
        try:
            return self._folders.take(executed.wall_seconds)
        except OSError as error:
            raise self.dialogue.failure(child_failures.no_exchange_folder(error)) from error

    def with_notes(self, executed: Executed, *notes: str | None) -> Executed:
        """Return what a task took, with notes of this side's."""
        said = [note for note in notes if note is not None]
        if written := self._folders.written_through():
            said.append(
                f"{', '.join(map(printable, written[:5]))}: written to in the bundle's own folder"
                " while the task ran; a file that large is linked: copy it before changing it"
            )
        if not said:
            return executed
        return msgspec.structs.replace(executed, notes=(*executed.notes, *said))

    def outputs(self, executed: Executed) -> dict[str, bytes | memoryview]:
        """Take the outputs that an answer announces.

        :raises Failure: one is not what was announced.
        """
        taken: dict[str, bytes | memoryview] = {}
        for index, record in enumerate(executed.outputs):
            try:
                taken[record.name] = self._bulk.take(record, self.dialogue.request_id, index)
            except (OSError, ValueError) as error:
                self._broken = True
                raise self.dialogue.bad_output(BadOutput(record.name, str(error))) from error
        return taken


@asynccontextmanager
async def open_session(
    launch: Launch,
    *,
    case: Case,
    environ: Mapping[str, str],
    startup_timeout: float,
    fork: bool = False,
) -> AsyncIterator[Session]:
    """Start a child and let it load the bundle; shut it down on leaving.

    :param environ: the worker's variables, from which the child's are chosen.
    :param startup_timeout: seconds from its start until it must have loaded the bundle.
    :param fork: whether the child is to fork a process for each task.
    :raises Failure: it could not be started, died, hung, or could not load the bundle.
    """
    limit = TimeLimit(startup_timeout)
    argv = child_command(launch.python)
    case.named = launch.env
    case.withheld = launch.withheld
    case.child = ChildInfo(
        argv=argv, cwd=str(launch.bundle), memory_limit_bytes=launch.memory_limit
    )
    async with AsyncExitStack() as stack:
        with case.journal.phase(Phase.SPAWN):
            case.journal.fact(Origin.CHILD_START, Start(launch, argv, None))
            try:
                folder = await stack.enter_async_context(exchange_folder())
                bulk = stack.enter_context(bulk_channel(folder))
                # In a thread: the bundle may be large, and on a slow disk.
                folders = await anyio.to_thread.run_sync(_working_folders, folder, case, launch)
            except OSError as error:
                raise Failure(child_failures.no_exchange_folder(error)) from error
            try:
                wake = os.pipe()
                os.set_blocking(wake[0], False)
                for descriptor in wake:
                    stack.callback(os.close, descriptor)
                group = await stack.enter_async_context(
                    memory_group(launch.memory_limit, whole=not fork)
                )
                variables = child_environ(environ, launch.python, launch.env)
                session = Session(
                    *(case, launch, bulk, folders, wake, group),
                    threads=thread_count(variables),
                    library_folders=library_folders(environ),
                )
                process = await stack.enter_async_context(
                    spawn(
                        [*argv, *bulk.options],
                        env=variables,
                        cwd=Path(folders.load),
                        stdout=None,
                        stderr=partial(session.dialogue.feed_output, Stream.STDERR),
                        console=(
                            "--console-fd",
                            partial(session.dialogue.feed_output, Stream.STDOUT),
                        ),
                        inherited=bulk.inherited,
                        ended=session.on_end,
                        beside=session.keep_to_memory,
                        stdin=True,
                    )
                )
            except OSError as error:
                case.machine = await anyio.to_thread.run_sync(machine_of, os.getpid(), argv[:1])
                case.journal.fact(Origin.MACHINE, case.machine)
                refused = NotStarted(error.errno, error.strerror, error.filename)
                case.journal.fact(Origin.CHILD_START, Start(launch, argv, None, refused))
                raise Failure(child_failures.spawn_failed(case, error)) from error
        session.started(process)
        case.child.pid = process.pid
        case.journal.fact(Origin.CHILD_START, Start(launch, argv, session.process.pid))
        try:
            with case.journal.phase(Phase.HANDSHAKE):
                await session.handshake(limit)
            with case.journal.phase(Phase.LOAD):
                await session.load(limit, fork=fork)
            yield session
            with case.journal.phase(Phase.SHUTDOWN):
                await session.shutdown()
        finally:
            session.dialogue.settle()


def _working_folders(exchange: Path, case: Case, launch: Launch) -> WorkingFolders:
    files = case.bundle_files or content_files(launch.bundle)
    empty = empty_folders(launch.bundle, files)
    return WorkingFolders(exchange, launch.bundle, files, empty)
