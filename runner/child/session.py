"""A session with a live child: hello, initialize, execute, shutdown."""

import math
import tempfile
import time
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from bundle_protocol.messages import INLINE_BYTES
from runner.child.blocking_call import BlockingCall
from runner.child.bulk import Bulk
from runner.child.dialogue import Dialogue
from runner.child.ending import Ending
from runner.child.facts import BadOutput, TimedOut
from runner.child.left_files import LeftFiles
from runner.child.memory_limit import MemoryLimit
from runner.child.messages import Executed, Message, Response
from runner.child.state import Event
from runner.child.transport import Transport
from runner.child.working_folder import WorkingFolders
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case
from runner.diagnosis.refusals import lacks_room
from runner.diagnosis.report.model import ChildInfo, ExceptionInfo
from runner.diagnosis.report.text import printable
from runner.environment.installed import installed_modules, libraries_like
from runner.events import Origin, Phase
from runner.process.exits import describe_exit
from runner.process.supervisor import Process
from runner.process.suspension import suspended_since
from runner.task import Task

STOPPED_SECONDS = 2.0
"""So late is nobody told that time is over but one who was stopped: by a Ctrl-Z, a batch system."""


class TimeLimit:
    """A time limit.

    :param seconds: ``None`` for none.
    :param elapsed: how many of them have passed already.
    """

    def __init__(self, seconds: float | None, elapsed: float = 0.0) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self.deadline = anyio.current_time() + self.seconds - elapsed
        self._began = time.monotonic() - elapsed

    def begin_anew_after_stop(self) -> bool:
        """Begin anew where this process was stopped, with its child or till long after.

        :returns: whether it was.
        """
        now = anyio.current_time()
        stopped = suspended_since(self._began) or now - self.deadline > STOPPED_SECONDS
        if stopped:
            self.deadline, self._began = now + self.seconds, time.monotonic()
        return stopped


class Session:
    """A live child that has loaded the bundle; one call at a time.

    Made by :func:`runner.child.start.open_session`. The event loop watches what the child writes to
    its output and error, and its end. The transport is read by whoever waits for an answer: the
    loop, or a thread that calls :attr:`direct`.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        memory: MemoryLimit,
        bulk: Bulk,
        folders: WorkingFolders,
        wake: tuple[int, int],
        *,
        threads: int | None,
        library_folders: tuple[str, ...],
    ) -> None:
        self.dialogue = dialogue
        self._life = dialogue.life
        self._memory = memory
        self._bulk = bulk
        self._folders = folders
        self._wake = wake
        self.threads = threads
        """How many threads numerical libraries start in it, by its variables."""
        self._library_folders = library_folders
        # Of two in the event loop, one is a call whose thread was interrupted: it ends soon.
        self._in_loop = anyio.Lock(fast_acquire=True)
        self._info: ChildInfo
        self.process: Process
        self.direct: BlockingCall
        """The way to the child for a thread."""
        self._transport: Transport
        self.ending: Ending

    def started(self, process: Process) -> None:
        self.process = process
        self.direct = BlockingCall(self.dialogue, process, self._wake)
        self._transport = Transport(self.dialogue, process, self._memory)
        self.ending = Ending(self.dialogue, process, self._transport)
        self._bulk.started()

    def on_end(self) -> None:
        """The process has ended, and all that it wrote to its output and error is here."""
        try:
            anyio.notify_closing(self.process.stdout)
            if self.process.stdin is not None:  # of which another process may have the other end
                anyio.notify_closing(self.process.stdin)
        finally:
            self.direct.wake()

    def begin(self, case: Case) -> None:
        """From here on, what the child does is for this case, which knows all but the child."""
        case.child = msgspec.structs.replace(self._info)
        self._memory.begin()
        with self.process.output.handing_on:  # what the task before has written is not this one's
            self.dialogue.begin(case)

    @property
    def usable(self) -> bool:
        """Tell whether it can run another task."""
        return self._life.usable and self.process.exit is None

    def abandon(self) -> None:
        """Run no further task in it, whatever comes in the way of ending it."""
        self._life.finish(Event.ABANDON)

    @property
    def settled(self) -> bool:
        """Tell whether nothing is left of the task that it ran last."""
        return self._life.settled and not self.direct.interrupted

    @property
    def request_unread(self) -> bool:
        """Tell whether the child ended before it read the request, so that no task has begun."""
        life = self._life
        return life.unasked or life.half_sent or (life.waiting and self.process.unread_input() > 0)

    # The calls, in the event loop.

    async def load(self, limit: TimeLimit, *, fork: bool) -> None:
        """Let the child load the wire function."""
        request = self.dialogue.initialize(self._bulk.folder, fork=fork)
        response = await self._call(request, Phase.LOAD, limit)
        await self._learn_more(response)
        self.dialogue.loaded(response)
        try:
            self._folders.loaded()
        except OSError as error:
            raise self.dialogue.failure(child_failures.no_exchange_folder(error)) from error
        child = self.dialogue.case.child
        assert child is not None
        self._info = msgspec.structs.replace(child)

    async def execute(
        self, task: Task, timeout: float | None
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Run one task.

        :returns: its outputs by name, and what it took.
        :raises Failure: whatever went wrong.
        """
        if task.inputs or self._folders.used:
            # In a thread: they may be large, and what a task has left may be much.
            request = await anyio.to_thread.run_sync(self.request, task)
        else:
            request = self.request(task)
        limit = TimeLimit(timeout)
        async with self._in_loop:
            response = await self._call(request, Phase.EXECUTE, limit)
            return await self.executed(response, limit)

    async def resume(
        self, response: Message | None, timeout: float | None, elapsed: float
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Go on where a thread has left off, after so many seconds.

        :raises Failure: whatever went wrong.
        """
        async with self._in_loop:
            limit = TimeLimit(timeout, elapsed)
            if response is None:
                response = await self.receive(Phase.EXECUTE, limit)
            return await self.executed(response, limit)

    async def executed(
        self, response: Message, limit: TimeLimit
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Judge the answer to a task, and take its outputs.

        :raises Failure: whatever went wrong.
        """
        await self._learn_more(response)
        executed = self.dialogue.executed(response)
        self.direct.seconds = limit.seconds
        # The event loop's clock may be another one.
        self.direct.deadline = time.monotonic() + limit.deadline - anyio.current_time()
        if any(record.data is None for record in executed.outputs):
            # In a thread: they are large.
            return await anyio.to_thread.run_sync(self.outputs, executed), executed
        return self.outputs(executed), executed

    async def take_unread(self) -> None:
        """Take what the child has written since its last answer; messages are a violation."""
        self.process.output.drain()
        self._transport.read()

    async def settle(self) -> None:
        """End the task that is under way, if one is, because nobody waits for it any more.

        It cannot be cancelled. Where nothing is left of the task, the child is as it was before.
        """
        if self.settled:
            return
        with anyio.CancelScope(shield=True):
            async with self._in_loop:
                self.direct.forget_interrupt()
                await self.ending.settle()
                self._bulk.discard()

    def continue_stopped(self) -> None:
        """Let the child go on where something else than its task has stopped it."""
        self.ending.continue_stopped(request_unread=self.request_unread)

    async def _call(self, request: bytes, phase: Phase, limit: TimeLimit) -> Message:
        """Send a request and wait for the answer.

        :raises Failure: none comes.
        """
        with anyio.CancelScope(deadline=limit.deadline):
            await self._transport.send(request)
        return await self.receive(phase, limit)

    async def receive(self, phase: Phase, limit: TimeLimit) -> Message:
        """The next message.

        :raises Failure: none comes.
        """
        while True:
            with anyio.CancelScope(deadline=limit.deadline):
                return await self._transport.receive(phase)
            self._transport.read()  # it may have answered while this process was stopped
            if (message := self.dialogue.take(phase)) is not None:
                return message
            if not limit.begin_anew_after_stop():
                break
        stopped = await anyio.to_thread.run_sync(self.ending.task_stopped)
        idle = await anyio.to_thread.run_sync(self.ending.task_idle)
        out = TimedOut(limit.seconds, stopped=stopped, idle=idle)
        self.dialogue.case.journal.fact(Origin.TIMEOUT, out)
        self.dialogue.case.journal.note(
            f"the limit of {limit.seconds:g} s is over: the stacks of the child's threads follow"
        )
        await self.ending.end_hung(stopped=stopped)
        await self._transport.look_at_stacks()
        raise self.dialogue.timed_out(phase, out)

    async def _learn_more(self, response: Message) -> None:
        """Learn what an error answer does not say, before it is judged."""
        error = response.error if isinstance(response, Response) else None
        if error is None:
            return
        self._bulk.discard()
        self.process.output.drain()
        killed = self._memory.passed()
        if error.data is not None and error.data.ended is not None and self.dialogue.forks:
            fork = error.data.ended
            ended = describe_exit(
                fork.exit_code,
                fork.signal,
                fork.max_rss_bytes,
                fork.cpu_seconds,
                fork.lifetime_seconds,
                fork.limits,
            )
            await self._transport.look_at_stacks()
            raise self.dialogue.task_died(ended, fork.pid)
        if killed:  # a subprocess, and the task says that it has failed
            await self._transport.look_at_stacks()
            raise self.dialogue.subprocess_killed()
        if error.data is not None and error.data.exception is not None:
            await self._look_up(self.dialogue.case, error.data.exception)

    async def _look_up(self, case: Case, exception: ExceptionInfo) -> None:
        """Ask the disk about an import that has failed, in a thread: it may be a slow one."""
        # Only a failure is worth these.
        from runner.child.imported_around import imported_around
        from runner.diagnosis.child_raised import concerns_imports, misses_module, missing_library
        from runner.diagnosis.machine_causes import concerns_machine, is_of_pool
        from runner.diagnosis.noexec import suspect_paths
        from runner.environment.extras import extras_of

        in_thread = anyio.to_thread.run_sync
        environment = case.environment
        if concerns_imports(exception) and environment is not None and environment.path is not None:
            case.installed = await in_thread(installed_modules, Path(environment.path))
            case.journal.fact(Origin.INSTALLED, case.installed)
            if misses_module(exception):
                asked = case.bundle_dependencies
                case.extras = await in_thread(extras_of, Path(environment.path), asked)
                case.journal.fact(Origin.EXTRAS, case.extras)
                case.imported = await in_thread(imported_around, case, exception)
                case.journal.fact(Origin.IMPORTED, case.imported)
        if library := missing_library(exception):
            case.libraries = await in_thread(libraries_like, library, self._library_folders)
            case.journal.fact(Origin.LIBRARIES, case.libraries)
        if concerns_machine(exception):
            paths = suspect_paths(case, exception, tempfile.gettempdir())
            of_pool = is_of_pool(exception)
            case.machine = await in_thread(self.process.look_at_machine, paths, of_pool)
            case.journal.fact(Origin.MACHINE, case.machine)

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
        self.dialogue.sending()
        try:
            inputs = self._bulk.send(task.inputs, self.dialogue.request_id + 1)
        except OSError as error:
            if error.errno not in child_failures.NO_ROOM:
                raise
            raise self.dialogue.failure(child_failures.no_room("the task's inputs")) from error
        return self.dialogue.execute(task, cwd, inputs)

    def left_files(self, executed: Executed) -> LeftFiles | None:
        """Take the files that the task has left in its working folder, if it has left any.

        :raises Failure: there is no room for them.
        """
        try:
            return self._folders.take(executed.wall_seconds)
        except OSError as error:
            raise self.dialogue.failure(child_failures.no_exchange_folder(error)) from error

    def with_notes(self, executed: Executed, *notes: str | None) -> Executed:
        """Return what a task took, with notes of this side's."""
        written = self._folders.written_through()
        case = self.dialogue.case
        if self.dialogue.has_said:
            from runner.diagnosis.unnoticed_failures import unnoticed_failure  # most write nothing

            notes = (*notes, unnoticed_failure(case, self.dialogue.stderr))
        if not (written or any(notes)):
            return executed
        said = [note for note in notes if note is not None]
        if written:
            said.append(
                f"{', '.join(map(printable, written[:5]))}: written to in the bundle's own folder"
                " while the task ran; a file that large is linked: copy it before changing it"
            )
        return msgspec.structs.replace(executed, notes=(*executed.notes, *said))

    def outputs(self, executed: Executed) -> dict[str, bytes | memoryview]:
        """Take the outputs that an answer announces, while the task has time.

        :raises Failure: one is not what was announced, or they are too large.
        """
        size = sum(record.size for record in executed.outputs)
        if size > INLINE_BYTES and size > (limit := self._memory.outputs):
            self.abandon()
            raise self.dialogue.failure(child_failures.outputs_too_large(size, limit))
        taken: dict[str, bytes | memoryview] = {}
        request_id, deadline = self.dialogue.request_id, self.direct.deadline
        for index, record in enumerate(executed.outputs):
            try:
                taken[record.name] = self._bulk.take(record, request_id, index, deadline)
            except TimeoutError as error:
                self.abandon()
                out = TimedOut(self.direct.seconds, reading=True)
                self.dialogue.case.journal.fact(Origin.TIMEOUT, out)
                raise self.dialogue.timed_out(Phase.EXECUTE, out) from error
            except MemoryError as error:
                self.abandon()
                finding = child_failures.no_room("the task's outputs")
                raise self.dialogue.failure(finding) from error
            except (OSError, ValueError) as error:
                self.abandon()
                if (lacking := lacks_room(Phase.EXECUTE, error)) is not None:
                    raise self.dialogue.failure(lacking) from error
                raise self.dialogue.bad_output(BadOutput(record.name, str(error))) from error
        return taken
