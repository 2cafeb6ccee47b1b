"""A task for a cluster's workers, and where it is at."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from distributed import Future as DaskFuture
from msgspec import Struct

from runner.dask.client.fitness import Fitness
from runner.dask.client.home import Home
from runner.dask.client.placed import Placed
from runner.dask.client.placement import ANYWHERE, Placement
from runner.dask.messages import Answer
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.model import BundleInfo

if TYPE_CHECKING:
    from runner.dask.client.batches import Batches

T = TypeVar("T")


class Sent(Struct, eq=False):
    """A call that is on the cluster.

    :param wanted: the works whose answers it gives, as far as somebody waits for them.
    """

    future: "DaskFuture[list[Answer]]"
    wanted: "set[Work[Any]]"
    taken_back: "asyncio.Future[list[Answer]]"
    """Ended once they are to be sent to others."""
    gathered_at: float = inf
    """When its answers were asked for."""


class Work(Placed, Generic[T]):
    """A task of a function of :mod:`runner.dask.worker.work`, and where it is at.

    :param name: what Dask's dashboard shows.
    :param unwrap: gives the outcome that the answer stands for, or raises ``RunnerError``.
    :param function: takes a list of what is asked for, of those that go in one call, and the
        arguments that they have in common.
    :param asked: what this one asks for.
    :param futures: those of its inputs that are on the cluster.
    :param home: where its study is; ``None``: it ends with the scheduler.
    :param batches: those that it may share a call with.
    """

    def __init__(
        self,
        name: str,
        unwrap: Callable[[Answer], T],
        function: Callable[..., list[Answer]],
        asked: Any,
        *arguments: Any,
        bundle: BundleInfo,
        fitness: Fitness,
        retries: int,
        size: int = 0,
        futures: "Mapping[str, DaskFuture[Any]] | None" = None,
        placement: Placement = ANYWHERE,
        home: Home | None = None,
        batches: "Batches | None" = None,
    ) -> None:
        super().__init__(bundle, fitness, placement)
        self.name = name
        self.unwrap = unwrap
        self.function = function
        self.asked = asked
        self.arguments = arguments
        self.size = size
        """The bytes that go with it."""
        self.futures = futures or {}
        self.home = home
        self.batches = batches
        self.number = 0
        """Where it stands among the tasks of its ``map``."""
        self.alone = False
        """It may share a call no more."""
        self.retries = retries
        """How often a failure whose report is retryable is tried again."""
        self.outcome: Future[T] = Future()
        """Its exception is a ``RunnerError``."""
        self.sent: Sent | None = None
        self.moving = False
        """It was taken back, to be sent to others."""

    @property
    def key(self) -> str:
        """Return what Dask knows its call by; empty while it is not on the cluster."""
        return "" if self.sent is None else str(self.sent.future.key)

    def fail(self, error: RunnerError) -> None:
        """End it, unless its caller has cancelled it or it has ended already."""
        with suppress(InvalidStateError):
            self.outcome.set_exception(error)
