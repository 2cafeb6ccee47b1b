"""One task's run: in a child of the pool, or with a child of its own; and its report."""

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from functools import partial
from pathlib import Path
from typing import NoReturn

import anyio
import anyio.to_thread

from runner.bundle.functions import function_of
from runner.bundle.model import Bundle
from runner.child.session import Session
from runner.child.start import withheld
from runner.defaults import Isolation
from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.own_failures import internal_error
from runner.diagnosis.refusals import refused_in
from runner.diagnosis.report.asked import task_info
from runner.diagnosis.report.model import Report
from runner.events import Diagnosed, Origin, Phase
from runner.execution.bundle_watch import Appeared, BundleFingerprint
from runner.execution.call import Call
from runner.execution.lease import Lease
from runner.execution.pool import Pool
from runner.execution.prepare import Prepared, choose, lock_environment, prepared, read, was_damaged
from runner.interpreter.model import Interpreter
from runner.process.supervisor import out_of_group
from runner.process.threads import run_in_thread
from runner.recording.format import Outcome, Rebuilt
from runner.result import Check, Result
from runner.settings import Settings
from runner.task import Task, check_task, without_inputs

MAKES_FEW_FILES = 0.01
"""How many seconds a task takes, at most, whose files are taken in the event loop."""


async def execute_in_pool(case: Case, pool: Pool, path: str, call: Call) -> Result:
    """Run one task of a bundle in a child of the pool.

    :raises Failure: whatever went wrong.
    """
    began = time.monotonic()
    task = check_task(call.task)
    case.task = without_inputs(task)
    while (result := await _attempt(case, began, pool, path, task, call)) is None:
        case.journal.note("the child had died before the task came to it: another one")
    return result


async def _attempt(
    case: Case, began: float, pool: Pool, path: str, task: Task, call: Call
) -> Result | None:
    """:returns: ``None`` where the task is to run in another child."""
    lease = Lease()
    failed = False
    try:
        child = await pool.acquire(lease, case, path, task.function)
        task = task.with_defaults(*child.task_defaults)
        case.task = without_inputs(task)
        try:
            with case.journal.phase(Phase.EXECUTE):
                done = await child.session.execute(task, call.time_limit(child.time_limit))
                child.session.process.output.drain()  # what the task has printed is its own
        except Failure as failure:
            if child.died_idle(failure):
                return None
            # For the next task; whether this one may run twice is not known.
            await pool.groups.discard_damaged(case, child.group, failure)
            raise
        result = partial(child.result, case, began, task, *done)
        # In a thread, where a task had the time to leave many files.
        return await run_in_thread(result) if done[1].wall_seconds > MAKES_FEW_FILES else result()
    except Exception:
        failed = True
        raise
    finally:
        with anyio.CancelScope(shield=True):
            fault = await pool.release(lease)
        # What has become of the task is told first. A cancelled call has nothing to tell.
        if fault is not None and not failed:
            raise fault


async def execute_task(
    case: Case,
    settings: Settings,
    path: Path,
    task: Callable[[Bundle], Task],
    *,
    children: int = 1,
    note: str | None = None,
    beside: Callable[[Prepared, Task], AbstractAsyncContextManager[None]] | None = None,
) -> Result:
    """Run one task of a bundle in a child of its own, whose end is part of the run.

    :param task: gives the task, once the bundle is known to be one.
    :param children: how many such runs share the processors.
    :param note: why the task has a child of its own, where that is not what was asked for.
    :param beside: gives what is entered while the task runs, in a child that has loaded the bundle.
    :raises Failure: whatever went wrong.
    """
    began = time.monotonic()
    appeared = Appeared(settings.cache_folder(), path)
    fingerprint = await anyio.to_thread.run_sync(
        partial(BundleFingerprint, path, appeared, lambda: math.inf)
    )
    bundle = await read(case, settings, path)
    wanted = check_task(task(bundle))
    wanted = wanted.with_defaults(*bundle.task_defaults(wanted.function))
    case.task = without_inputs(wanted)
    case.journal.fact(Origin.TASK, task_info(wanted))
    function_of(bundle, wanted.function)
    interpreter = await choose(case, settings, bundle)
    async with (
        _session(case, settings, bundle, interpreter, children, wanted.function) as (
            session,
            ready,
        ),
        nullcontext() if beside is None else beside(ready, wanted),
    ):
        with case.journal.phase(Phase.EXECUTE):
            outputs, executed = await session.execute(wanted, settings.time_limit(bundle))
            files = await run_in_thread(partial(session.left_files, executed))
    await anyio.to_thread.run_sync(fingerprint.changed)
    unread = ready.unread(wanted)
    notes = fingerprint.note, None if unread is None else unread(wanted)
    executed = session.with_notes(executed, *notes)
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
    for_tasks: bool = False,
) -> Check:
    """Say what can be known of a bundle without running a task.

    :param build: also build its environment and let a child load it.
    :param lock_to: then, where to write down which versions are installed.
    :param children: how many are to share the processors when its tasks run.
    :param for_tasks: where several functions claim to be the wire function, leave it to the tasks
        to name one.
    :raises Failure: whatever is wrong with it.
    """
    bundle = await read(case, settings, path)
    function = bundle.claims[0] if for_tasks and bundle.claims else None
    wire = function_of(bundle, function)
    interpreter = await choose(case, settings, bundle)
    threads = None
    if not build:
        from runner.bundle.wire_signature import check_signature  # what no run needs

        check_signature(case, bundle, wire)
    if build:
        async with _session(case, settings, bundle, interpreter, children, function) as (
            session,
            ready,
        ):
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
    function: str | None = None,
) -> AsyncIterator[tuple[Session, Prepared]]:
    environ = settings.variables()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        for again in (False, True):
            ready = await enter(prepared(case, settings, bundle, interpreter))
            ready = ready.for_function(function)
            case.bundle = ready.bundle_info
            try:
                session = await enter(ready.session(case, settings, environ, children=children))
                break
            except Failure as failure:
                if again or not await was_damaged(case, ready, failure):
                    raise
            # No task has run yet: once more, in one that is built anew.
            case.journal.fact(Origin.REBUILT, Rebuilt())
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
    error = out_of_group(error)
    if isinstance(error, RunnerError):
        raise error
    if isinstance(error, Failure):
        raise error_for(diagnose(case, error.finding)) from error.__cause__
    finding = refused_in(case.journal.current or Phase.BUNDLE, error)
    raise error_for(diagnose(case, finding or internal_error(case, error))) from error


def diagnose(case: Case, finding: Finding) -> Report:
    """Make the report and announce it."""
    case.journal.fact(Origin.OUTCOME, Outcome(finding))
    report = case.report(finding)
    case.journal.emit(Diagnosed(report.code.value, report.summary, time.monotonic()))
    return report
