"""The tasks of a client whose results stay on the workers: where they run is kept as it should be.

Their futures are Dask's own, so that a task goes elsewhere, or fails, at the scheduler.
"""

import asyncio
import logging
import pickle
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from weakref import WeakValueDictionary

from distributed import Client
from distributed import Future as DaskFuture

from runner.dask.census import Seen, fail, place
from runner.dask.client.connection import LOOK_SECONDS
from runner.dask.client.lost import GONE, went_elsewhere
from runner.dask.client.placed import Placed
from runner.diagnosis.errors import RunnerError
from runner.result import Result

_log = logging.getLogger(__name__)


class Kept(Placed, kw_only=True):
    """Those that were sent by one call, for as long as anything refers to one of their futures.

    :param futures: by their keys.
    :param movable: their caller has not named workers for them, maybe by their hosts.
    """

    futures: "WeakValueDictionary[str, DaskFuture[Result]]"
    movable: bool

    @property
    def keys(self) -> list[str]:
        return list(self.futures)

    @property
    def pending(self) -> Sequence[str]:
        return [key for key, one in list(self.futures.items()) if one.status == "pending"]

    async def move(self, client: Client, workers: Mapping[str, Seen]) -> None:
        """Let them run on those workers only that are able to, as far as that has changed."""
        able = self.able(workers)
        if not self.movable or _same(able, self.sent_to):
            return
        with suppress(*GONE, asyncio.TimeoutError):  # who watches the scheduler says so
            taken = await _within(client.run_on_scheduler(place, self.keys, able))
            self.sent_to = able
            by: defaultdict[str, list[str]] = defaultdict(list)
            for key, address in taken.items():
                by[address].append(key)
            for address, keys in by.items():
                if (refusal := self.fitness.unable.get(address)) is not None:
                    _log.warning("%s", went_elsewhere(refusal, keys))

    async def end(self, client: Client, error: RunnerError) -> None:
        with suppress(*GONE, asyncio.TimeoutError):
            await _within(client.run_on_scheduler(fail, self.pending, pickle.dumps(error)))


def _same(one: list[str] | None, other: list[str] | None) -> bool:
    return one == other or (one is not None and other is not None and set(one) == set(other))


async def _within(asked: Awaitable[dict[str, str]]) -> dict[str, str]:
    return await asyncio.wait_for(asked, LOOK_SECONDS)
