"""A session with a child: hello, initialize, execute, shutdown; and what became of it."""

import hashlib
import math
import os
import re
import signal
import stat
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from msgspec import Struct

from bundle_protocol.framing import Noise
from bundle_protocol.messages import MAX_MESSAGE_BYTES, OLDEST_PYTHON, PROTOCOL_VERSIONS
from runner.child import child_command, child_environ, exchange_folder
from runner.diagnosis import child_deaths, child_failures
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.child_raised import concerns_imports
from runner.diagnosis.report import ChildInfo
from runner.diagnosis.text import Capture
from runner.environment import installed_modules
from runner.events import Phase, Stream
from runner.process import Process, spawn
from runner.protocol import (
    Connection,
    Executed,
    Hello,
    Initialized,
    Message,
    OutputRecord,
    ProtocolViolation,
    Response,
    decode_result,
)

_T = TypeVar("_T")

# faulthandler writes every thread's stack within milliseconds of the SIGABRT; a child that is
# stopped or deep in the kernel never does.
STACKS_SECONDS = 0.3
# A child whose end of the wire is closed is about to die, unless the bundle's code closed it.
CLOSED_WIRE_SECONDS = 1.0
# The answer is in hand by then: this is for the bundle's atexit handlers.
SHUTDOWN_SECONDS = 2.0


class Launch(Struct, frozen=True):
    """What a child is started for."""

    python: Path
    python_version: str
    """The version that the environment was built for."""
    bundle: Path
    wire: str | None
    """The wire function, where the bundle's files name it."""
    project: str | None
    """The installed distribution whose entry points are asked first."""
    installed: bool
    """Whether the bundle's own code is installed, and not just read from its folder."""
    site: list[Path]
    env: tuple[str, ...]
    """The worker's variables that the bundle asks for."""


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
        self._launch = launch
        self._exchange = exchange
        self._connection = Connection()
        self._captures = {stream: Capture() for stream in Stream}
        self._messages: deque[Message] = deque()
        self._violation: str | None = None
        self._wire_closed = False
        self._ended = False
        self._changed = anyio.Event()
        self.process: Process

    # What comes from the process, as spawn() delivers it.

    def on_wire(self, data: bytes) -> None:
        if self._violation is not None:
            return
        if not data:
            self._wire_closed = True
        try:
            for piece in self._connection.receive(data):
                if isinstance(piece, Noise):
                    self.on_output(Stream.NOISE, piece)
                else:
                    self._messages.append(piece)
        except ProtocolViolation as error:
            self._violation = str(error)
        self._notify()

    def on_output(self, stream: Stream, data: bytes) -> None:
        if data:
            self._captures[stream].feed(data)
            self._case.journal.output(stream, data)

    def on_end(self) -> None:
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # The calls.

    async def handshake(self, limit: TimeLimit) -> None:
        """Wait for the child's hello and judge it."""
        hello = await self._receive(Phase.HANDSHAKE, limit)
        assert isinstance(hello, Hello)  # the connection lets nothing else come first
        child = self._child
        child.python = hello.python
        oldest = ".".join(map(str, OLDEST_PYTHON))
        version = hello.python.version
        if _minor(version) < OLDEST_PYTHON:
            raise self._failure(child_failures.python_too_old(self._case, hello.python, oldest))
        if version != self._launch.python_version:
            raise self._failure(
                child_failures.python_mismatch(
                    self._case, hello.python, self._launch.python_version
                )
            )
        common = set(hello.protocol_versions) & set(PROTOCOL_VERSIONS)
        if not common:
            raise self._failure(
                child_failures.protocol_unsupported(hello.protocol_versions, PROTOCOL_VERSIONS)
            )
        child.protocol = max(common)

    async def load(self, limit: TimeLimit) -> None:
        """Let the child load the wire function."""
        launch = self._launch
        request = self._connection.initialize(
            {
                "protocol_version": self._child.protocol,
                "bundle": {
                    "path": str(launch.bundle),
                    "wire": launch.wire,
                    "project": launch.project,
                    "installed": launch.installed,
                    "site": [str(folder) for folder in launch.site],
                },
                "exchange": str(self._exchange),
            }
        )
        initialized = await self._call(Phase.LOAD, request, limit, Initialized)
        # What the files declare is what its author knows; else what the environment gave.
        if self._case.bundle is not None and (launch.wire is None or launch.project is not None):
            self._case.bundle.entry_point = initialized.wire

    async def execute(
        self, entrypoint: str, params: Mapping[str, Any], seed: int, timeout: float | None
    ) -> dict[str, bytes]:
        """Run one task.

        :param timeout: seconds that it may take; ``None``: as long as it likes.
        :returns: its outputs by name.
        :raises Failure: whatever went wrong.
        """
        request = self._connection.execute(entrypoint, dict(params), seed)
        if len(request) > MAX_MESSAGE_BYTES:
            raise self._failure(child_failures.params_too_large(len(request), MAX_MESSAGE_BYTES))
        executed = await self._call(Phase.EXECUTE, request, TimeLimit(timeout), Executed)
        outputs: dict[str, bytes] = {}
        for record in executed.outputs:
            try:
                outputs[record.name] = await self._output(record)
            except (OSError, ValueError) as error:
                raise self._failure(
                    child_failures.violation(
                        self._case, Phase.EXECUTE, f"output {record.name!r}: {error}"
                    )
                ) from error
        return outputs

    async def shutdown(self) -> None:
        """Let the child end by itself; one that does not is killed, and the journal says so."""
        with anyio.move_on_after(SHUTDOWN_SECONDS):
            await self.process.write(self._connection.shutdown())
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

    async def _call(self, phase: Phase, request: bytes, limit: TimeLimit, kind: type[_T]) -> _T:
        with anyio.CancelScope(deadline=limit.deadline):
            await self.process.write(request)
        response = await self._receive(phase, limit)
        assert isinstance(response, Response)  # the connection lets no second hello through
        if response.error is not None:
            error = response.error
            exception = None if error.data is None else error.data.exception
            if exception is not None and concerns_imports(exception):
                await self._look_at_installed()
            raise self._failure(
                child_failures.remote_error(self._case, phase, error.code, error.message, exception)
            )
        try:
            return decode_result(response.result, kind)
        except ProtocolViolation as violation:
            raise self._failure(
                child_failures.violation(self._case, phase, str(violation))
            ) from violation

    async def _look_at_installed(self) -> None:
        environment = self._case.environment
        if environment is not None and environment.path is not None:
            # In a thread: site-packages may have many thousand files, on a slow disk.
            self._case.installed = await anyio.to_thread.run_sync(
                installed_modules, Path(environment.path)
            )

    async def _receive(self, phase: Phase, limit: TimeLimit) -> Message:
        """The next message; a failure where none comes."""
        with anyio.CancelScope(deadline=limit.deadline):
            while True:
                if self._messages:
                    return self._messages.popleft()
                if self._violation is not None:
                    raise self._failure(
                        child_failures.violation(self._case, phase, self._violation)
                    )
                if self._ended:
                    raise self._failure(self._death(phase))
                if self._wire_closed:
                    with anyio.move_on_after(CLOSED_WIRE_SECONDS):
                        await self.process.wait()
                        continue
                    raise self._failure(child_failures.wire_closed(self._case, phase))
                await self._changed.wait()
        await self._end_hung()
        raise self._failure(
            child_failures.hung(self._case, phase, limit.seconds, self._text(Stream.STDERR))
        )

    # What became of it.

    @property
    def _child(self) -> ChildInfo:
        assert self._case.child is not None
        return self._case.child

    def _text(self, stream: Stream) -> str:
        return self._captures[stream].excerpt().text

    def _death(self, phase: Phase) -> Finding:
        ended = self.process.exit
        assert ended is not None
        return child_deaths.death(
            self._case,
            phase,
            ended,
            stderr=self._text(Stream.STDERR),
            noise=self._text(Stream.NOISE),
        )

    async def _end_hung(self) -> None:
        """End a child that does not answer, and let it say first where it stands."""
        with anyio.CancelScope(shield=True):
            self.process.send_signal(signal.SIGABRT)
            with anyio.move_on_after(STACKS_SECONDS):
                await self.process.wait()
            await self.process.end(0)

    def _failure(self, finding: Finding) -> Failure:
        self.settle()
        return Failure(finding)

    def settle(self) -> None:
        """Write down what is known of the child by now."""
        child, ended = self._child, self.process.exit
        if ended is not None:
            child.exit_code = ended.code
            child.signal = ended.signal_name
            child.max_rss_bytes = ended.max_rss_bytes
            child.cpu_seconds = ended.cpu_seconds
            child.lifetime_seconds = ended.lifetime_seconds
        evidence = self._case.evidence
        evidence.stdout = self._captures[Stream.STDOUT].excerpt()
        evidence.stderr = self._captures[Stream.STDERR].excerpt()
        evidence.wire_noise = self._captures[Stream.NOISE].excerpt()


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
                        stderr=partial(session.on_output, Stream.STDERR),
                        console=("--console-fd", partial(session.on_output, Stream.STDOUT)),
                        ended=session.on_end,
                        stdin=True,
                    )
                )
            except OSError as error:
                raise Failure(child_failures.spawn_failed(case, error)) from error
        case.child.pid = session.process.pid
        try:
            with case.journal.phase(Phase.HANDSHAKE):
                await session.handshake(limit)
            with case.journal.phase(Phase.LOAD):
                await session.load(limit)
            yield session
            with case.journal.phase(Phase.SHUTDOWN):
                await session.shutdown()
        finally:
            session.settle()


def _minor(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


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
