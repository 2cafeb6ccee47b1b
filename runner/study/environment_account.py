"""The environment that tasks run in, as a run's account has it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio.to_thread
import msgspec
from msgspec import Struct

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.model import WorkerInfo
from runner.environment.integrity import packages
from runner.environment.locks import kept_pylock
from runner.execution.prepare import Prepared, choose, lock_environment, prepared, read
from runner.execution.run_task import reported
from runner.process.guardian import guarded_folder
from runner.settings import Isolation, Settings
from runner.stored_files import DamagedError, read_stored, whole_file
from runner.study.lines import Asked
from runner.study.run_file import PYLOCK, Limits, Python, RanIn


class Account(Struct, frozen=True):
    """The conditions that tasks run on, as the machine tells where they do.

    :param asked: its settings, as far as they are a task's conditions.
    :param environment: ``None``: there is none.
    """

    worker: WorkerInfo
    isolation: Isolation
    asked: Asked
    limits: Limits
    environment: RanIn | None


class Versions(Struct, frozen=True):
    """The lock of an environment's versions (PEP 751).

    :param pylock: ``None``: there is none.
    :param reason: why.
    """

    pylock: bytes | None
    reason: str = ""


LOCK_SECONDS = 60.0
"""How long the end of a run waits for an index that does not answer."""


async def account_of(path: Path, settings: Settings, own: Settings) -> Account:
    """The account of a bundle's tasks on this machine, whose environment is built if need be.

    :param settings: the ones that they run with.
    :param own: the machine's, without what the study has chosen.
    :raises RunnerError: no environment can be had.
    """
    async with _ready(path, settings) as ready:
        return Account(
            ready.worker,
            own.isolation,
            Asked.of(own),
            Limits.of(own, ready.bundle),
            await anyio.to_thread.run_sync(ran_in, ready),
        )


async def versions_of(path: Path, settings: Settings) -> Versions:
    """As :func:`locked`, of a bundle on this machine.

    :raises RunnerError: no environment can be had.
    """
    async with _ready(path, settings) as ready:
        return await locked(ready, settings)


@asynccontextmanager
async def _ready(path: Path, settings: Settings) -> AsyncIterator[Prepared]:
    case = Case(environ=settings.variables())
    with reported(case):
        bundle = await read(case, settings, path)
        interpreter = await choose(case, settings, bundle)
        async with prepared(case, settings, bundle, interpreter) as ready:
            yield ready


def ran_in(ready: Prepared) -> RanIn | None:
    """The environment, with what is installed in it; ``None``: there is none."""
    environment = ready.environment
    if environment is None or ready.built is None:
        return None
    return RanIn(
        key=environment.key or "",
        requirements_from=environment.requirements_from or "",
        python=Python.of(ready.base),
        packages=packages(ready.built.path),
    )


async def locked(ready: Prepared, settings: Settings) -> Versions:
    """The lock of an environment's versions; it is made once, and kept with it."""
    try:
        return Versions(await _pylock(ready, settings))
    except Failure as failure:
        return Versions(None, failure.finding.summary)
    except OSError as error:
        return Versions(None, str(error))


async def _pylock(ready: Prepared, settings: Settings) -> bytes:
    """:raises Failure: uv could not.

    :raises OSError: the file could not be written.
    """
    assert ready.built is not None and ready.environment is not None
    kept = kept_pylock(ready.built.path, ready.environment.key or "")
    with suppress(OSError, DamagedError):
        return read_stored(kept)
    with guarded_folder() as folder:
        file = folder / PYLOCK
        await _lock(settings, ready, file)
        made = file.read_bytes()
    # Where the cache is another user's, each run makes its own.
    with suppress(OSError), whole_file(kept) as written:
        written.write(made)
    return made


async def _lock(settings: Settings, ready: Prepared, file: Path) -> None:
    case = Case()  # what uv says here is not part of the run
    case.worker, case.bundle = ready.worker, ready.bundle_info
    try:
        # What uv has seen of the index, as it installed, will mostly do.
        offline = msgspec.structs.replace(settings, offline=True)
        await lock_environment(case, offline, ready, file)
    except Failure:
        if settings.offline:
            raise
        await lock_environment(case, settings, ready, file)
