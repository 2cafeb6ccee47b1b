"""Runs a task under several conditions, and finds out what its outputs depend on besides it.

An output's cause is what experiment has shown: the one condition whose change has changed the
output, or the one whose holding has made it the same.
"""

import time
from collections.abc import Callable
from pathlib import Path

from runner.bundle.model import Bundle
from runner.defaults import Isolation
from runner.diagnosis.case import Case
from runner.doctor.causes import Cause
from runner.doctor.trial import ADDRESSES, Findings, Trial
from runner.execution.run_task import execute_task
from runner.process.guardian import guarded_folder
from runner.settings import Settings
from runner.task import Task

_HASH_SEEDS = ("1", "2", "3")
_PLACE = {"TZ": "XYZ-5:45", "LC_ALL": "C.UTF-8"}


async def find_differences(
    case: Case,
    settings: Settings,
    bundle: Path,
    task: Callable[[Bundle], Task],
    *,
    on_condition: Callable[[str], None],
    on_end: Callable[[Findings], None],
) -> Findings:
    """Run a task under several conditions, one after the other, and compare its outputs.

    :param case: of the first run, which is an ordinary one.
    :param task: gives the task, once the bundle is known to be one.
    :param on_condition: called with each condition before its runs.
    :param on_end: called with what was found so far, where it is ended before its time.
    :raises Failure: the first run went wrong.
    """
    began = time.monotonic()
    on_condition("a new process")
    asked: list[tuple[Bundle, Task]] = []

    def ask(read: Bundle) -> Task:
        asked.append((read, task(read)))
        return asked[0][1]

    result = await execute_task(case, settings, bundle, ask)
    read, wanted = asked[0]
    with guarded_folder() as elsewhere:
        trial = Trial(settings, read, wanted, result, on_condition, elsewhere)
        since = time.time() - (time.monotonic() - began)
        try:
            await _try(trial, settings.thread_count(read), result.threads, since)
        except BaseException:
            on_end(trial.findings())
            raise
    return trial.findings()


async def _try(trial: Trial, asked: int | None, had: int | None, since: float) -> None:
    """Run it under each condition, until nothing more can be found.

    :param asked: for how many threads; they are part of what is run.
    :param had: how many there were.
    :param since: when the first run began, in seconds since the epoch.
    """
    await trial.repeat()
    await trial.share_files(since)
    if trial.settled():
        return
    await trial.fill_memory()
    await trial.change(Cause.ADDRESSES, "objects at other addresses", env=trial.held(ADDRESSES))
    if trial.settled():
        return
    for seed in _HASH_SEEDS:
        await trial.change(Cause.HASH_SEED, f"PYTHONHASHSEED={seed}", env={"PYTHONHASHSEED": seed})
    if asked is None:
        for threads in {1, 2, 3} - {had}:
            await trial.change(Cause.THREADS, f"threads: {threads}", threads=threads)
    await trial.change(Cause.RACE, "threads that take turns more often", env=trial.held("switches"))
    await trial.move()
    await trial.change_machine(_PLACE)
    await trial.share(Cause.FORK, Isolation.FORK, "a fork")
    await trial.share(Cause.EARLIER_TASK, Isolation.WARM, "after others in one process")
