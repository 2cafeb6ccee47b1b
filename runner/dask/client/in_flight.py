"""The tasks that a client has on a cluster, each in a ``concurrent.futures.Future``.

They are followed on the client's own event loop: what may pass by itself is tried again, what is a
worker's own fault elsewhere, and a cluster that has lost its workers or does not answer is noticed,
where Dask itself would wait for ever.
"""

import asyncio
import logging
import time
import uuid
import weakref
from collections import Counter, defaultdict
from collections.abc import Collection
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from typing import Any, TypeVar

from distributed import Client

from runner.dask.census import held
from runner.dask.client.batches import Batches
from runner.dask.client.cluster_task import failed_input
from runner.dask.client.connection import LOOK_SECONDS, Watch, ask
from runner.dask.client.fitness import Fitness
from runner.dask.client.kept import Kept
from runner.dask.client.lost import (
    GONE,
    client_closed,
    is_closed,
    raised,
    scheduler_silent,
    unoffered,
    went_elsewhere,
)
from runner.dask.client.newcomers import Newcomers
from runner.dask.client.placed import Placed
from runner.dask.client.work import Sent, Work
from runner.dask.failures import RETRY_SECONDS, error_of
from runner.dask.messages import Answer
from runner.diagnosis.errors import RunnerError
from runner.execution.bounded_map import Window

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


class InFlight:
    """The tasks that one client has on its cluster."""

    def __init__(self, client: Client) -> None:
        assert client.loop is not None  # it is connected
        self._client, self._loop = client, client.loop
        self._works: set[Work[Any]] = set()
        self._kept: list[Kept] = []
        self._watching = False
        self._looking: asyncio.Future[bool]
        self._newcomers = Newcomers(client)
        self.watch = Watch(client)

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
            work.fail(error_of(client_closed(), work.bundle))
        return work.outcome

    async def _follow(self, work: Work[T]) -> None:
        if work.outcome.done():
            return
        self._works.add(work)
        self._begin_to_watch()
        try:
            await self._looking
            done = work.unwrap(await self._answer(work))
        except RunnerError as error:
            # Its traceback has this frame, which has the work: a cycle again.
            work.fail(error.with_traceback(None))
        except BaseException as error:  # noqa: BLE001 - asyncio.CancelledError is one of Dask's own
            finding = failed_input(work.futures, error) or raised(error, self._client)
            work.fail(error_of(finding, work.bundle))
        else:
            with suppress(InvalidStateError):  # its caller has cancelled it
                work.outcome.set_result(done)

    def workers(self, fitness: Fitness) -> Collection[str]:
        """Return the addresses of those that the cluster has; from another thread.

        :raises RunnerError: the scheduler says nothing.
        """
        seen = self.watch.workers
        if seen and self.watch.silent_seconds < LOOK_SECONDS and not fitness.unknown(seen):
            return list(seen)
        return ask(self._client, lambda: self._client.nthreads(asynchronous=True), LOOK_SECONDS)

    def keep(self, kept: Kept) -> None:
        """See that tasks whose results stay on the workers can run; from any thread."""
        self._loop.add_callback(self._keep, kept)

    def _keep(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._begin_to_watch()

    def _begin_to_watch(self) -> None:
        if not self._watching:
            self._watching = True
            self._loop.add_callback(self._watch)
            # What was known of the workers may be old.
            self._looking = asyncio.ensure_future(self.watch.look())

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
                if work.able(self.watch.workers) == []:
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
            if work.home is not None and work.home.lost:
                await work.home.return_to()
                await self.watch.look()
            work.moving = False
            work.sent_to = work.able(self.watch.workers)
            while work.sent_to == [] and not work.outcome.done():
                # Those that were there may be starting again. Who watches says when it is enough.
                await asyncio.sleep(WATCH_SECONDS)
                work.sent_to = work.able(self.watch.workers)
            if work.outcome.done():
                raise CancelledError  # nobody waits for it any more
            work.seen |= work.there(self.watch.workers)
            try:
                if work.batches is not None and not work.alone:
                    answer = await work.batches.answer(work)
                else:
                    (answer,) = await self._call([work])
                if answer is not None:
                    return answer
            except (CancelledError, asyncio.CancelledError, OSError):
                if work.moving or work.outcome.done():
                    continue
                if work.home is None or work.futures or not await work.home.found_lost():
                    raise

    def batches(self, window: Window) -> Batches:
        """Return what the small tasks of one ``map`` go together by, and large ones come by."""
        return Batches(self._call, lambda: self.watch.threads, window)

    async def _call(self, works: list[Work[Any]]) -> list[Answer]:
        """Return the answers of a call for works that ask for the same workers."""
        first = works[0]
        if first.home is not None and first.home.lost:
            raise CancelledError
        future = self._client.submit(
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
        await asyncio.wait([coming, sent.taken_back], return_when=asyncio.FIRST_COMPLETED)
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
        answers: list[Answer] = await self._client.gather(sent.future, asynchronous=True)
        return answers

    def _ended(self, work: "Work[Any] | None") -> None:
        """:param work: ``None``: nothing follows it any more."""
        if work is not None:
            self._loop.add_callback(self._let_go, work)

    async def _let_go(self, work: Work[Any]) -> None:
        self._works.discard(work)
        sent, work.sent = work.sent, None
        if sent is not None:
            sent.wanted.discard(work)
            if not sent.wanted:
                await self._cancel(sent)

    async def _take_back(self, sent: Sent) -> None:
        """Have its works sent to others, also where its worker has the answer and is silent."""
        for work in sent.wanted:
            work.moving = True
        sent.taken_back.cancel()
        with suppress(*GONE):  # then it has ended there
            await sent.future.cancel(asynchronous=True)

    async def _cancel(self, sent: Sent) -> None:
        if not sent.future.done():
            with suppress(*GONE):  # then it has ended there
                await sent.future.cancel(asynchronous=True)

    async def _watch(self) -> None:
        self.watch.begin()
        said: set[str] = set()
        try:
            while (self._works or self._kept) and not is_closed(self._client):
                try:
                    said = await self._look_after(said)
                except Exception:  # noqa: BLE001 - logged
                    # Without it, what waits for nobody would wait for ever.
                    _log.exception("while the cluster was looked at")
                await asyncio.sleep(WATCH_SECONDS)
        finally:
            self._watching = False
            if is_closed(self._client):
                for work in self._works.copy():
                    work.fail(error_of(client_closed(), work.bundle))

    async def _look_after(self, said: set[str]) -> set[str]:
        """See that what is on the cluster can run there.

        :param said: why something waited before.
        :returns: why something waits.
        """
        await self.watch.look()
        self._meet()
        await self._move_from_the_unfit()
        waiting: Counter[str] = Counter()
        for kept in self._kept:
            if stuck := await self._stuck_keys(kept):
                waiting[self._why(kept, stuck)] += len(stuck)
        for work in self._works.copy():
            if await self._is_stuck(work):
                waiting[self._why(work, [work.key])] += 1
        for why in waiting.keys() - said:
            _log.warning("%d tasks wait: %s", waiting[why], why)
        return set(waiting)

    def _meet(self) -> None:
        """Ask the workers that a study does not know, and those that have become silent."""
        self._kept = [kept for kept in self._kept if kept.keys]
        workers = self.watch.workers
        timeout = WORKER_SILENT_SECONDS + _SILENT_SECONDS_FOR_EACH * len(workers)
        silent = {at for at, seen in workers.items() if seen.silent_seconds > timeout}
        for fitness in {placed.fitness for placed in (*self._works, *self._kept)}:
            for refusal in self.watch.refusals:
                if refusal.bundle == fitness.bundle and refusal.worker not in fitness.unable:
                    _log.warning(
                        "%s gets no more tasks: %s", refusal.worker, refusal.report.summary
                    )
                    fitness.refuse(refusal.worker, refusal.report)
            for address in (silent - fitness.unable.keys()).union(fitness.unknown(workers)):
                self._newcomers.meet(fitness, address)

    async def _move_from_the_unfit(self) -> None:
        """Take back what was given to a worker before it was known that it cannot run it."""
        for kept in self._kept:
            await kept.move(self._client, self.watch.workers)
        unfit = {
            address
            for work in self._works
            for address in work.fitness.unable.keys() & self.watch.workers.keys()
        }
        if not unfit:
            return
        try:
            on: dict[str, str] = await asyncio.wait_for(
                self._client.run_on_scheduler(held, list(unfit)), LOOK_SECONDS
            )
        except (*GONE, asyncio.TimeoutError):
            return  # who watches the scheduler says so
        taken: defaultdict[str, dict[str, Work[Any]]] = defaultdict(dict)
        for work in self._works:
            address = on.get(work.key)
            if address is not None and address in work.fitness.unable:
                taken[address][work.key] = work
        for address, works in taken.items():
            refusal = next(iter(works.values())).fitness.unable[address]
            _log.warning("%s", went_elsewhere(refusal, works))
        back = {work.sent for works in taken.values() for work in works.values()}
        if taken:  # what was asked for with theirs does not come either
            late = time.monotonic() - LOOK_SECONDS
            back |= {one.sent for one in self._works if one.sent and one.sent.gathered_at < late}
        for sent in filter(None, back):
            await self._take_back(sent)

    async def _is_stuck(self, work: Work[Any]) -> bool:
        """Tell whether no worker can run it as things are; it fails when that lasts too long."""
        silent = self.watch.silent_seconds
        if silent > WATCH_SECONDS:
            if silent >= SILENT_SECONDS:
                work.fail(error_of(scheduler_silent(silent), work.bundle))
            return True
        there = work.there(self.watch.workers)
        work.seen |= there
        fit = work.able(self.watch.workers)
        able = set(self.watch.workers) if fit is None else set(self.watch.workers).intersection(fit)
        unrunnable = work.key in self.watch.unrunnable
        if able - there and (unrunnable or not there):
            # One that starts again has another address; one that joins may offer what is asked for.
            work.stuck_seconds = 0.0
            if work.sent is not None:
                await self._take_back(work.sent)
            return False
        if there and not unrunnable:
            work.stuck_seconds = 0.0
            return False
        if self._waited_too_long(work):
            wish = self.watch.unrunnable.get(work.key)
            work.fail(work.why_nobody_runs_it(wish, self.watch.workers))
        return True

    async def _stuck_keys(self, kept: Kept) -> list[str]:
        """Those that no worker can run as things are; they fail when that lasts too long."""
        pending = kept.pending
        if self.watch.silent_seconds > WATCH_SECONDS:
            return pending
        there = kept.there(self.watch.workers)
        kept.seen |= there
        stuck = [key for key in pending if not there or key in self.watch.unrunnable]
        if not stuck:
            kept.stuck_seconds = 0.0
        elif self._waited_too_long(kept):
            wish = self.watch.unrunnable.get(stuck[0])
            error = kept.why_nobody_runs_it(wish, self.watch.workers)
            await kept.fail(self._client, error)
        return stuck

    def _waited_too_long(self, placed: Placed) -> bool:
        """Count the time for which no worker can run it."""
        placed.stuck_seconds += WATCH_SECONDS
        may_come = LEFT_SECONDS if placed.seen else NO_WORKERS_SECONDS
        if placed.there(self.watch.workers):
            may_come = UNOFFERED_SECONDS
        return placed.stuck_seconds >= (GONE_SECONDS if placed.fitness.final else may_come)

    def _why(self, placed: Placed, keys: list[str]) -> str:
        """Say why they wait."""
        if self.watch.silent_seconds > WATCH_SECONDS:
            gone = self._client.status != "running"
            does = "is gone, and none is there in its place" if gone else "does not answer"
            return f"the scheduler at {self.watch.scheduler} {does}"
        wishes = [self.watch.unrunnable[key] for key in keys if key in self.watch.unrunnable]
        if wishes and placed.there(self.watch.workers):
            return unoffered(wishes[0], self.watch.workers).summary
        return "there is no worker that may run them"
