"""The scheduler's account of its workers, and of the tasks that none of them may run.

The function runs on the scheduler; Dask pickles it by its name.
"""

import time
from collections.abc import Mapping

from distributed import Scheduler
from msgspec import Struct


class Seen(Struct, frozen=True):
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


class Wish(Struct, frozen=True):
    """The request of a task, as its caller or ``dask.annotate`` said it.

    :param places: the addresses and hosts that it may run on; none: any.
    """

    resources: dict[str, float]
    places: tuple[str, ...]


class Census(Struct, frozen=True):
    """:param workers: by their addresses.

    :param unrunnable: the tasks that wait as no worker is what they ask for, by their keys.
    """

    workers: dict[str, Seen]
    unrunnable: dict[str, Wish]


async def census(client: str, dask_scheduler: Scheduler) -> Census:
    """Look at a scheduler's workers, and at the tasks of a client."""
    now = time.time()
    return Census(
        {
            address: Seen(one.nthreads, now - one.last_seen, dict(one.resources))
            for address, one in dask_scheduler.workers.items()
        },
        {
            str(task.key): Wish(
                dict(task.resource_restrictions or {}),
                tuple(sorted({*(task.worker_restrictions or ()), *(task.host_restrictions or ())})),
            )
            for task in dask_scheduler.unrunnable
            if any(one.client_key == client for one in task.who_wants or ())
        },
    )
