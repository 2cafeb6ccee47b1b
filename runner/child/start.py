"""Starts a child, lets it load its bundle, and shuts it down."""

import os
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

import bundle_protocol
from runner.bundle.content import content_files, empty_folders
from runner.child.bulk import bulk_channel
from runner.child.dialogue import Dialogue
from runner.child.facts import Launch, NotStarted, Start
from runner.child.memory_limit import MemoryLimit
from runner.child.session import Session, TimeLimit
from runner.child.working_folder import WorkingFolders
from runner.diagnosis import child_failures
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.knowledge.child_variables import passes
from runner.diagnosis.refusals import own_limit
from runner.diagnosis.report.model import ChildInfo
from runner.environment.installed import library_folders
from runner.events import Origin, Phase, Stream
from runner.process.guardian import guarded_folder
from runner.process.memory_cgroup import memory_group
from runner.process.own_limits import OF_CHILD, check_limits
from runner.process.post_mortem import machine_of
from runner.process.processors import thread_count
from runner.process.supervisor import Process, spawn
from runner.process.threads import run_in_thread

HELLO = Path(bundle_protocol.__file__).with_name("hello.py")
"""The child's first module, started by its path: nothing of ours is installed beside the bundle."""
# The number that Dask's nanny gives to each of its workers, whatever these were started with.
_DASK_HASH_SEED = "6640"
_LARGEST_HASH_SEED = 2**32 - 1


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
        assert case.child is not None
        case.journal.fact(Origin.CHILD_START, Start(launch, case.child.argv, process.pid))
        try:
            with case.journal.phase(Phase.HANDSHAKE):
                session.dialogue.greet(await session.receive(Phase.HANDSHAKE, limit))
            with case.journal.phase(Phase.LOAD):
                await session.load(limit, fork=fork)
            yield session
            with case.journal.phase(Phase.SHUTDOWN):
                await session.ending.shutdown()
        finally:
            session.dialogue.write_down()


async def _spawned(
    stack: AsyncExitStack, launch: Launch, case: Case, environ: Mapping[str, str], *, fork: bool
) -> tuple[Session, Process]:
    """Start the child's process; the stack ends it, and removes what was made for it.

    :raises Failure: it could not be started.
    """
    # -s keeps the user's own site-packages out. -I would too, but no Python before 3.4 knows it,
    # and the child is to say hello on every one from 2.7 on.
    argv = [str(launch.python), "-s", str(HELLO)]
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


def child_environ(
    environ: Mapping[str, str], python: Path, named: Collection[str]
) -> dict[str, str]:
    """The child's whole environment, as an allow-list makes it.

    :param environ: the worker's.
    :param python: the environment's interpreter; its folder comes first in ``PATH``, so that the
        bundle's subprocesses find the same.
    :param named: the variables, and patterns of them, that the bundle or the caller asks for.
    """
    allowed = {name: value for name, value in environ.items() if passes(name, named)}
    path = os.pathsep.join(filter(None, (str(python.parent), environ.get("PATH", os.defpath))))
    return {
        # Every child walks a set of strings in the same order, unless somebody asks for another.
        "PYTHONHASHSEED": hash_seed(environ),
        **allowed,
        "PATH": path,
        # The bundle's folder is never written to, by its subprocesses neither. (The child itself
        # writes bytecode, but only for what is installed in its environment.)
        "PYTHONDONTWRITEBYTECODE": "1",
        # What a subprocess prints appears when it prints it.
        "PYTHONUNBUFFERED": "1",
    }


def hash_seed(environ: Mapping[str, str]) -> str:
    """The seed of hashes in every child: the worker's own where that is a number, else 0.

    ``random`` is what Python does without it, so it is not a wish to have tasks differ. Nor is the
    number of Dask's nanny one: workers without a nanny have none.
    """
    own = environ.get("PYTHONHASHSEED", "")
    if not (re.fullmatch("[0-9]{1,10}", own) and int(own) <= _LARGEST_HASH_SEED):
        return "0"
    return "0" if own == _DASK_HASH_SEED else own


def withheld(environ: Mapping[str, str], named: Collection[str]) -> tuple[str, ...]:
    """The names of the worker's variables that :func:`child_environ` leaves out, sorted."""
    return tuple(sorted(environ.keys() - child_environ(environ, Path(), named).keys()))


@asynccontextmanager
async def exchange_folder() -> AsyncIterator[Path]:
    """A folder through which bulk data travels beside the transport; gone on leaving.

    Where the worker is killed before, its guardian removes it.
    """
    stack = ExitStack()
    folder = stack.enter_context(guarded_folder())
    try:
        yield folder
    finally:
        with anyio.CancelScope(shield=True):
            # In a thread: a child that ends in the midst of large values leaves them there.
            await run_in_thread(stack.close)
