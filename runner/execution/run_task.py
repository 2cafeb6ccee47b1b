"""The whole way of one run: bundle, interpreter, environment, child, task; and its report."""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio.to_thread

from runner.bundle import Bundle
from runner.child.launch import withheld
from runner.child.session import Session, open_session
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.errors import error_for
from runner.diagnosis.own_failures import internal_error
from runner.diagnosis.refusals import refused
from runner.diagnosis.report.asked import task_info
from runner.diagnosis.report.model import Report
from runner.events import Diagnosed, Origin, Phase
from runner.execution.bundle_watch import Stamp
from runner.execution.prepare import (
    Prepared,
    appeared_in,
    choose,
    lock_environment,
    prepared,
    read,
    was_damaged,
)
from runner.interpreter import Interpreter
from runner.process.processors import with_thread_counts
from runner.recording.recorder import Outcome, Rebuilt
from runner.result import Check, Result
from runner.settings import Isolation, Settings
from runner.task import Task, check_task


async def execute_task(
    case: Case,
    settings: Settings,
    path: Path,
    task: Callable[[], Task],
    *,
    children: int = 1,
    note: str | None = None,
) -> Result:
    """Run one task of a bundle, the whole way from its folder to the outputs.

    :param task: gives the task, once the bundle is known to be one.
    :param children: how many such runs share the processors.
    :param note: why the task has a child of its own, where that is not what was asked for.
    :raises Failure: whatever went wrong.
    """
    began = time.monotonic()
    appeared = appeared_in(settings, path)
    stamp = await anyio.to_thread.run_sync(partial(Stamp, path, appeared, lambda: math.inf))
    bundle = await read(case, settings, path)
    wanted = check_task(task()).named(bundle.default_entrypoint)
    case.task = wanted
    case.journal.fact(Origin.TASK, task_info(wanted))
    interpreter = await choose(case, settings, bundle)
    async with _session(case, settings, bundle, interpreter, children) as (session, _):
        with case.journal.phase(Phase.EXECUTE):
            outputs, executed = await session.execute(wanted, settings.time_limit(bundle))
            files = session.left_files(executed)
    await anyio.to_thread.run_sync(stamp.changed)
    executed = session.with_notes(executed, stamp.note)
    case.journal.fact(Origin.OUTCOME, Outcome(None))
    return Result.of(case, began, outputs, executed, Isolation.FRESH, note, session.threads, files)


async def check_bundle(
    case: Case,
    settings: Settings,
    path: Path,
    *,
    build: bool,
    lock_to: Path | None = None,
    children: int = 1,
) -> Check:
    """Say what can be known of a bundle without running a task.

    :param build: also build its environment and let a child load it.
    :param lock_to: then, where to write down which versions are installed.
    :param children: how many are to share the processors when its tasks run.
    :raises Failure: whatever is wrong with it.
    """
    bundle = await read(case, settings, path)
    interpreter = await choose(case, settings, bundle)
    threads = None
    if build:
        async with _session(case, settings, bundle, interpreter, children) as (session, ready):
            threads = session.threads
            if lock_to is not None:
                await lock_environment(case, settings, ready, lock_to)
    case.journal.fact(Origin.OUTCOME, Outcome(None))
    assert case.bundle is not None and case.interpreter is not None
    return Check(
        bundle=case.bundle,
        interpreter=case.interpreter,
        environment=case.environment,
        child=case.child,
        threads=threads,
        withheld=withheld(settings.variables(), settings.named_variables(bundle)),
    )


@asynccontextmanager
async def _session(
    case: Case,
    settings: Settings,
    bundle: Bundle,
    interpreter: Interpreter,
    children: int = 1,
) -> AsyncIterator[tuple[Session, Prepared]]:
    threads = settings.thread_count(bundle)
    async with AsyncExitStack() as stack:

        async def prepare() -> Prepared:
            return await stack.enter_async_context(prepared(case, settings, bundle, interpreter))

        async def start() -> Session:
            return await stack.enter_async_context(
                open_session(
                    ready.launch,
                    case=case,
                    environ=with_thread_counts(settings.variables(), children, threads),
                    startup_timeout=settings.startup_timeout,
                )
            )

        ready = await prepare()
        try:
            session = await start()
        except Failure as failure:
            if not await was_damaged(case, ready, failure):
                raise
            # No task has run yet: once more, in one that is whole.
            case.journal.fact(Origin.REBUILT, Rebuilt())
            ready = await prepare()
            session = await start()
        try:
            yield session, ready
        except Failure as failure:
            # For the next run; whether this task may run twice is not known.
            await was_damaged(case, ready, failure)
            raise


@contextmanager
def reported(case: Case) -> Iterator[None]:
    """Turn a failure into the error that carries its report; a fault of our own too.

    :raises RunnerError: in place of whatever else was raised.
    """
    try:
        yield
    except Exception as error:  # noqa: BLE001 - raised, with its report
        raise_reported(case, error)


def raise_reported(case: Case, error: Exception) -> NoReturn:
    """As :func:`reported`, of an error that was caught.

    :raises RunnerError: always.
    """
    if isinstance(error, Failure):
        raise error_for(diagnose(case, error.finding)) from error.__cause__
    finding = None
    if isinstance(error, OSError):
        finding = refused(case.journal.current or Phase.BUNDLE, error)
    raise error_for(diagnose(case, finding or internal_error(case, error))) from error


def diagnose(case: Case, finding: Finding) -> Report:
    """Make the report and announce it."""
    case.journal.fact(Origin.OUTCOME, Outcome(finding))
    report = case.report(finding)
    case.journal.emit(Diagnosed(report.code.value, report.summary, time.monotonic()))
    return report
