"""Watches over what a client has on its cluster, where Dask itself would wait for ever.

A worker that joins or becomes silent is asked what it is, and what it cannot run goes elsewhere.
What no worker may run fails in the end, and a scheduler that does not answer is noticed.
"""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from distributed import Client
from distributed import Future as DaskFuture

from runner.dask.client.connection import LOOK_SECONDS, on_scheduler, something_to_do
from runner.dask.client.lost import (
    client_closed,
    is_closed,
    scheduler_silent,
    unoffered,
    went_elsewhere,
)
from runner.dask.client.sending import Newcomers
from runner.dask.client.work import KeptTasks, Placed, Work
from runner.dask.failures import error_of
from runner.dask.scheduler import Refusal, Restrictions, SeenWorker, census, held

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


class Watch:
    """The tasks of a client, and the workers as the scheduler last told of them.

    To be used on the client's own event loop; what is told may be read in any thread.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._heard = time.monotonic()
        self._scheduler = getattr(client.scheduler, "address", "")  # also once it is gone
        self.newcomers = Newcomers(client)
        self._watching: asyncio.Task[None] | None = None
        self._first_look: asyncio.Future[bool]
        self.works: set[Work[Any]] = set()
        self.kept: list[KeptTasks] = []
        self.workers: Mapping[str, SeenWorker] = {}
        """By their addresses."""
        self.threads = 0
        """How many they have."""
        self._unrunnable: dict[str, Restrictions] = {}
        """This client's tasks that no worker may run, by their keys."""
        self._refusals: Collection[Refusal] = ()
        self._something: DaskFuture[int] | None = None
        """There while no worker is, as works wait here for one that may run them."""
        self._taken_at = 0.0
        """When tasks were last taken back from a worker."""

    @property
    def silent_seconds(self) -> float:
        """For how long the scheduler has said nothing, though it was asked."""
        return time.monotonic() - self._heard

    async def begin(self) -> None:
        """See that it is at it, and knows the workers as they are now."""
        if self._watching is None:
            self._heard = time.monotonic()
            self._first_look = asyncio.ensure_future(self.look())
            self._watching = asyncio.ensure_future(self._watch())
        await self._first_look

    async def pause(self) -> None:
        """Wait until the workers may have changed."""
        await asyncio.sleep(WATCH_SECONDS)

    async def look(self) -> bool:
        """Ask the scheduler; whether there was an answer."""
        seen = await on_scheduler(self._client, census, self._client.id)
        if seen is None:
            return False
        self.workers, self._unrunnable = seen.workers, seen.unrunnable
        self.threads = sum(one.threads for one in seen.workers.values())
        self._refusals = seen.refusals
        self._heard = time.monotonic()
        return True

    async def _watch(self) -> None:
        said: set[str] = set()
        try:
            while (self.works or self.kept) and not is_closed(self._client):
                try:
                    said = await self._look_after(said)
                except Exception:  # noqa: BLE001 - logged
                    # Without it, what waits for nobody would wait for ever.
                    _log.exception("while the cluster was looked at")
                await self.pause()
        finally:
            self._watching = self._something = None
            if is_closed(self._client):
                for work in self.works.copy():
                    work.fail(error_of(client_closed(), work.bundle))

    async def _look_after(self, said: set[str]) -> set[str]:
        """See that what is on the cluster can run there.

        :param said: why something waited before.
        :returns: why something waits.
        """
        if await self.look():
            lacking = self.works and not self.workers
            self._something = (
                (self._something or something_to_do(self._client)) if lacking else None
            )
        self.kept = [kept for kept in self.kept if kept.keys]
        self._meet()
        await self._move_from_the_unfit()
        waiting: Counter[str] = Counter()
        for placed in (*self.kept, *self.works):
            if stuck := await self._stuck(placed):
                waiting[self._why(placed, stuck)] += len(stuck)
        for why in waiting.keys() - said:
            _log.warning("%d tasks wait: %s", waiting[why], why)
        return set(waiting)

    def _meet(self) -> None:
        """Ask the workers that a study does not know, and those that have become silent."""
        timeout = WORKER_SILENT_SECONDS + _SILENT_SECONDS_FOR_EACH * len(self.workers)
        silent = {at for at, seen in self.workers.items() if seen.silent_seconds > timeout}
        for known in {placed.eligibility for placed in (*self.works, *self.kept)}:
            for refusal in self._refusals:
                if refusal.bundle == known.bundle and refusal.worker not in known.unable:
                    known.refuse(refusal.worker, refusal.report)
            for address in (silent - known.unable.keys()).union(known.unknown(self.workers)):
                self.newcomers.meet(known, address)

    async def _move_from_the_unfit(self) -> None:
        """Take back what was given to a worker before it was known that it cannot run it."""
        for kept in self.kept:
            for key in await kept.move(self._client, self.workers):
                self._unrunnable.pop(key, None)  # what it asked for before
        unfit = {at for work in self.works for at in work.eligibility.unable if at in self.workers}
        if not unfit:
            return
        on = await on_scheduler(self._client, held, list(unfit)) or {}
        taken: defaultdict[str, dict[str, Work[Any]]] = defaultdict(dict)
        for work in self.works:
            if (address := on.get(work.key, "")) in work.eligibility.unable:
                taken[address][work.key] = work
        for address, works in taken.items():
            refusal = next(iter(works.values())).eligibility.unable[address]
            _log.warning("%s", went_elsewhere(refusal, works))
        back = {work.sent for works in taken.values() for work in works.values()}
        now = time.monotonic()
        if taken:
            self._taken_at = now
        # What was asked for together with theirs does not come either.
        late = min(self._taken_at, now - LOOK_SECONDS)
        back |= {one.sent for one in self.works if one.sent and one.sent.gathered_at < late}
        for sent in filter(None, back):
            sent.take_back()

    async def _stuck(self, placed: Placed) -> Sequence[str]:
        """Return the tasks that no worker can run as things are.

        They fail when that lasts too long.
        """
        silent, pending = self.silent_seconds, placed.pending
        if silent > WATCH_SECONDS:
            if silent >= SILENT_SECONDS and isinstance(placed, Work):
                placed.fail(error_of(scheduler_silent(silent), placed.bundle))
            return pending
        there = placed.there(self.workers)
        placed.seen |= there
        stuck = [key for key in pending if not there or key in self._unrunnable]
        if stuck and isinstance(placed, Work):
            fit = placed.able(self.workers)
            # One that starts again has another address; one that joins may offer what is asked for.
            if self.workers.keys() & set(self.workers if fit is None else fit).difference(there):
                wish = self._unrunnable.get(stuck[0])
                self._send_to_others(placed, died=not there and wish is not None and wish.died)
                stuck = []
        if not stuck:
            placed.stuck_seconds = 0.0
        elif self._waited_too_long(placed):
            wish = self._unrunnable.get(stuck[0])
            await placed.end(self._client, placed.why_nobody_runs_it(wish, self.workers))
        return stuck

    def _send_to_others(self, work: Work[Any], *, died: bool) -> None:
        """:param died: all workers that it was sent to have left, and one of them with it.

        It may be what kills them, and Dask, to which it is another task then, does not count that.
        """
        if work.sent is None or work.moving:
            return  # it is about to be
        if died:
            for one in work.sent.wanted.copy():
                one.kills_workers()
        work.sent.take_back()

    def _waited_too_long(self, placed: Placed) -> bool:
        """Count the time for which no worker can run it."""
        placed.stuck_seconds += WATCH_SECONDS
        may_come = LEFT_SECONDS if placed.seen else NO_WORKERS_SECONDS
        if placed.there(self.workers):
            may_come = UNOFFERED_SECONDS
        return placed.stuck_seconds >= (GONE_SECONDS if placed.eligibility.final else may_come)

    def _why(self, placed: Placed, keys: Sequence[str]) -> str:
        """Say why they wait."""
        if self.silent_seconds > WATCH_SECONDS:
            gone = self._client.status != "running"
            does = "is gone, and none is there in its place" if gone else "does not answer"
            return f"the scheduler at {self._scheduler} {does}"
        wishes = [self._unrunnable[key] for key in keys if key in self._unrunnable]
        if wishes and placed.there(self.workers):
            return unoffered(wishes[0], self.workers).summary
        return "there is no worker that may run them"
