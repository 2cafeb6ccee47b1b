"""Turns Dask's exceptions and its silence into reports: why there is no answer."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError

from distributed import Client, KilledWorker

from runner.dask.failures import lost, unfit
from runner.dask.scheduler import Restrictions, SeenWorker
from runner.diagnosis.case import Finding
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.text import one_line

# What Dask raises of a scheduler that is gone or a client that is closed, whichever call it was: a
# pool of connections that is closed is a RuntimeError, and the scheduler of a closed client `None`.
GONE = (OSError, RuntimeError, AttributeError, CancelledError, asyncio.CancelledError)

_WORKERS_CHARACTERS = 1000
_KEYS_CHARACTERS = 400

_START = Hint("start workers, and look at the log of those that ended")


def is_closed(client: Client) -> bool:
    """By its user, or by itself where the scheduler could not be reached again."""
    return client.status in ("closing", "closed")


def raised(error: BaseException, client: Client) -> Finding:
    """Return what it means that Dask raised where the answer of a task was expected."""
    if isinstance(error, KilledWorker):
        return _killed(error)
    if is_closed(client):
        return client_closed()
    if client.status == "running" and isinstance(error, CancelledError | asyncio.CancelledError):
        return dropped()
    gone = isinstance(error, GONE)
    if gone and (
        not isinstance(error, RuntimeError | AttributeError) or client.status != "running"
    ):
        return connection_lost(error)
    return unfit(
        f"the cluster could not run the task: {type(error).__name__}: {one_line(str(error))}",
        "This is Dask's own error, raised before the runner on the worker had the task.",
        Hint(
            "compare the versions of client, scheduler and workers",
            command="modelops-runner doctor --scheduler ADDRESS",
        ),
    )


def connection_lost(error: BaseException) -> Finding:
    # Dask's own says of each task that it was cancelled.
    why = "" if isinstance(error, CancelledError | asyncio.CancelledError) else one_line(str(error))
    return lost(
        f"the connection to the scheduler was lost: {why or 'it is closed'}",
        "What the cluster was doing is not known any more; the workers end its tasks.",
        Hint("look at the scheduler: whether it runs, and its log"),
    )


def dropped() -> Finding:
    return lost(
        "the scheduler has let go of the task",
        "Somebody has called client.restart(), which ends what all clients have there, or another"
        " scheduler has taken the place of this one.",
        Hint("run it again"),
    )


def edited() -> Finding:
    return lost(
        "the scheduler was replaced, and the bundle has been edited since the study began",
        "The cluster's copy of it is lost, and tasks of the edited one would not be of this study.",
        Hint("run the study again"),
        retryable=False,
    )


def client_closed() -> Finding:
    return lost(
        "the client is closed, here or by Dask, as its scheduler could not be reached again",
        "",
        Hint("look at the scheduler, whether it runs, and its log; connect a new client"),
    )


def scheduler_silent(seconds: float) -> Finding:
    return lost(
        f"the scheduler does not answer: it has said nothing for {seconds:.0f} s",
        "Its process is there and does nothing, or the network drops what is sent. Dask waits for"
        " it without a limit.",
        Hint("look at the scheduler's log, and at the load of its machine; restart it"),
    )


def no_workers(seconds: float, left: int) -> Finding:
    """:param left: how many workers have left the cluster while the task was on it."""
    if left == 0:
        return lost(
            f"the cluster has had no worker for the task for {seconds:.0f} s",
            "Dask waits for workers without a limit, and says nothing.",
            _START,
        )
    workers = "the worker" if left == 1 else f"all {left} workers"
    return lost(
        f"{workers} that could run the task left the cluster while it was there, and none has come"
        f" for {seconds:.0f} s",
        "Nothing is known of why. The task was not tried again, as it may be what kills them.",
        _START,
        retryable=False,
    )


def no_able_worker(refusals: Iterable[Report]) -> Finding:
    """:param refusals: what workers say that cannot run the task."""
    why = next((report.summary for report in refusals), "")
    return lost(
        "the cluster has no worker that may run the task",
        f"One that cannot: {why}" if why else "",
        Hint("start workers, or name others with workers="),
    )


def went_elsewhere(refusal: Report, keys: Iterable[str]) -> str:
    """:param keys: of the tasks that a worker had, which cannot run them."""
    shown = one_line(", ".join(keys), _KEYS_CHARACTERS)
    return f"{refusal.summary}: what it was given goes to others: {shown}"


def unoffered(wish: Restrictions, workers: Mapping[str, SeenWorker]) -> Finding:
    """:param wish: what a task asks for, and none of the workers is."""
    offers: defaultdict[str, list[str]] = defaultdict(list)
    for address, seen in workers.items():
        offers[_amounts(seen.resources) or "nothing"].append(address)
    offered = "; ".join(f"{offer}: {', '.join(places)}" for offer, places in offers.items())
    # By itself, Dask waits for one without a limit.
    if not wish.resources:
        return unfit(
            f"none of the workers is one that the task may run on: {', '.join(wish.places)}",
            f"Workers that are there: {one_line(', '.join(workers), _WORKERS_CHARACTERS)}.",
            Hint("start it, or leave it out of workers= or dask.annotate(workers=...)"),
        )
    asked = _amounts(wish.resources)
    return unfit(
        f"no worker offers what the task asks for: {asked}",
        f"Workers offer {one_line(offered, _WORKERS_CHARACTERS)}.",
        Hint(
            "start a worker that offers it",
            command=f"dask worker ADDRESS --resources '{asked.replace(',', '')}'",
        ),
        Hint("or ask for less, or nothing, with resources= or dask.annotate(resources=...)"),
    )


def _amounts(resources: Mapping[str, float]) -> str:
    return ", ".join(f"{name}={amount:g}" for name, amount in resources.items())


def _killed(error: KilledWorker) -> Finding:
    return _deadly(
        f"{error.allowed_failures + 1} workers died while they ran the task, the last of them"
        f" {error.last_worker.address}"
    )


def kills_workers(deaths: int) -> Finding:
    """:param deaths: of workers to which the task was sent as the one suspect."""
    return _deadly(
        f"workers die of the task: the last {deaths} that it was sent to left the cluster while"
        " they had it, as others had before"
    )


def _deadly(summary: str) -> Finding:
    return lost(
        summary,
        "Nothing is known of why: a worker's process that is killed says nothing. The task was"
        " not tried again after that, as it may be what kills them.",
        Hint(
            "look at how the workers ended: a pod that is OOMKilled or evicted, or their log",
            command="kubectl get pods; kubectl describe pod POD",
        ),
        Hint(
            "give each task a limit below the worker's own, so that a report says which one"
            " needs too much",
            command="export DASK_MODELOPS_RUNNER__MEMORY_LIMIT=2GiB",
        ),
        Hint(
            "or, where its outputs are too large for the worker, give workers more memory than"
            " these take",
            command="dask worker ADDRESS --memory-limit 8GiB",
        ),
        retryable=False,
    )
