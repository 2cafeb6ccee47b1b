"""Workers that join a cluster under a study, or become silent: each is asked what it is."""

import asyncio
import logging

from distributed import Client

from runner.dask.client.fitness import Fitness
from runner.dask.client.survey import silent, survey_of

_log = logging.getLogger(__name__)

# A worker that has just joined may still be setting up its plugins.
ANSWER_SECONDS = 10.0


class Newcomers:
    """To be used on the client's own event loop."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[tuple[Fitness, str], asyncio.Task[None]] = {}

    def meet(self, fitness: Fitness, address: str) -> None:
        """Ask a worker whether it runs tasks of a study, unless that is under way."""
        key = (fitness, address)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(fitness, address))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key))

    async def _ask(self, fitness: Fitness, address: str) -> None:
        asking = asyncio.ensure_future(
            survey_of(self._client, address, fitness.bundle, None, ANSWER_SECONDS)
        )
        # One that was heard of before has no plugins to set up.
        timeout = 2 * ANSWER_SECONDS if fitness.unknown([address]) else ANSWER_SECONDS
        done, _ = await asyncio.wait([asking], timeout=timeout)
        if not done:
            report = silent(address)
            _log.warning("%s: it gets no tasks until it does", report.summary)
            fitness.refuse(address, report)
        found = await asking
        if found is None:
            fitness.left(address)
        elif found.refusal is None:
            fitness.welcome(address)
        else:
            _log.warning("%s gets no tasks: %s", address, found.refusal.summary)
            fitness.refuse(address, found.refusal)
