"""Keeps the account of what runs on this machine, while it runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
import msgspec

from runner.bundle.model import Bundle
from runner.cli.display.progress import Totals
from runner.diagnosis.case import Case, Failure
from runner.execution.prepare import Prepared, choose, packages_of, prepared
from runner.interpreter.model import Interpreter
from runner.settings import Settings
from runner.study.environment_account import LOCK_SECONDS, locked, ran_in
from runner.study.study_record import StudyRecord


@asynccontextmanager
async def recorded_study(
    record: StudyRecord, case: Case, bundle: Bundle, settings: Settings, totals: Totals
) -> AsyncIterator[Settings]:
    """Keep the account of a study while its tasks run.

    :param totals: the tasks that an earlier run has done as this one asks for, and those left.
    :returns: those to run the tasks with: they have the versions that the folder has already,
        and as many threads as the tasks that are done.
    :raises Failure: no environment can be had.
    """
    record.make_room()
    interpreter = await choose(case, settings, bundle)
    settings = await anyio.to_thread.run_sync(_same_versions, record, bundle, settings, interpreter)
    if totals.skipped:
        settings = _same_threads(record, bundle, settings)
    # Now already: whoever goes on after a SIGKILL asks for it.
    record.ran_with(settings.threads_in_children(bundle))
    async with (
        prepared(case, settings, bundle, interpreter) as ready,
        recorded(record, ready, settings),
    ):
        yield settings
    if not totals.left:  # else an interrupt, or what no task can be run with, has ended it
        record.finished()


@asynccontextmanager
async def recorded(record: StudyRecord, ready: Prepared, settings: Settings) -> AsyncIterator[None]:
    """Write the account while something runs, but for its end."""
    failure: Failure | None = None
    async with anyio.create_task_group() as tasks:
        if (environment := ran_in(ready)) is not None:
            record.begin(environment)
        whole = anyio.Event()
        tasks.start_soon(_keep_beside, record, ready, settings, whole)
        try:
            yield
        except Failure as error:
            failure = error  # raised below, where no group wraps it
        with anyio.move_on_after(LOCK_SECONDS):
            await whole.wait()
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _keep_beside(
    record: StudyRecord, ready: Prepared, settings: Settings, whole: anyio.Event
) -> None:
    await anyio.to_thread.run_sync(record.keep_bundle, abandon_on_cancel=True)
    if record.lacks_versions:
        record.keep_versions(await locked(ready, settings))
    record.write()
    whole.set()


def _same_versions(
    record: StudyRecord, bundle: Bundle, settings: Settings, interpreter: Interpreter
) -> Settings:
    """Return settings with which this run has the versions of those before it."""
    before = record.before
    if (
        settings.lock is not None
        or before is None
        or before.environment is None
        or before.bundle.digest != bundle.digest
        or before.environment.python.version != interpreter.version
        or before.pylock is None
        or not (lock := record.folder / before.pylock).is_file()
    ):
        return settings
    if packages_of(settings, bundle, interpreter) == before.environment.packages:
        return settings
    record.say(f"the versions are those of {lock}, as in the run before")
    return msgspec.structs.replace(settings, lock=lock.absolute())


def _same_threads(record: StudyRecord, bundle: Bundle, settings: Settings) -> Settings:
    """Return settings with which tasks have as many threads as those that are done.

    Numerical libraries add up in another order with another number, and that number follows
    from ``--jobs`` and the machine where nobody says it.
    """
    threads = None if record.before is None else record.before.threads
    if threads is None or settings.thread_count(bundle) is not None:
        return settings
    if settings.threads_in_children(bundle) == threads:
        return settings
    record.say(
        f"threads of numerical libraries in each task: {threads}, as in the run before;"
        " --threads N runs all tasks again with N"
    )
    return msgspec.structs.replace(settings, threads=threads)
