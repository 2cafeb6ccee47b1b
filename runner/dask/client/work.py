"""Tasks on a cluster, and where they are at.

Those whose results come here are works, which the client sends, and sends again. Those whose
results stay on the workers are futures of Dask's own: one goes elsewhere, or fails, at the
scheduler.
"""

import asyncio
import logging
import pickle
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakValueDictionary

from distributed import Client
from distributed import Future as DaskFuture
from msgspec import Struct, field

from runner.dask.answer import Answer
from runner.dask.client.connection import on_scheduler
from runner.dask.client.eligibility import ANYWHERE, Eligibility, Placement
from runner.dask.client.lost import kills_workers, no_workers, unoffered, went_elsewhere
from runner.dask.client.study_scheduler import StudyScheduler
from runner.dask.failures import error_of
from runner.dask.scheduler import Restrictions, SeenWorker, fail, place
from runner.dask.study_environment import Wanted
from runner.dask.worker.work import tell
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.model import BundleInfo
from runner.result import Result
from runner.task import Task

if TYPE_CHECKING:
    from runner.dask.client.batches import Batches

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Dask counts against each task that waits on a worker, and not only against those that run there,
# how often the worker dies. So a suspect is tried by itself, and one death may be another's fault:
# of a task that ran beside it, and was none yet.
MOST_DEATHS = 2


class Placed(Struct, eq=False, weakref=True, kw_only=True):
    """One task, or several that ask for the same.

    :param bundle: for the report, where there is no answer.
    :param eligibility: of the workers.
    """

    bundle: BundleInfo
    eligibility: Eligibility
    placement: Placement = ANYWHERE
    sent_to: list[str] | None = None
    """The addresses of those that Dask may give it to; ``None``: any."""
    stuck_seconds: float = 0.0
    """For how long no worker has been there that may run it."""
    seen: set[str] = field(default_factory=set)
    """The workers that were there meanwhile and may run it."""

    @property
    def pending(self) -> Sequence[str]:
        """The keys of those that have not ended."""
        raise NotImplementedError

    async def end(self, client: Client, error: RunnerError) -> None:
        """Let those fail that have not ended."""
        raise NotImplementedError

    def able(self, workers: Mapping[str, SeenWorker]) -> list[str] | None:
        """The workers to send it to; ``None``: any, and those to come."""
        return self.placement.among(self.eligibility, workers)

    def there(self, workers: Mapping[str, SeenWorker]) -> set[str]:
        """The workers that may run it as it was sent."""
        return set(workers) if self.sent_to is None else set(workers).intersection(self.sent_to)

    def why_nobody_runs_it(
        self, wish: Restrictions | None, workers: Mapping[str, SeenWorker]
    ) -> RunnerError:
        """:param wish: what the scheduler says that it asks for."""
        if wish is not None and self.there(workers):
            error = error_of(unoffered(wish, workers), self.bundle)
            offering = [at for at, seen in workers.items() if seen.offers(wish.resources)]
        else:
            error = error_of(no_workers(self.stuck_seconds, len(self.seen)), self.bundle)
            offering = list(workers)
        for address in offering:
            # What those say that are left is why none of them runs it.
            if (refusal := self.eligibility.unable.get(address)) is not None:
                error = error_for(refusal)
        return error


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

    # Calls are released, which ends what nobody else wants. A cancellation would be told to each
    # client of the cluster, and one that is about to connect fails where that comes with its
    # greeting (``assert len(msg) == 1`` in ``Client._ensure_connected``, distributed 2026.8).

    def take_back(self) -> None:
        """Have its works sent to others, also where its worker has the answer and is silent."""
        self.taken_back.cancel()
        self.future.release()

    def leave(self, work: "Work[Any]") -> None:
        """One is waited for no more; with the last of them, the call ends."""
        self.wanted.discard(work)
        if not self.wanted and not self.future.done():
            self.future.release()


class Work(Placed, Generic[T], kw_only=True):
    """A task of a function of :mod:`runner.dask.worker.work`, and where it is at.

    :param name: what Dask's dashboard shows.
    :param unwrap: gives the outcome that the answer stands for, or raises ``RunnerError``.
    :param function: takes a list of what is asked for, of those that go in one call, and the
        arguments that they have in common.
    :param asked: what this one asks for.
    :param size: the bytes that go with it.
    :param futures: those of its inputs that are on the cluster.
    :param scheduler: where its study is; ``None``: it ends with the scheduler.
    :param batches: those that it may share a call with.
    :param number: where it stands among the tasks of its ``map``.
    """

    name: str
    unwrap: Callable[[Answer], T]
    function: Callable[..., list[Answer]]
    asked: Any
    arguments: tuple[Any, ...]
    size: int = 0
    futures: "Mapping[str, DaskFuture[Any]]" = field(default_factory=dict)
    scheduler: StudyScheduler | None = None
    batches: "Batches | None" = None
    number: int = 0
    alone: bool = False
    """It may share a call no more."""
    outcome: Future[T] = field(default_factory=Future)
    """Its exception is a ``RunnerError``."""
    sent: Sent | None = None
    suspect: bool = False
    """Workers have left while it was there, for which it may be the reason."""
    deaths: int = 0
    """How many have left since that had no other suspect."""

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

    def kills_workers(self) -> bool:
        """Count that workers have left while it was there; tell whether it is why, and fails."""
        self.deaths += self.suspect
        self.suspect = self.alone = True
        if self.deaths < MOST_DEATHS:
            return False
        task = self.asked if isinstance(self.asked, Task) else None
        self.fail(error_of(kills_workers(self.deaths), self.bundle, task))
        return True


def asking(
    question: Callable[..., T],
    key: str,
    wanted: Wanted,
    bundle: BundleInfo,
    eligibility: Eligibility,
    scheduler: StudyScheduler | None = None,
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
        eligibility=eligibility,
        scheduler=scheduler,
    )


class KeptTasks(Placed, kw_only=True):
    """Those whose results stay on the workers, of one call; for as long as anything refers to one.

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

    async def move(self, client: Client, workers: Mapping[str, SeenWorker]) -> Sequence[str]:
        """Let them run on those workers only that are able to, as far as that has changed.

        :returns: the keys of those that may run on others now.
        """
        able = self.able(workers)
        if not self.movable or _same(able, self.sent_to):
            return ()
        taken = await on_scheduler(client, place, self.keys, able)
        if taken is None:
            return ()
        self.sent_to = able
        by: defaultdict[str, list[str]] = defaultdict(list)
        for key, address in taken.items():
            by[address].append(key)
        for address, keys in by.items():
            if (refusal := self.eligibility.unable.get(address)) is not None:
                _log.warning("%s", went_elsewhere(refusal, keys))
        return self.keys

    async def end(self, client: Client, error: RunnerError) -> None:
        await on_scheduler(client, fail, self.pending, pickle.dumps(error))


def _same(one: list[str] | None, other: list[str] | None) -> bool:
    return one == other or (one is not None and other is not None and set(one) == set(other))
