"""Small tasks of a study, several in one call of a worker: the way to it takes longer than they do.

How many is found out from what those took that are done. Each has its own answer all the same.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError
from math import ceil
from typing import Any

from distributed import Future, KilledWorker, as_completed

from runner.dask.answer import Answer
from runner.dask.client.work import Work
from runner.diagnosis.report.codes import Code
from runner.execution.bounded_map import Window
from runner.result import Result

# How many calls are on the cluster for each thread of its workers: enough that none waits for the
# way to the client and back.
WINDOW = 4

# With so many for each thread, others wait until they fill a call.
_ENOUGH = 2

# The seconds that a call takes, next to which the 10 ms of its way are little, also on a machine
# that is shared; at its end nobody waits long for a worker that has more left than others.
CALL_SECONDS = 0.5

# The bytes of a call's inputs and outputs: memory is what the window of calls bounds.
CALL_BYTES = 1 << 20

# The bytes of results that are here, or on their way, and not read: others stay on their workers.
HERE_BYTES = 128 << 20
_POLL_SECONDS = 0.01

# In all calls on the cluster, of those that have several: each is looked after here.
MOST_TASKS = 4096

# The share of the latest task in what a task is said to take.
_WEIGHT = 0.2


class Batches:
    """The tasks of one ``map``. To be used on the client's own event loop.

    :param call: sends works in one call, and gives the answers of the first so many of them.
    :param threads: how many the workers have.
    :param window: of the tasks, by their numbers.
    """

    def __init__(
        self,
        call: "Callable[[list[Work[Result]]], Awaitable[list[Answer]]]",
        threads: Callable[[], int],
        window: Window,
    ) -> None:
        self._call, self._threads, self._window = call, threads, window
        self.here: set[int] = set()
        """The tasks whose results have come, or are on their way; their reader takes them out."""
        self._waiting: deque[tuple[Work[Result], asyncio.Future[Answer | None]]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._seconds = self._bytes = 0.0
        """The mean of a task; 0: not known yet."""

    @property
    def size(self) -> int:
        """How many tasks make a call."""
        if not self._seconds:
            return 1
        most = MOST_TASKS // (WINDOW * max(1, self._threads()))
        fit = min(CALL_SECONDS / self._seconds, CALL_BYTES / max(1.0, self._bytes), most)
        return max(1, int(fit))

    async def answer(self, work: Work[Result]) -> Answer | None:
        """Send a task, with others where it is small.

        :returns: ``None``: it is to be sent again, as its call ended before.
        """
        due: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, due))
        self._send()
        return await due

    async def until_room(self, future: "Future[Any]", work: Work[Result]) -> None:
        """Wait until a call of one task has ended, and what comes of it may come here."""
        if self._seconds and self._bytes <= CALL_BYTES:
            return
        async for _ in as_completed([future], loop=future.client.loop):
            pass
        while not (future.cancelled() or work.outcome.done() or self._has_room(work)):  # noqa: ASYNC110 - who reads is another thread
            await asyncio.sleep(_POLL_SECONDS)
        if not (future.cancelled() or work.outcome.done()):
            self.here.add(work.number)

    def _has_room(self, work: Work[Result]) -> bool:
        # Where calls have several, one that waits to be sent may be the one that is read next.
        if self.size > 1 or work.number == self._window.due:
            return True
        others = len(self.here - {work.number})
        # The first tells how large they are.
        return others == 0 or (self._seconds > 0 and (others + 1) * self._bytes <= HERE_BYTES)

    def _send(self) -> None:
        while self._waiting:
            size, threads = self.size, max(1, self._threads())
            if len(self._calls) < _ENOUGH * threads:
                size = min(size, ceil(len(self._waiting) / threads))
            elif len(self._waiting) < size:
                return
            taken = [self._waiting.popleft() for _ in range(min(size, len(self._waiting)))]
            for work, due in taken:
                if work.outcome.done():
                    due.cancel()
            if batch := [one for one in taken if not one[1].cancelled()]:
                call = asyncio.ensure_future(self._run(batch))
                self._calls.add(call)
                call.add_done_callback(self._ended)

    def _ended(self, call: "asyncio.Task[None]") -> None:
        self._calls.discard(call)
        self._send()

    async def _run(self, batch: "list[tuple[Work[Result], asyncio.Future[Answer | None]]]") -> None:
        answers: list[Answer | None] = []
        try:
            answers += await self._call([work for work, _ in batch])
        except (CancelledError, asyncio.CancelledError):
            for _, due in batch:
                due.cancel()
            return
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            if len(batch) == 1 or isinstance(error, OSError):
                for _, due in batch:
                    due.set_exception(error.with_traceback(None))
                return
            # Which of them it was that made their worker die is found out one by one.
            for work, _ in batch:
                work.alone, work.suspect = True, isinstance(error, KilledWorker)
        answers += [None] * (len(batch) - len(answers))
        for (work, due), answer in zip(batch, answers, strict=True):
            if answer is not None:
                self.learn(answer.seconds, work.size + answer.size)
                report = answer.report
                if len(batch) > 1 and report is not None and report.code is Code.CHILD_HUNG:
                    # It kept those behind it waiting, which it may not for as long as it needs.
                    work.alone, answer = True, None
            if not due.done():
                due.set_result(answer)

    def learn(self, seconds: float, size: int) -> None:
        """Take in what a task took, and the bytes of its inputs and outputs."""
        weight = _WEIGHT if self._seconds else 1.0
        self._seconds += weight * (max(seconds, 1e-6) - self._seconds)
        self._bytes += weight * (size - self._bytes)
