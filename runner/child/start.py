"""Starts a child, lets it load its bundle, and shuts it down."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio.to_thread

from runner.bundle.content import content_files, empty_folders
from runner.child.bulk import bulk_channel
from runner.child.dialogue import Dialogue
from runner.child.facts import Launch, NotStarted, Start
from runner.child.launch import child_command, child_environ, exchange_folder
from runner.child.memory_limit import MemoryLimit
from runner.child.session import Session, TimeLimit
from runner.child.working_folder import WorkingFolders
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.refusals import own_limit
from runner.diagnosis.report.model import ChildInfo
from runner.environment.libraries import library_folders
from runner.events import Origin, Phase, Stream
from runner.process.memory_cgroup import memory_group
from runner.process.own_limits import OF_CHILD, check_limits
from runner.process.post_mortem import machine_of
from runner.process.processors import thread_count
from runner.process.supervisor import Process, spawn


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

    :param startup_timeout: seconds from its start until it must have loaded the bundle.
    :raises Failure: it could not be started, died, hung, or could not load the bundle.
    """
    limit = TimeLimit(startup_timeout)
    async with AsyncExitStack() as stack:
        with case.journal.phase(Phase.SPAWN):
            session, process = await _spawned(stack, launch, case, environ, fork=fork)
        session.started(process)
        started = Start(launch, child_command(launch.python), process.pid)
        case.journal.fact(Origin.CHILD_START, started)
        try:
            with case.journal.phase(Phase.HANDSHAKE):
                await session.handshake(limit)
            with case.journal.phase(Phase.LOAD):
                await session.load(limit, fork=fork)
            yield session
            with case.journal.phase(Phase.SHUTDOWN):
                await session.shutdown()
        finally:
            session.dialogue.write_down()


async def _spawned(
    stack: AsyncExitStack, launch: Launch, case: Case, environ: Mapping[str, str], *, fork: bool
) -> tuple[Session, Process]:
    """Start the child's process; the stack ends it, and removes what was made for it.

    :raises Failure: it could not be started.
    """
    argv = child_command(launch.python)
    case.named = launch.env
    case.withheld = launch.withheld
    case.child = ChildInfo(
        argv=argv, cwd=str(launch.bundle), memory_limit_bytes=launch.memory_limit
    )
    case.journal.fact(Origin.CHILD_START, Start(launch, argv, None))
    try:
        check_limits(OF_CHILD)
    except OSError as error:
        raise await _not_started(case, launch, argv, error) from error
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
            memory_group(launch.memory_limit, kill_all=not fork)
        )
        variables = child_environ(environ, launch.python, launch.env)
        dialogue = Dialogue(case, launch)
        memory = MemoryLimit(launch.memory_limit, group, dialogue)
        session = Session(
            *(dialogue, memory, bulk, folders, wake),
            threads=thread_count(variables),
            library_folders=library_folders(environ),
        )
        process = await stack.enter_async_context(
            spawn(
                [*argv, *bulk.options],
                env=variables,
                cwd=Path(folders.load),
                stdout=None,
                stderr=partial(dialogue.feed_output, Stream.STDERR),
                console=("--console-fd", partial(dialogue.feed_output, Stream.STDOUT)),
                inherited=bulk.inherited,
                ended=session.on_end,
                beside=memory.keep,
                stdin=True,
                fixed_addresses=True,
            )
        )
    except OSError as error:
        raise await _not_started(case, launch, argv, error) from error
    case.child.pid = process.pid
    return session, process


async def _not_started(case: Case, launch: Launch, argv: list[str], error: OSError) -> Failure:
    case.machine = await anyio.to_thread.run_sync(machine_of, os.getpid(), argv[:1])
    case.journal.fact(Origin.MACHINE, case.machine)
    reached = own_limit(error.errno)
    limit = None if reached is None else reached[0]
    refused = NotStarted(error.errno, error.strerror, error.filename, limit)
    case.journal.fact(Origin.CHILD_START, Start(launch, argv, None, refused))
    return Failure(child_failures.spawn_failed(case, error, limit))


def _working_folders(exchange: Path, case: Case, launch: Launch) -> WorkingFolders:
    files = case.bundle_files or content_files(launch.bundle)
    empty = empty_folders(launch.bundle, files)
    return WorkingFolders(exchange, launch.bundle, files, empty)
