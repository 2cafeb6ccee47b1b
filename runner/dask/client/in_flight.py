"""The tasks that a client has on a cluster, each in a ``concurrent.futures.Future``.

They are followed on the client's own event loop: what may pass by itself is tried again, what is a
worker's own fault elsewhere, and a cluster that has lost its workers or does not answer is noticed,
where Dask itself would wait for ever.
"""

import asyncio
import logging
import uuid
import weakref
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, Generic, TypeVar

from distributed import Client
from distributed import Future as DaskFuture

from runner.dask.client.cluster_task import failed_input
from runner.dask.client.connection import LOOK_SECONDS, Watch
from runner.dask.client.fitness import Fitness
from runner.dask.client.lost import (
    GONE,
    client_closed,
    is_closed,
    no_workers,
    raised,
    scheduler_silent,
    unoffered,
)
from runner.dask.client.newcomers import Newcomers
from runner.dask.client.placement import ANYWHERE, Placement
from runner.dask.failures import RETRY_SECONDS, error_of
from runner.dask.messages import Answer
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.model import BundleInfo
from runner.diagnosis.report.text import one_line

T = TypeVar("T")

_log = logging.getLogger(__name__)

# How often the workers are counted.
WATCH_SECONDS = 2.0

# A cluster may be growing, by machines that are to be started. Longer, and its user wants to know.
NO_WORKERS_SECONDS = 300.0

# Where there were some, and all have left: they may be starting again.
LEFT_SECONDS = 120.0

# Where those that have left were the only ones that may run it, nothing is waited for but the news.
GONE_SECONDS = 10.0

# Where none of the workers offers what a task asks for, such as a resource: one may be on its way.
UNOFFERED_SECONDS = 30.0

# A worker that was not heard of for longer is asked whether it answers; so much longer for each
# worker there is, as in a large cluster each speaks less often.
WORKER_SILENT_SECONDS = 5.0
_SILENT_SECONDS_FOR_EACH = 0.02

# A scheduler may be busy for a while. Longer, and it hangs.
SILENT_SECONDS = 120.0

_KEYS_CHARACTERS = 400


class Work(Generic[T]):
    """A call of a function of :mod:`runner.dask.worker.work`, and where it is at.

    :param name: what Dask's dashboard shows.
    :param unwrap: gives the outcome that the answer stands for, or raises ``RunnerError``.
    :param futures: those of its inputs that are on the cluster.
    :param bundle: for the report, where there is no answer.
    :param fitness: of the workers.
    """

    def __init__(
        self,
        name: str,
        unwrap: Callable[[Answer], T],
        function: Callable[..., Answer],
        *arguments: Any,
        bundle: BundleInfo,
        fitness: Fitness,
        retries: int,
        futures: "Mapping[str, DaskFuture[Any]] | None" = None,
        placement: Placement = ANYWHERE,
    ) -> None:
        self.name = name
        self.unwrap = unwrap
        self.function = function
        self.arguments = arguments
        self.bundle = bundle
        self.fitness = fitness
        self.futures = futures or {}
        self.placement = placement
        self.retries = retries
        """How often a failure whose report is retryable is tried again."""
        self.outcome: Future[T] = Future()
        """Its exception is a ``RunnerError``."""
        self.on_cluster: DaskFuture[Answer] | None = None
        self.sent_to: list[str] | None = None
        """The addresses of those that Dask may give it to; ``None``: any."""
        self.moving = False
        """It was taken back, to be sent to others."""
        self.stuck_seconds = 0.0
        """For how long no worker has been there that may run it."""
        self.seen: set[str] = set()
        """The workers that were there meanwhile and may run it."""

    @property
    def key(self) -> str:
        """Return what Dask knows it by; empty while it is not on the cluster."""
        return "" if self.on_cluster is None else str(self.on_cluster.key)


class InFlight:
    """The tasks that one client has on its cluster."""

    def __init__(self, client: Client) -> None:
        assert client.loop is not None  # it is connected
        self._client, self._loop = client, client.loop
        self._works: set[Work[Any]] = set()
        self._watching = False
        self._looking: asyncio.Future[bool]
        self._newcomers = Newcomers(client)
        self.watch = Watch(client)

    @property
    def threads(self) -> int:
        """How many the workers have, as it was a few seconds ago."""
        return sum(one.threads for one in self.watch.workers.values())

    def start(self, work: Work[T]) -> Future[T]:
        """Send it; from any thread.

        :returns: its outcome; ``cancel()`` ends it on the cluster too.
        """
        # A Future keeps its callbacks for good: by them, each result would be part of a cycle, and
        # stay until Python looks for those.
        started = weakref.ref(work)
        work.outcome.add_done_callback(lambda _: self._ended(started()))
        self._loop.add_callback(self._follow, work)
        # Its loop takes in nothing more then, and says nothing of it.
        if is_closed(self._client):
            _fail(work, error_of(client_closed(), work.bundle))
        return work.outcome

    async def _follow(self, work: Work[T]) -> None:
        if work.outcome.done():
            return
        self._works.add(work)
        if not self._watching:
            self._watching = True
            self._loop.add_callback(self._watch)
            # What was known of the workers may be old.
            self._looking = asyncio.ensure_future(self.watch.look())
        try:
            await self._looking
            done = work.unwrap(await self._answer(work))
        except RunnerError as error:
            # Its traceback has this frame, which has the work: a cycle again.
            _fail(work, error.with_traceback(None))
        except BaseException as error:  # noqa: BLE001 - asyncio.CancelledError is one of Dask's own
            finding = failed_input(work.futures, error) or raised(error, self._client)
            _fail(work, error_of(finding, work.bundle))
        else:
            with suppress(InvalidStateError):  # its caller has cancelled it
                work.outcome.set_result(done)

    async def _answer(self, work: Work[Any]) -> Answer:
        retries = 0
        while True:
            answer = await self._sent(work)
            report, known = answer.report, answer.worker in work.fitness.unable
            if work.fitness.learn(answer):
                assert report is not None
                if not known:
                    named = f"{answer.worker} gets no more tasks of {work.bundle.path}"
                    _log.warning("%s: %s", named, report.summary)
                    await self.watch.look()
                if self._able(work) == []:
                    return answer
                continue
            if report is None or not report.retryable or retries == work.retries:
                return answer
            delay = RETRY_SECONDS * 2**retries
            _log.warning("%s: %s; again in %g s", work.name, report.summary, delay)
            await asyncio.sleep(delay)
            retries += 1

    async def _sent(self, work: Work[Any]) -> Answer:
        """Return what a worker answers, however often it is sent to others meanwhile."""
        while True:
            work.moving = False
            work.sent_to = self._able(work)
            while work.sent_to == [] and not work.outcome.done():
                # Those that were there may be starting again. Who watches says when it is enough.
                await asyncio.sleep(WATCH_SECONDS)
                work.sent_to = self._able(work)
            if work.outcome.done():
                raise CancelledError  # nobody waits for it any more
            work.seen |= self._there(work)
            work.on_cluster = self._client.submit(
                work.function,
                *work.arguments,
                key=f"{work.name}-{uuid.uuid4().hex}",
                pure=False,
                workers=work.sent_to,
                priority=work.placement.priority,
                resources=work.placement.resources,
            )
            try:
                # Those of all the works that are followed are gathered together.
                answer: Answer = await self._client.gather(work.on_cluster, asynchronous=True)
                return answer
            except (CancelledError, asyncio.CancelledError):  # which of them depends on Dask
                if not work.moving:
                    raise

    def _ended(self, work: "Work[Any] | None") -> None:
        """:param work: ``None``: nothing follows it any more."""
        if work is not None:
            self._loop.add_callback(self._let_go, work)

    async def _let_go(self, work: Work[Any]) -> None:
        self._works.discard(work)
        future, work.on_cluster = work.on_cluster, None
        await self._cancel(future)

    async def _cancel(self, future: "DaskFuture[Answer] | None") -> None:
        if future is not None and not future.done():
            with suppress(*GONE):  # then it has ended there
                await future.cancel(asynchronous=True)

    async def _watch(self) -> None:
        self.watch.begin()
        said = False
        try:
            while self._works and not is_closed(self._client):
                await self.watch.look()
                self._meet()
                await self._move_from_the_unfit()
                stuck = [work for work in self._works.copy() if await self._is_stuck(work)]
                if stuck and not said:
                    _log.warning("%d tasks wait: %s", len(stuck), self._why(stuck[0]))
                said = bool(stuck)
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._watching = False
            if is_closed(self._client):
                for work in self._works.copy():
                    _fail(work, error_of(client_closed(), work.bundle))

    def _meet(self) -> None:
        """Ask the workers that a study does not know, and those that have become silent."""
        workers = self.watch.workers
        timeout = WORKER_SILENT_SECONDS + _SILENT_SECONDS_FOR_EACH * len(workers)
        silent = {at for at, seen in workers.items() if seen.silent_seconds > timeout}
        for fitness in {work.fitness for work in self._works}:
            for address in (silent - fitness.unable.keys()).union(fitness.unknown(workers)):
                self._newcomers.meet(fitness, address)

    async def _move_from_the_unfit(self) -> None:
        """Take back what was given to a worker before it was known that it cannot run it."""
        unfit = {
            address
            for work in self._works
            for address in work.fitness.unable.keys() & self.watch.workers.keys()
        }
        if not unfit:
            return
        try:
            given = await asyncio.wait_for(
                self._client.scheduler.processing(workers=list(unfit)),  # type: ignore[union-attr]
                LOOK_SECONDS,
            )
        except (*GONE, asyncio.TimeoutError):
            return  # who watches the scheduler says so
        held = {str(key): address for address, keys in given.items() for key in keys}
        taken: defaultdict[tuple[str, str], list[Work[Any]]] = defaultdict(list)
        for work in self._works:
            address = held.get(work.key)
            if address is not None and (refusal := work.fitness.unable.get(address)) is not None:
                taken[address, refusal.summary].append(work)
        for (_, why), works in taken.items():
            keys = one_line(", ".join(work.key for work in works), _KEYS_CHARACTERS)
            _log.warning("%s: what it was given goes to others: %s", why, keys)
            for work in works:
                work.moving = True
                await self._cancel(work.on_cluster)

    async def _is_stuck(self, work: Work[Any]) -> bool:
        """Tell whether no worker can run it as things are; it fails when that lasts too long."""
        silent = self.watch.silent_seconds
        if silent > WATCH_SECONDS:
            if silent >= SILENT_SECONDS:
                _fail(work, error_of(scheduler_silent(silent), work.bundle))
            return True
        there = self._there(work)
        work.seen |= there
        fit = self._able(work)
        able = set(self.watch.workers) if fit is None else set(self.watch.workers).intersection(fit)
        unrunnable = work.key in self.watch.unrunnable
        if able - there and (unrunnable or not there):
            # One that starts again has another address; one that joins may offer what is asked for.
            work.stuck_seconds = 0.0
            if work.on_cluster is not None:
                work.moving = True
                await self._cancel(work.on_cluster)
            return False
        if there and not unrunnable:
            work.stuck_seconds = 0.0
            return False
        work.stuck_seconds += WATCH_SECONDS
        may_come = LEFT_SECONDS if work.seen else NO_WORKERS_SECONDS
        if there:
            may_come = UNOFFERED_SECONDS
        if work.stuck_seconds >= (GONE_SECONDS if work.fitness.final else may_come):
            self._give_up(work)
        return True

    def _able(self, work: Work[Any]) -> list[str] | None:
        """The workers to send it to; ``None``: any, and those to come."""
        return work.placement.among(work.fitness, self.watch.workers)

    def _why(self, work: Work[Any]) -> str:
        """Say why it waits."""
        if self.watch.silent_seconds > WATCH_SECONDS:
            return "the scheduler does not answer"
        wish = self.watch.unrunnable.get(work.key)
        if wish is not None and self._there(work):
            return unoffered(wish, self.watch.workers).summary
        return "there is no worker that may run them"

    def _there(self, work: Work[Any]) -> set[str]:
        """The workers that may run it as it was sent."""
        workers = self.watch.workers
        return set(workers) if work.sent_to is None else set(workers).intersection(work.sent_to)

    def _give_up(self, work: Work[Any]) -> None:
        workers = self.watch.workers
        wish = self.watch.unrunnable.get(work.key)
        if wish is not None and self._there(work):
            error = error_of(unoffered(wish, workers), work.bundle)
            offering = [at for at, seen in workers.items() if seen.offers(wish.resources)]
        else:
            error = error_of(no_workers(work.stuck_seconds, len(work.seen)), work.bundle)
            offering = list(workers)
        for address in offering:
            # What those say that are left is why none of them runs it.
            if (refusal := work.fitness.unable.get(address)) is not None:
                error = error_for(refusal)
        _fail(work, error)


def _fail(work: Work[Any], error: RunnerError) -> None:
    with suppress(InvalidStateError):  # its caller has cancelled it, or it has failed already
        work.outcome.set_exception(error)
