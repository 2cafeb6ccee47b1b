"""The scheduler that a study was sent to, and the one that has taken its place since."""

import asyncio
import logging
import time
from collections.abc import Callable
from math import inf

from distributed import Client

from runner.dask.client.connection import begun_in_thread
from runner.dask.client.eligibility import Eligibility
from runner.dask.client.lost import is_closed
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.codes import Code

_log = logging.getLogger(__name__)

_POLL_SECONDS = 0.1

# A call may fail of a lost connection before the client knows that it is lost.
_NOTICE_SECONDS = 5.0

# At a scheduler in a lost one's place, workers may come first that cannot run the study.
_JOIN_SECONDS = 60.0
_AGAIN_SECONDS = 2.0


class StudyScheduler:
    """Where a study is. To be used on the client's own event loop.

    A client whose scheduler is gone looks for another one at the same address, and closes where
    none is there after its own timeout. That one knows of nothing: the study is sent again.

    :param connection: the client's, from before the study was sent.
    :param again: sends it, from a thread of its own, and gives which workers can run it.
    """

    def __init__(
        self,
        client: Client,
        connection: object,
        eligibility: Eligibility,
        again: Callable[[], Eligibility],
    ) -> None:
        self._client, self._connection = client, connection
        self._eligibility, self._again = eligibility, again
        self._moving: asyncio.Task[None] | None = None
        self._moved_at = -inf

    @property
    def lost(self) -> bool:
        """Tell whether the client has left that scheduler."""
        return self._client.scheduler_comm is not self._connection

    @property
    def joining(self) -> bool:
        """Tell whether workers may be about to join, which have left with the scheduler."""
        return time.monotonic() < self._moved_at + _JOIN_SECONDS

    async def found_lost(self) -> bool:
        """Tell whether it was the scheduler's end that made a call fail just now."""
        deadline = time.monotonic() + _NOTICE_SECONDS
        while not (self.lost or is_closed(self._client) or time.monotonic() > deadline):  # noqa: ASYNC110 - Dask tells nobody
            await asyncio.sleep(_POLL_SECONDS)
        return self.lost and not is_closed(self._client)

    async def return_to(self) -> None:
        """Wait until the study is at the client's scheduler again.

        :raises RunnerError: it cannot be.
        """
        if self._moving is None:
            self._moving = asyncio.ensure_future(self._move())
            self._moving.add_done_callback(self._moved)
        # Others wait for it as well.
        await asyncio.shield(self._moving)

    def _moved(self, _: "asyncio.Task[None]") -> None:
        self._moving = None

    async def _move(self) -> None:
        _log.warning(
            "the connection to the scheduler was lost; the study goes on at one in its place"
        )
        deadline = inf
        while self.lost:
            while self._client.status == "connecting":  # noqa: ASYNC110 - as above
                await asyncio.sleep(_POLL_SECONDS)
            connection = self._client.scheduler_comm
            try:
                eligibility = await asyncio.wrap_future(begun_in_thread(self._again))
            except RunnerError as error:
                gone = self._client.scheduler_comm is not connection
                lost = error.report.code is Code.WORKER_LOST
                if is_closed(self._client) or (not gone and (lost or time.monotonic() > deadline)):
                    raise
                if not gone:
                    deadline = min(deadline, time.monotonic() + _JOIN_SECONDS)
                    _log.warning("the study is not there yet: %s", error.report.summary)
                    await asyncio.sleep(_AGAIN_SECONDS)
                continue
            self._eligibility.become(eligibility)
            self._connection, self._moved_at = connection, time.monotonic()
