"""Which clients the plugins of workers are kept for, on the scheduler: each goes with the last.

The functions run on the scheduler; Dask pickles them by their names.
"""

from collections import defaultdict

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin

_NAME = "modelops-bundle-owners"


class Owners(SchedulerPlugin):
    """Clients by the name of the worker plugin that is theirs."""

    name = _NAME

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
    owners = scheduler.plugins.get(_NAME)
    if not isinstance(owners, Owners):
        owners = Owners()
        scheduler.add_plugin(owners)
    return owners
