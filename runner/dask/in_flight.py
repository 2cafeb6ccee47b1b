"""The tasks that a client has on a cluster, each in a ``concurrent.futures.Future``.

They are followed on the client's own event loop: what may pass by itself is tried again, and a
cluster that has lost its workers is noticed, where Dask itself would wait for ever.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, Generic, TypeVar

from distributed import Client, KilledWorker
from distributed import Future as DaskFuture

from runner.dask.failures import error_of, lost, unfit
from runner.dask.wire import Answer
from runner.diagnosis.case import Finding
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report import BundleInfo, Hint
from runner.diagnosis.text import one_line

T = TypeVar("T")

_log = logging.getLogger(__name__)

# How often the workers are counted.
WATCH_SECONDS = 2.0

# A cluster may be growing, or its workers starting again. Longer, and its user wants to know.
NO_WORKERS_SECONDS = 120.0

# Before the first retry; twice as long before each further one.
RETRY_SECONDS = 1.0


class Work(Generic[T]):
    """A call of a function of :mod:`runner.dask.work`, and where it is at.

    :param name: what Dask's dashboard shows.
    :param unwrap: gives the outcome that the answer stands for, or raises ``RunnerError``.
    :param bundle: for the report, where there is no answer.
    :param workers: the addresses of those that may run it; ``None``: any.
    """

    def __init__(
        self,
        name: str,
        unwrap: Callable[[Answer], T],
        function: Callable[..., Answer],
        *arguments: Any,
        bundle: BundleInfo,
        workers: list[str] | None,
        retries: int,
    ) -> None:
        self.name = name
        self.unwrap = unwrap
        self.function = function
        self.arguments = arguments
        self.bundle = bundle
        self.workers = workers
        self.retries = retries
        """How often a failure whose report is retryable is tried again."""
        self.outcome: Future[T] = Future()
        """Its exception is a ``RunnerError``."""
        self.stuck_seconds = 0.0
        """For how long no worker has been there that may run it."""
        self.on_cluster: DaskFuture[Answer] | None = None

    def has_worker(self, workers: Collection[str]) -> bool:
        """Whether one of these addresses may run it."""
        if self.workers is None:
            return bool(workers)
        return any(address in workers for address in self.workers)


class InFlight:
    """What one client has on its cluster."""

    def __init__(self, client: Client) -> None:
        assert client.loop is not None  # it is connected
        self._client, self._loop = client, client.loop
        self._works: set[Work[Any]] = set()
        self._watching = False

    def start(self, work: Work[T]) -> Future[T]:
        """Send it; from any thread.

        :returns: its outcome; ``cancel()`` ends it on the cluster too.
        """
        work.outcome.add_done_callback(lambda _: self._loop.add_callback(self._let_go, work))
        self._loop.add_callback(self._follow, work)
        return work.outcome

    async def _follow(self, work: Work[T]) -> None:
        self._works.add(work)
        if not self._watching:
            self._watching = True
            self._loop.add_callback(self._watch)
        try:
            done = work.unwrap(await self._answer(work))
        except RunnerError as error:
            _fail(work, error)
        except BaseException as error:  # noqa: BLE001 - asyncio.CancelledError is one of Dask's own
            _fail(work, error_of(_finding(error), work.bundle))
        else:
            with suppress(InvalidStateError):  # its caller has cancelled it
                work.outcome.set_result(done)

    async def _answer(self, work: Work[Any]) -> Answer:
        retries = 0
        while True:
            work.on_cluster = self._client.submit(
                work.function,
                *work.arguments,
                key=f"{work.name}-{uuid.uuid4().hex}",
                pure=False,
                workers=work.workers,
            )
            # Those of all the works that are followed are gathered together.
            answer: Answer = await self._client.gather(work.on_cluster, asynchronous=True)
            report = answer.report
            if report is None or not report.retryable or retries == work.retries:
                return answer
            delay = RETRY_SECONDS * 2**retries
            _log.warning("%s: %s; again in %g s", work.name, report.summary, delay)
            await asyncio.sleep(delay)
            if work.outcome.cancelled():
                return answer
            retries += 1

    async def _let_go(self, work: Work[Any]) -> None:
        self._works.discard(work)
        future, work.on_cluster = work.on_cluster, None
        if future is not None and not future.done():
            await future.cancel(asynchronous=True)

    async def _watch(self) -> None:
        try:
            await self._count_workers()
        except (OSError, CancelledError) as error:
            # The scheduler is gone: what is under way there is told by Dask.
            _log.debug("the workers are no longer counted: %s", error)
        finally:
            self._watching = False

    async def _count_workers(self) -> None:
        said = False
        while self._works:
            await asyncio.sleep(WATCH_SECONDS)
            if self._client.status != "running":
                return  # closed, or without its scheduler: what waits for tasks is told by Dask
            workers: Collection[str] = await self._client.nthreads(asynchronous=True)
            stuck = [work for work in self._works if not work.has_worker(workers)]
            if stuck and not said:
                _log.warning("%d tasks wait: there is no worker that may run them", len(stuck))
            said = bool(stuck)
            for work in self._works.difference(stuck):
                work.stuck_seconds = 0.0
            for work in stuck:
                work.stuck_seconds += WATCH_SECONDS
                if work.stuck_seconds >= NO_WORKERS_SECONDS:
                    _fail(work, error_of(_no_workers(others=bool(workers)), work.bundle))


def _fail(work: Work[Any], error: RunnerError) -> None:
    with suppress(InvalidStateError):  # its caller has cancelled it, or it has failed already
        work.outcome.set_exception(error)


def _finding(error: BaseException) -> Finding:
    """What it means that Dask raised where an answer was expected."""
    if isinstance(error, KilledWorker):
        count = error.allowed_failures + 1
        return lost(
            f"{count} workers died while they ran the task, the last of them"
            f" {error.last_worker.address}",
            "Nothing is known of why: a worker's process that is killed says nothing. The task was"
            " not tried again after that, as it may be what kills them.",
            Hint(
                title="look at how the workers ended: a pod that is OOMKilled or evicted, or their"
                " log",
                command="kubectl get pods; kubectl describe pod POD",
            ),
            Hint(
                title="give each task a limit below the worker's own, so that a report says which"
                " one needs too much",
                command="export DASK_MODELOPS_RUNNER__MEMORY_LIMIT=2GiB",
            ),
            retryable=False,
        )
    if isinstance(error, asyncio.CancelledError | CancelledError | OSError):
        return lost(
            f"the connection to the scheduler was lost: {one_line(str(error)) or 'it is closed'}",
            "What the cluster was doing is not known any more; the workers end its tasks.",
            Hint(title="look at the scheduler: whether it runs, and its log"),
        )
    return unfit(
        f"the cluster could not run the task: {type(error).__name__}: {one_line(str(error))}",
        "This is Dask's own error, raised before the runner on the worker had the task.",
        Hint(
            title="compare the versions of client, scheduler and workers",
            command="modelops-runner doctor --scheduler ADDRESS",
        ),
    )


def _no_workers(*, others: bool) -> Finding:
    which = "of the workers that can run the bundle, none is left" if others else "it has none"
    return lost(
        f"the cluster has had no worker for the task for {NO_WORKERS_SECONDS:.0f} s: {which}",
        "Dask waits for workers without a limit, and says nothing.",
        Hint(title="start workers, and look at the log of those that ended"),
    )
