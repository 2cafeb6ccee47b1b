"""A session with a live child: hello, initialize, execute, shutdown; and its end."""

import hashlib
import math
import os
import signal
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from runner.child import child_command, child_environ, exchange_folder
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report import ChildInfo
from runner.dialogue import BadOutput, Dialogue, Launch, NotStarted, Start, TimedOut
from runner.environment import installed_modules
from runner.events import Origin, Phase, Stream
from runner.process import Process, spawn
from runner.protocol import Message, OutputRecord

# faulthandler writes every thread's stack within milliseconds of the SIGABRT; a child that is
# stopped or deep in the kernel never does.
STACKS_SECONDS = 0.3
# A child whose end of the wire is closed is about to die, unless the bundle's code closed it.
CLOSED_WIRE_SECONDS = 1.0
# The answer is in hand by then: this is for the bundle's atexit handlers.
SHUTDOWN_SECONDS = 2.0


class TimeLimit:
    """A time limit that runs from now on.

    :param seconds: ``None`` for none.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self.deadline = anyio.current_time() + self.seconds


class Session:
    """A live child that has loaded the bundle. Made by :func:`open_session`; one call at a time."""

    def __init__(self, case: Case, launch: Launch, exchange: Path) -> None:
        self._case = case
        self._exchange = exchange
        self._changed = anyio.Event()
        self.dialogue = Dialogue(case, launch)
        self.process: Process

    # What comes from the process, as spawn() delivers it.

    def on_wire(self, data: bytes) -> None:
        self.dialogue.feed_wire(data)
        self._notify()

    def on_end(self) -> None:
        assert self.process.exit is not None
        self.dialogue.end(self.process.exit)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # The calls.

    async def handshake(self, limit: TimeLimit) -> None:
        """Wait for the child's hello and judge it."""
        self.dialogue.greet(await self._receive(Phase.HANDSHAKE, limit))

    async def load(self, limit: TimeLimit) -> None:
        """Let the child load the wire function."""
        request = self.dialogue.initialize(self._exchange)
        self.dialogue.loaded(await self._call(Phase.LOAD, request, limit))

    async def execute(
        self, entrypoint: str, params: Mapping[str, Any], seed: int, timeout: float | None
    ) -> dict[str, bytes]:
        """Run one task.

        :param timeout: seconds that it may take; ``None``: as long as it likes.
        :returns: its outputs by name.
        :raises Failure: whatever went wrong.
        """
        request = self.dialogue.execute(entrypoint, params, seed)
        response = await self._call(Phase.EXECUTE, request, TimeLimit(timeout))
        outputs: dict[str, bytes] = {}
        for record in self.dialogue.executed(response):
            try:
                outputs[record.name] = await self._output(record)
            except (OSError, ValueError) as error:
                raise self.dialogue.bad_output(BadOutput(record.name, str(error))) from error
        return outputs

    async def shutdown(self) -> None:
        """Let the child end by itself; one that does not is killed, and the journal says so."""
        with anyio.move_on_after(SHUTDOWN_SECONDS):
            await self.process.write(self.dialogue.shutdown())
            self.process.close_stdin()
            await self.process.wait()
            return
        self._case.journal.note(
            f"the child did not end within {SHUTDOWN_SECONDS:g} s of its last answer; ended it"
        )

    async def _output(self, record: OutputRecord) -> bytes:
        if record.file is None:
            if record.data is None:
                raise ValueError("it has neither data nor a file")
            data = record.data
        else:
            path = self._exchange / record.file
            if path.parent != self._exchange:
                raise ValueError(f"its file {record.file!r} is not in the exchange folder")
            data = await anyio.to_thread.run_sync(_take_file, path, record.size)
        if len(data) != record.size:
            raise ValueError(f"{len(data)} bytes arrived where {record.size} were announced")
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise ValueError("its SHA-256 is not the one announced")
        return data

    async def _call(self, phase: Phase, request: bytes, limit: TimeLimit) -> Message:
        with anyio.CancelScope(deadline=limit.deadline):
            await self.process.write(request)
        response = await self._receive(phase, limit)
        environment = self._case.environment
        if (
            self.dialogue.concerns_imports(response)
            and environment is not None
            and environment.path is not None
        ):
            # In a thread: site-packages may have many thousand files, on a slow disk.
            self._case.installed = await anyio.to_thread.run_sync(
                installed_modules, Path(environment.path)
            )
            self._case.journal.fact(Origin.INSTALLED, self._case.installed)
        return response

    async def _receive(self, phase: Phase, limit: TimeLimit) -> Message:
        """The next message; a failure where none comes."""
        with anyio.CancelScope(deadline=limit.deadline):
            while True:
                if (message := self.dialogue.take(phase)) is not None:
                    return message
                if self.dialogue.wire_closed:
                    with anyio.move_on_after(CLOSED_WIRE_SECONDS):
                        await self.process.wait()
                        continue
                    out = TimedOut(CLOSED_WIRE_SECONDS, wire_closed=True)
                    self._case.journal.fact(Origin.TIMEOUT, out)
                    raise self.dialogue.timed_out(phase, out)
                await self._changed.wait()
        out = TimedOut(limit.seconds)
        self._case.journal.fact(Origin.TIMEOUT, out)
        await self._end_hung()
        raise self.dialogue.timed_out(phase, out)

    async def _end_hung(self) -> None:
        """End a child that does not answer, and let it say first where it stands."""
        with anyio.CancelScope(shield=True):
            self.process.send_signal(signal.SIGABRT)
            with anyio.move_on_after(STACKS_SECONDS):
                await self.process.wait()
            await self.process.end(0)


@asynccontextmanager
async def open_session(
    launch: Launch, *, case: Case, environ: Mapping[str, str], startup_timeout: float
) -> AsyncIterator[Session]:
    """Start a child and let it load the bundle; shut it down on leaving.

    :param environ: the worker's variables, from which the child's are chosen.
    :param startup_timeout: seconds from its start until it must have loaded the bundle.
    :raises Failure: it could not be started, died, hung, or could not load the bundle.
    """
    limit = TimeLimit(startup_timeout)
    argv = child_command(launch.python)
    case.child = ChildInfo(argv=argv, cwd=str(launch.bundle))
    async with AsyncExitStack() as stack:
        with case.journal.phase(Phase.SPAWN):
            case.journal.fact(Origin.CHILD_START, Start(launch, argv, None))
            try:
                exchange = stack.enter_context(exchange_folder())
            except OSError as error:
                raise Failure(child_failures.no_exchange_folder(error)) from error
            session = Session(case, launch, exchange)
            try:
                session.process = await stack.enter_async_context(
                    spawn(
                        argv,
                        env=child_environ(environ, launch.python, launch.env),
                        cwd=launch.bundle,
                        stdout=session.on_wire,
                        stderr=partial(session.dialogue.feed_output, Stream.STDERR),
                        console=(
                            "--console-fd",
                            partial(session.dialogue.feed_output, Stream.STDOUT),
                        ),
                        ended=session.on_end,
                        stdin=True,
                    )
                )
            except OSError as error:
                refused = NotStarted(error.errno, error.strerror, error.filename)
                case.journal.fact(Origin.CHILD_START, Start(launch, argv, None, refused))
                raise Failure(child_failures.spawn_failed(case, error)) from error
        case.child.pid = session.process.pid
        case.journal.fact(Origin.CHILD_START, Start(launch, argv, session.process.pid))
        try:
            with case.journal.phase(Phase.HANDSHAKE):
                await session.handshake(limit)
            with case.journal.phase(Phase.LOAD):
                await session.load(limit)
            yield session
            with case.journal.phase(Phase.SHUTDOWN):
                await session.shutdown()
        finally:
            session.dialogue.settle()


def _take_file(path: Path, size: int) -> bytes:
    """Read and remove a file that the child wrote.

    :raises OSError: it cannot be read.
    :raises ValueError: it is no plain file of that size.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            raise ValueError(f"its file is not a plain one of {size} bytes")
        data = file.read(size)
    path.unlink()
    return data
