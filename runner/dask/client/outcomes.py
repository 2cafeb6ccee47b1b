"""Many tasks of a study, as many at a time as the cluster can use."""

from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeAlias

from runner.dask.client.batches import WINDOW
from runner.dask.client.cluster_task import ClusterTask
from runner.dask.client.connection import check_open
from runner.dask.client.eligibility import Placement
from runner.dask.client.study import Study
from runner.dask.client.watch import WATCH_SECONDS
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import TaskInfo
from runner.events import Phase
from runner.execution.bounded_map import Outcome, Window
from runner.result import Result
from runner.task import Task

Ended: TypeAlias = Callable[[int, Outcome, Mapping[str, str]], None]


def outcomes(
    study: Study,
    tasks: Iterable[Task],
    placement: Placement,
    *,
    ordered: bool,
    ended: Ended | None = None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Run them. Closing it early ends those under way.

    :param ordered: whether the outcomes are given in the tasks' order, and not as they come.
    :param ended: is called with each outcome and what its task has printed, once it is there.
    """
    in_flight = study.in_flight
    window = Window(tasks, 1, ordered=ordered)
    batches = in_flight.batches(window)
    running: dict[int, Future[Result]] = {}
    finished: SimpleQueue[int] = SimpleQueue()
    printed: dict[int, Mapping[str, str]] = {}

    def finish(index: int, outcome: Outcome) -> None:
        if ended is not None:
            ended(index, outcome, printed.pop(index, {}))
        window.finish(index, outcome)

    try:
        while True:
            # Workers come and go. Where there are none, the first task may be what makes some come.
            window.size = max(1, WINDOW * in_flight.watch.threads * batches.size)
            for index, task in window.to_start():
                keep = None if ended is None else partial(printed.__setitem__, index)
                try:
                    work = study.work(ClusterTask.of(task), placement, keep, batches)
                except RunnerError as error:
                    finish(index, error)
                    continue
                work.number = index
                future = running[index] = in_flight.start(work)
                future.add_done_callback(partial(_put, finished, index))
            if window.empty:
                return
            while (outcome := window.next_outcome()) is None:
                try:
                    index = finished.get(timeout=WATCH_SECONDS)
                except Empty:
                    check_open(in_flight.client)
                    break
                finish(index, _outcome(running.pop(index)))
            else:
                yield outcome
                batches.here.discard(outcome[0])
                del outcome
    finally:
        for future in running.values():
            future.cancel()


def _put(finished: SimpleQueue[int], index: int, _: Future[Result]) -> None:
    finished.put(index)


def _outcome(future: Future[Result]) -> Outcome:
    try:
        return future.result()
    except RunnerError as error:
        return error


def is_own(error: RunnerError) -> bool:
    """Tell whether it is the task's own failure, and no other one's."""
    report = error.report
    # Of what kills its workers, the report tells the task; of a cluster's end, none.
    lost = report.code is Code.WORKER_LOST and not isinstance(report.task, TaskInfo)
    return report.phase is Phase.EXECUTE and not lost


def unless_raised(outcome: Outcome, return_exceptions: bool) -> Outcome:
    """:raises RunnerError: it is a failure that is not to be returned, or is not its task's own."""
    if isinstance(outcome, RunnerError) and not (return_exceptions and is_own(outcome)):
        raise outcome
    return outcome
