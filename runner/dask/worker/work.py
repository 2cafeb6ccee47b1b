"""The functions that run on a worker. Dask pickles them by their names."""

import asyncio
import logging
import os
import platform
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from distributed import Reschedule, Worker, get_worker
from msgspec import Struct
from packaging.specifiers import SpecifierSet

from runner.dask.answer import Answer, answer
from runner.dask.failures import (
    RETRY_SECONDS,
    error_of,
    is_workers_own,
    lost,
    other_environment,
    report_of,
)
from runner.dask.scheduler import REFUSALS, Refusal
from runner.dask.study_environment import Made, Wanted, wanted_of
from runner.dask.worker.bundles import BUNDLE, bundles_of
from runner.dask.worker.host import Host
from runner.dask.worker.output_log import OutputLog, throttled
from runner.dask.worker.plugin import host_of
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Report
from runner.environment.uv_run import find_uv
from runner.events import EventHandler, Journal
from runner.interpreter.machine import ThisMachine
from runner.interpreter.model import Interpreter
from runner.result import Result
from runner.task import Task

_POLL_SECONDS = 0.02

# A call of several tasks is to take half of this, and as its client has measured it.
BATCH_TIMEOUT_SECONDS = 1.0
ROOM_BYTES = 4 << 20


class Survey(Struct, frozen=True):
    """A worker's account of itself, before anything runs on it.

    :param machine: the same for workers that share a cache and settings and make the same of a
        bundle: what one builds, the others have.
    :param insists: its own settings name the Python that it takes.
    :param refusal: why it runs no tasks.
    :param sees: whether the file asked for is there.
    """

    machine: str
    insists: bool
    refusal: Report | None
    sees: bool


async def survey(bundle: str, probe: str | None, seconds: float, dask_worker: Worker) -> Survey:
    """:param bundle: the key of one that is on its way here, as the runner's plugin is.

    :param probe: a file that client and workers should share.
    :param seconds: how long they may take to come.
    """
    deadline = time.monotonic() + seconds
    while True:
        refusal, insists = None, False
        try:
            host = host_of(dask_worker)
            insists = host.insists
            # What a worker makes by itself depends on its own Python, and on those that it finds.
            python, path = platform.python_version(), os.environ.get("PATH", "")
            machine = f"{platform.node()}:{host.cache}:{python}:{path}:{host.settings_digest}"
        except RunnerError as error:
            machine, refusal = "", error.report
        retryable = refusal is not None and refusal.retryable
        there = not retryable and BUNDLE + bundle in dask_worker.plugins
        if there and refusal is None:
            try:
                bundles_of(dask_worker).check(bundle)
            except RunnerError as error:
                refusal = error.report
        if there or time.monotonic() >= deadline:
            return Survey(machine, insists, refusal, sees=probe is None or Path(probe).exists())
        await asyncio.sleep(_POLL_SECONDS)


Question: TypeAlias = Callable[[Host, str, str, Wanted, EventHandler], Any]
"""A method of the host's, such as :meth:`Host.prepare`."""


def tell(asked: list[Question], bundle: str, wanted: Wanted) -> list[Answer]:
    """Answer what is asked of a bundle on this machine, whose environment is built where need be.

    :param wanted: what the study's tasks are to run with, as far as it is known.
    """
    return [_told(question, bundle, wanted) for question in asked]


def _told(question: Question, bundle: str, wanted: Wanted) -> Answer:
    def run(host: Host, key: str, output: OutputLog) -> Answer:
        return Answer(told=question(host, key, bundle, wanted, output.handle))

    return _answered(run)


def run_tasks(
    tasks: list[Task],
    bundle: str,
    inputs: dict[str, Any],
    shared: str | None,
    study: Made | None,
    printed: bool,
) -> list[Answer]:
    """Run tasks of a bundle that the worker was sent, one after the other.

    One that has company is ended when it takes longer than a second: the others wait for it.

    :param inputs: those that have come from the cluster, of a task without company.
    :param shared: where large outputs stay, if any.
    :param study: the environment that the study has on its other workers; a result from another
        one does not count.
    :param printed: whether the answers have what the tasks print.
    :returns: the answers of the first so many; the others have not been begun.
    """
    folder = None if shared is None else Path(shared)
    if len(tasks) == 1:
        return [_answered(_task(bundle, tasks[0], inputs, folder, study), printed=printed)]
    if not _has_run(bundle):
        # The time that a build takes is no task's.
        made = _told(Host.prepare, bundle, wanted_of(study))
        if made.report is not None:
            return [made]
    answers: list[Answer] = []
    deadline, room = time.monotonic() + BATCH_TIMEOUT_SECONDS, ROOM_BYTES
    for number, task in enumerate(tasks):
        run = _task(bundle, task, inputs, folder, study, batch_timeout=BATCH_TIMEOUT_SECONDS)
        answers.append(one := _answered(run, number, printed=printed))
        room -= one.size
        lost = one.report is not None and one.report.code is Code.WORKER_LOST
        if lost or room < 0 or time.monotonic() > deadline:
            break
    return answers


def keep_result(
    task: Task,
    inputs: dict[str, Any],
    *,
    bundle: str,
    here: BundleInfo,
    study: Made | None,
    tries: int,
) -> Result:
    """Run one task, whose result stays on this worker; otherwise as :func:`run_tasks`.

    :param here: the bundle as the client has it.
    :param tries: how often it runs at most, on this worker, where a failure may pass by itself.
    :raises RunnerError: it failed.
    :raises Reschedule: this worker cannot run it, which the client learns from the scheduler; or it
        was ended: the worker closes, its plugin was replaced, or nobody waits for it any more.
    """
    run = _task(bundle, task, inputs, None, study)
    worker, tried = get_worker(), 0
    while True:
        try:
            answer = _on_host(run)
        except CancelledError:
            raise Reschedule from None
        report, tried = answer.report, tried + 1
        if report is None or not report.retryable or tried == tries:
            break
        delay = RETRY_SECONDS * 2 ** (tried - 1)
        throttled.say(logging.WARNING, report.summary, "%s; again in %g s", report.summary, delay)
        time.sleep(delay)
    if report is not None and is_workers_own(report, tried=_has_run(bundle)):
        refusal = Refusal(bundle, worker.address, report)
        worker.log_event(REFUSALS, {"refusal": msgspec.json.encode(refusal).decode()})
        # It may come here again, until the client has it kept away.
        time.sleep(RETRY_SECONDS)
        raise Reschedule
    return answer.result_of(here)


def _has_run(bundle: str) -> bool:
    try:
        return host_of(get_worker()).has_run(bundle)
    except RunnerError:  # this worker runs nothing
        return False


def _task(
    bundle: str,
    task: Task,
    inputs: dict[str, Any],
    shared: Path | None,
    study: Made | None,
    batch_timeout: float | None = None,
) -> Callable[[Host, str, OutputLog], Answer]:
    def run(host: Host, key: str, output: OutputLog) -> Answer:
        given = msgspec.structs.replace(task, inputs={**task.inputs, **inputs})
        wanted = wanted_of(study)
        result = host.execute(key, bundle, given, output.handle, wanted, batch_timeout)
        made = Made.by(result.child, result.threads)
        difference = None if study is None or made is None else study.difference(made)
        if difference is not None:
            raise error_of(other_environment(get_worker().address, difference), result.bundle)
        return answer(result, shared)

    return run


def _answered(
    run: Callable[[Host, str, OutputLog], Answer],
    number: int | None = None,
    *,
    printed: bool = False,
) -> Answer:
    """Return what a call on this worker's host gives, or the report of its failure.

    :param number: of one that has company.
    """
    began = time.monotonic()
    try:
        done = _on_host(run, number, printed=printed)
    except CancelledError:
        # Where the client has let go of the task, nobody reads it. Else the worker closes, or its
        # plugin was replaced.
        done = Answer(report=report_of(lost(f"the runner of {get_worker().address} was closed")))
    seconds = time.monotonic() - began
    return msgspec.structs.replace(done, worker=get_worker().address, seconds=seconds)


def _on_host(
    run: Callable[[Host, str, OutputLog], Answer],
    number: int | None = None,
    *,
    printed: bool = False,
) -> Answer:
    """:raises concurrent.futures.CancelledError: the call was ended."""
    worker = get_worker()
    key = str(worker.get_current_task())
    output = OutputLog(key if number is None else f"{key}/{number}", worker)
    try:
        host = host_of(worker)
        output.variables = host.variables
        done = run(host, key, output)
    except RunnerError as error:
        # One that is ended for the others' sake runs again, alone.
        if number is None or error.report.code is not Code.CHILD_HUNG:
            output.failed(error.report)
        done = Answer(report=error.report)
    finally:
        output.close()
    return msgspec.structs.replace(done, printed=output.printed()) if printed else done


async def reachable(requires: list[str]) -> list[Interpreter]:
    """The interpreters that this machine has, and those that uv may download for what is required.

    :param requires: PEP 440 specifiers, one for each bundle.
    """
    machine = ThisMachine(Journal(), find_uv())
    found = [machine.worker, *await machine.others([machine.worker])]
    there = [one for one in found if isinstance(one, Interpreter)]
    for required in requires:
        accepted = SpecifierSet(required, prereleases=True)
        if not any(accepted.contains(one.version) for one in there):
            download = await machine.download(required)
            if isinstance(download.interpreter, Interpreter):
                there.append(download.interpreter)
    return there
