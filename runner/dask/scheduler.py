"""The scheduler's part: it tells of its workers, moves tasks, and keeps what clients own.

The functions run on the scheduler; Dask pickles them by their names.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from distributed import Scheduler, Status
from distributed.diagnostics.plugin import SchedulerPlugin
from msgspec import Struct

from runner.diagnosis.report.model import Report

# The topic of the events by which workers say that they cannot run a task.
REFUSALS = "modelops-runner-refusals"

# The address of no worker: a restriction to it keeps a task until it may run somewhere.
NOWHERE = "tcp://0.0.0.0:0"

_OWNERS = "modelops-bundle-owners"


class SeenWorker(Struct, frozen=True):
    """A worker, as its scheduler sees it.

    :param silent_seconds: since it was last heard of; it speaks every half second, in a cluster of
        more than 200 after as many seconds as there are workers for each 200, and one more.
    :param resources: the ``--resources`` that it was started with.
    """

    threads: int
    silent_seconds: float
    resources: dict[str, float]

    def offers(self, resources: Mapping[str, float]) -> bool:
        """Tell whether a task that needs them may run there, once others leave it enough."""
        return all(self.resources.get(name, 0) >= need for name, need in resources.items())


class Restrictions(Struct, frozen=True):
    """The request of a task, as its caller or ``dask.annotate`` said it.

    :param places: the addresses and hosts that it may run on; none: any.
    :param died: a worker has, to which it was given.
    """

    resources: dict[str, float]
    places: tuple[str, ...]
    died: bool


class Refusal(Struct, frozen=True):
    """A worker's account of why it does not run a task whose result was to stay there.

    :param bundle: what the workers know it by.
    """

    bundle: str
    worker: str
    report: Report


class Census(Struct, frozen=True):
    """:param workers: by their addresses.

    :param unrunnable: the tasks that wait as no worker is what they ask for, by their keys.
    :param refusals: of the workers that are there.
    """

    workers: dict[str, SeenWorker]
    unrunnable: dict[str, Restrictions]
    refusals: list[Refusal]


async def census(client: str, dask_scheduler: Scheduler) -> Census:
    """Look at a scheduler's workers, and at the tasks of a client."""
    _move_what_waits(client, dask_scheduler)
    now = time.time()
    return Census(
        {
            address: SeenWorker(one.nthreads, now - one.last_seen, dict(one.resources))
            for address, one in dask_scheduler.workers.items()
        },
        {
            str(task.key): Restrictions(
                dict(task.resource_restrictions or {}),
                tuple(sorted({*(task.worker_restrictions or ()), *(task.host_restrictions or ())})),
                task.suspicious > 0,
            )
            for task in dask_scheduler.unrunnable
            if task.worker_restrictions != {NOWHERE}
            and any(one.client_key == client for one in task.who_wants or ())
        },
        _refusals(dask_scheduler),
    )


def _move_what_waits(client: str, scheduler: Scheduler) -> None:
    """Have other workers run what one that is paused or retires has not begun, nor will for now.

    Its memory may stay full, and it may hand on its results to a worker that hangs. Dask itself
    takes back no task that names its workers.
    """
    again: dict[Any, Any] = {}
    for one in scheduler.workers.values():
        for task in () if one.status is Status.running else one.processing:
            able = scheduler.valid_workers(task)
            others = scheduler.running if able is None else scheduler.running & able
            if others and task not in one.executing and _is_wanted(task, client):
                again[task.key] = "released"  # and from there to where it may go
    scheduler.transitions(again, f"modelops-move-{time.time()}")


def _is_wanted(task: Any, client: str) -> bool:
    """Tell whether a client waits for a task, or for one that needs it."""
    met, left = {task}, [task]
    while left:
        one = left.pop()
        if any(wants.client_key == client for wants in one.who_wants or ()):
            return True
        left += (one.waiters or set()) - met
        met |= one.waiters or set()
    return False


def _refusals(scheduler: Scheduler) -> list[Refusal]:
    """Read them, one for each worker and bundle."""
    said = {event["refusal"] for _, event in scheduler.get_events(REFUSALS)}
    found = [msgspec.json.decode(one, type=Refusal) for one in said]
    there = {(one.worker, one.bundle): one for one in found if one.worker in scheduler.workers}
    return list(there.values())


async def held(workers: Collection[str], dask_scheduler: Scheduler) -> dict[str, str]:
    """Return which of these workers has each task or its result, by its key."""
    there = [one for one in map(dask_scheduler.workers.get, workers) if one is not None]
    return {
        str(task.key): one.address for one in there for task in (*one.processing, *one.has_what)
    }


async def place(
    keys: Collection[str], workers: Collection[str] | None, dask_scheduler: Scheduler
) -> dict[str, str]:
    """Let tasks run on these workers and no others; others that have some give them back.

    :param workers: their addresses; ``None``: any.
    :returns: the addresses of those, by the keys of the tasks.
    """
    taken: dict[str, str] = {}
    again: dict[Any, Any] = {}
    for key in keys:
        task = dask_scheduler.tasks.get(key)
        if task is None:
            continue
        task.worker_restrictions = None if workers is None else set(workers) or {NOWHERE}
        held = task.processing_on
        if held is not None and workers is not None and held.address not in workers:
            taken[key] = held.address
        if key in taken or task.state in ("no-worker", "queued"):
            again[key] = "released"  # and from there to where it may go
    dask_scheduler.transitions(again, f"modelops-place-{time.time()}")
    return taken


async def fail(keys: Collection[str], error: Any, dask_scheduler: Scheduler) -> None:
    """End tasks that wait for a worker, and with them those that need them.

    :param error: what their futures raise, pickled.
    """
    for key in keys:
        task = dask_scheduler.tasks.get(key)
        if task is not None and task.state in ("no-worker", "queued"):
            task.exception, task.exception_blame = error, task
            dask_scheduler.transitions({key: "erred"}, f"modelops-fail-{time.time()}")


class Owners(SchedulerPlugin):
    """The clients that the plugins of workers are kept for: each goes with the last of its own."""

    name = _OWNERS

    def __init__(self) -> None:
        self.of: defaultdict[str, set[str]] = defaultdict(set)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """A client has closed, was killed, or is connecting again: then it sends anew."""
        for plugin, clients in list(self.of.items()):
            if client in clients:
                # It asks each worker, and is not waited for here.
                scheduler.loop.add_callback(self.release, scheduler, plugin, client)

    async def release(self, scheduler: Scheduler, plugin: str, client: str) -> None:
        """Take a client's name away, and what nobody needs any more."""
        self.of[plugin].discard(client)
        if not self.of[plugin]:
            del self.of[plugin]
            if plugin in scheduler.worker_plugins:
                await scheduler.unregister_worker_plugin(None, plugin)


async def own(plugin: str, client: str, dask_scheduler: Scheduler) -> None:
    """Keep a plugin of the workers for a client, from before it is sent."""
    if client in dask_scheduler.clients:
        _owners(dask_scheduler).of[plugin].add(client)


async def disown(plugin: str, client: str, dask_scheduler: Scheduler) -> None:
    """A client needs it no more."""
    await _owners(dask_scheduler).release(dask_scheduler, plugin, client)


def _owners(scheduler: Scheduler) -> Owners:
    owners = scheduler.plugins.get(_OWNERS)
    if not isinstance(owners, Owners):
        owners = Owners()
        scheduler.add_plugin(owners)
    return owners
