"""The tasks that a client has on a cluster, each in a ``concurrent.futures.Future``.

They are followed on the client's own event loop: what may pass by itself is tried again, what is a
worker's own fault elsewhere.
"""

import asyncio
import logging
import random
import time
import uuid
import weakref
from collections.abc import Collection, Iterable
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from distributed import Client, KilledWorker

from runner.dask.answer import Answer
from runner.dask.client.batches import Batches
from runner.dask.client.cluster_task import failed_input
from runner.dask.client.connection import LOOK_SECONDS, workers_of
from runner.dask.client.eligibility import Eligibility
from runner.dask.client.lost import client_closed, dropped, is_closed, raised
from runner.dask.client.watch import WATCH_SECONDS, Watch
from runner.dask.client.work import KeptTasks, Sent, Work
from runner.dask.failures import RETRY_SECONDS, error_of, report_of
from runner.dask.throttled_log import ThrottledLog
from runner.diagnosis.errors import RunnerError
from runner.execution.bounded_map import Window
from runner.task import Task

T = TypeVar("T")

_log = logging.getLogger(__name__)


class InFlight:
    """The tasks that one client has on its cluster."""

    def __init__(self, client: Client) -> None:
        assert client.loop is not None  # it is connected
        self.client, self._loop = client, client.loop
        self.watch = Watch(client)
        self._throttled = ThrottledLog(_log)
        self._trying: set[str] = set()
        """The workers that have a suspect: a task of which they may die."""
        self._trial_ended = asyncio.Condition()

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
        if is_closed(self.client):
            work.fail(error_of(client_closed(), work.bundle))
        return work.outcome

    def keep(self, kept: KeptTasks) -> None:
        """See that tasks whose results stay on the workers can run; from any thread."""
        self._loop.add_callback(self._keep, kept)

    def workers(self, eligibility: Eligibility) -> Collection[str]:
        """Return the addresses of those that the cluster has; from another thread.

        :raises RunnerError: the scheduler says nothing.
        """
        seen = self.watch.workers
        if seen and self.watch.silent_seconds < LOOK_SECONDS and not eligibility.unknown(seen):
            return list(seen)
        return workers_of(self.client)

    def meet(self, eligibility: Eligibility, silent: Iterable[str]) -> None:
        """Ask workers anew that have not answered, for as long as it takes; from any thread."""
        for address in silent:
            self._loop.add_callback(self.watch.newcomers.meet, eligibility, address)

    def batches(self, window: Window) -> Batches:
        """Return what the small tasks of one ``map`` go together by, and large ones come by."""
        return Batches(self._call, lambda: self.watch.threads, window)

    async def _keep(self, kept: KeptTasks) -> None:
        self.watch.kept.append(kept)
        await self.watch.begin()

    async def _follow(self, work: Work[T]) -> None:
        if work.outcome.done():
            return
        self.watch.works.add(work)
        try:
            await self.watch.begin()
            done = work.unwrap(await self._answer(work))
        except RunnerError as error:
            # Its traceback has this frame, which has the work: a cycle again.
            work.fail(error.with_traceback(None))
        except BaseException as error:  # noqa: BLE001 - asyncio.CancelledError is one of Dask's own
            finding = failed_input(work.futures, error) or raised(error, self.client)
            work.fail(error_of(finding, work.bundle))
        else:
            with suppress(InvalidStateError):  # its caller has cancelled it
                work.outcome.set_result(done)

    async def _answer(self, work: Work[Any]) -> Answer:
        """Return what comes of it in the end, however often it is tried."""
        retries = 0
        while True:
            answer = await self._sent(work)
            report, known = answer.report, answer.worker in work.eligibility.unable
            if work.eligibility.learn(answer):
                if not known:
                    await self.watch.look()
                joining = work.scheduler is not None and work.scheduler.joining
                if work.able(self.watch.workers) == [] and not joining:
                    return answer
                continue
            if report is None or not report.retryable or retries == work.placement.retries:
                return answer
            delay = RETRY_SECONDS * 2**retries
            again = ("%s: %s; again in %g s", work.name, report.summary, delay)
            self._throttled.say(logging.WARNING, report.summary, *again)
            await asyncio.sleep(delay)
            retries += 1

    async def _sent(self, work: Work[Any]) -> Answer:
        """Return what a worker answers, however often it is sent to others meanwhile."""
        while True:
            if work.scheduler is not None and work.scheduler.lost:
                await work.scheduler.return_to()
                await self.watch.look()
            work.sent = None
            work.sent_to = work.able(self.watch.workers)
            while work.sent_to == [] and not work.outcome.done():
                # Those that were there may be starting again. Who watches says when it is enough.
                await self.watch.pause()
                work.sent_to = work.able(self.watch.workers)
            if work.outcome.done():
                raise CancelledError  # nobody waits for it any more
            work.seen |= work.there(self.watch.workers)
            try:
                if work.suspect:
                    answer = await self._tried(work)
                elif work.batches is not None and not work.alone:
                    answer = await work.batches.answer(work)
                else:
                    (answer,) = await self._call([work])
                if answer is not None:
                    return answer
            except KilledWorker:
                # A question has no others beside it.
                if not isinstance(work.asked, Task) or work.kills_workers():
                    raise
            except (CancelledError, asyncio.CancelledError, OSError) as error:
                if work.moving or work.outcome.done():
                    continue
                if work.scheduler is None or work.futures:
                    raise
                if not await work.scheduler.found_lost():
                    if isinstance(error, OSError) or is_closed(self.client):
                        raise
                    return Answer(report=report_of(dropped(), work.bundle))

    async def _tried(self, suspect: Work[Any]) -> Answer | None:
        """Send one that may be what kills workers to one of them, which no other suspect is on.

        :returns: ``None``: it is to be looked for a worker anew.
        """
        async with self._trial_ended:
            if not (free := suspect.there(self.watch.workers) - self._trying):
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._trial_ended.wait(), WATCH_SECONDS)
                return None
            # Another one each time: this one may not offer what the task asks for.
            address = random.choice(list(free))
            self._trying.add(address)
        suspect.sent_to = [address]
        try:
            (answer,) = await self._call([suspect])
        finally:
            async with self._trial_ended:
                self._trying.remove(address)
                self._trial_ended.notify()
        return answer

    async def _call(self, works: list[Work[Any]]) -> list[Answer]:
        """Return the answers of a call for works that ask for the same workers."""
        first = works[0]
        if first.scheduler is not None and first.scheduler.lost:
            raise CancelledError
        if not first.suspect and (able := first.able(self.watch.workers)):
            first.sent_to = able  # they may have waited for each other since
        future = self.client.submit(
            first.function,
            [one.asked for one in works],
            *first.arguments,
            key=f"{first.name}-{uuid.uuid4().hex}",
            pure=False,
            workers=first.sent_to,
            priority=first.placement.priority,
            resources=first.placement.resources,
        )
        sent = Sent(future, set(works), asyncio.get_running_loop().create_future())
        for one in works:
            one.sent, one.sent_to = sent, first.sent_to
        coming = asyncio.ensure_future(self._coming(sent, first))
        ends: list[asyncio.Future[Any]] = [coming, sent.taken_back]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            # Others may come by the same question.
            coming.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise CancelledError
        return await coming

    async def _coming(self, sent: Sent, first: Work[Any]) -> list[Answer]:
        if first.batches is not None and len(sent.wanted) == 1:
            await first.batches.until_room(sent.future, first)
        # Those of all the works that are followed are gathered together.
        sent.gathered_at = time.monotonic()
        answers: list[Answer] = await self.client.gather(sent.future, asynchronous=True)
        return answers

    def _ended(self, work: "Work[Any] | None") -> None:
        """:param work: ``None``: nothing follows it any more."""
        if work is not None:
            self._loop.add_callback(self._let_go, work)

    def _let_go(self, work: Work[Any]) -> None:
        self.watch.works.discard(work)
        sent, work.sent = work.sent, None
        if sent is not None:
            sent.leave(work)
