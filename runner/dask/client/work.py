"""A task for a cluster's workers, and where it is at."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from distributed import Client
from distributed import Future as DaskFuture
from msgspec import Struct, field

from runner.dask.client.fitness import Fitness
from runner.dask.client.home import Home
from runner.dask.client.lost import GONE
from runner.dask.client.placed import Placed
from runner.dask.environment import Wanted
from runner.dask.failures import RETRIES
from runner.dask.messages import Answer
from runner.dask.worker.work import tell
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.model import BundleInfo

if TYPE_CHECKING:
    from runner.dask.client.batches import Batches

T = TypeVar("T")


class Sent(Struct, eq=False):
    """A call that is on the cluster.

    :param wanted: the works whose answers it gives, as far as somebody waits for them.
    :param taken_back: ended once they are to be sent to others.
    :param gathered_at: when its answers were asked for.
    """

    future: "DaskFuture[list[Answer]]"
    wanted: "set[Work[Any]]"
    taken_back: "asyncio.Future[None]"
    gathered_at: float = inf

    async def take_back(self) -> None:
        """Have its works sent to others, also where its worker has the answer and is silent."""
        self.taken_back.cancel()
        with suppress(*GONE):  # then it has ended there
            await self.future.cancel(asynchronous=True)

    async def leave(self, work: "Work[Any]") -> None:
        """One is waited for no more; with the last of them, the call ends."""
        self.wanted.discard(work)
        if not self.wanted and not self.future.done():
            with suppress(*GONE):
                await self.future.cancel(asynchronous=True)


class Work(Placed, Generic[T], kw_only=True):
    """A task of a function of :mod:`runner.dask.worker.work`, and where it is at.

    :param name: what Dask's dashboard shows.
    :param unwrap: gives the outcome that the answer stands for, or raises ``RunnerError``.
    :param function: takes a list of what is asked for, of those that go in one call, and the
        arguments that they have in common.
    :param asked: what this one asks for.
    :param retries: how often a failure whose report is retryable is tried again.
    :param size: the bytes that go with it.
    :param futures: those of its inputs that are on the cluster.
    :param home: where its study is; ``None``: it ends with the scheduler.
    :param batches: those that it may share a call with.
    :param number: where it stands among the tasks of its ``map``.
    """

    name: str
    unwrap: Callable[[Answer], T]
    function: Callable[..., list[Answer]]
    asked: Any
    arguments: tuple[Any, ...]
    retries: int
    size: int = 0
    futures: "Mapping[str, DaskFuture[Any]]" = field(default_factory=dict)
    home: Home | None = None
    batches: "Batches | None" = None
    number: int = 0
    alone: bool = False
    """It may share a call no more."""
    outcome: Future[T] = field(default_factory=Future)
    """Its exception is a ``RunnerError``."""
    sent: Sent | None = None
    orphaned: int = 0
    """How often all workers have left that it was sent to."""

    @property
    def key(self) -> str:
        """Return what Dask knows its call by; empty while it is not on the cluster."""
        return "" if self.sent is None else str(self.sent.future.key)

    @property
    def pending(self) -> Sequence[str]:
        return [self.key]

    @property
    def moving(self) -> bool:
        """Tell whether it was taken back, to be sent to others."""
        return self.sent is not None and self.sent.taken_back.done()

    def fail(self, error: RunnerError) -> None:
        """End it, unless its caller has cancelled it or it has ended already."""
        with suppress(InvalidStateError):
            self.outcome.set_exception(error)

    async def end(self, client: Client, error: RunnerError) -> None:
        self.fail(error)


def asking(
    question: Callable[..., T],
    key: str,
    wanted: Wanted,
    *,
    bundle: BundleInfo,
    fitness: Fitness,
    home: Home | None = None,
) -> Work[T]:
    """Return what asks a worker something of a bundle.

    :param question: a :data:`~runner.dask.worker.work.Question`.
    :param key: what the workers know the bundle by.
    """
    return Work(
        name=f"modelops-{question.__name__}",
        unwrap=lambda answer: answer.told_of(bundle),
        function=tell,
        asked=question,
        arguments=(key, wanted),
        bundle=bundle,
        fitness=fitness,
        retries=RETRIES,
        home=home,
    )
