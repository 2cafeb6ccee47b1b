"""What runs tasks in a worker process: its runner, and the calls that Dask's threads make."""

import asyncio
import errno
import os
from pathlib import Path

import msgspec
from distributed import Worker

from runner.dask.worker.bundles import bundles_of
from runner.dask.worker.calls import Calls
from runner.dask.worker.worker_settings import WorkerSettings
from runner.environment.cache_folder import cache_folder
from runner.events import EventHandler
from runner.result import Check, Result
from runner.runner import Runner
from runner.task import Task


class Host:
    """Of one worker. To be made on its event loop, with which it ends.

    :raises ValueError: a setting is wrong.
    :raises OSError: a folder or file that a setting names cannot be used.
    """

    def __init__(self, worker: Worker, settings: WorkerSettings) -> None:
        self.cache = cache_folder() if settings.cache is None else Path(settings.cache).absolute()
        _probe(settings, self.cache)
        self._runner = _runner(settings, worker.state.nthreads)
        self._bundles = bundles_of(worker)
        self.calls = Calls()
        self._watch = asyncio.get_running_loop().create_task(self._end_with_the_loop())

    def close(self) -> None:
        """Not asynchronous: a worker that is told to end cancels what its event loop waits for."""
        self._watch.cancel()
        self._end()

    async def _end_with_the_loop(self) -> None:
        # A worker without a nanny that gets SIGTERM closes nothing: its loop cancels all there is,
        # and may wait for ever for a scheduler that ends at the same time.
        try:
            await asyncio.Event().wait()
        finally:
            self._end()

    def _end(self) -> None:
        """End every child. Again, it does nothing."""
        self.calls.close()
        self._runner.close()

    def execute(self, key: str, bundle: str, task: Task, on_event: EventHandler) -> Result:
        """Run a task, which ends when Dask lets go of it or the worker closes.

        :param key: the task's, in Dask.
        :param bundle: the key of one that the worker was sent.
        :raises RunnerError: it failed.
        :raises concurrent.futures.CancelledError: it was ended.
        """
        place = self._bundles.place(bundle, self.cache)
        return self.calls.wait(key, lambda: self._runner.submit(place, task, on_event=on_event))

    def prepare(self, key: str, bundle: str, on_event: EventHandler) -> Check:
        """Build a bundle's environment and load it once; as :meth:`execute` otherwise."""
        place = self._bundles.place(bundle, self.cache)
        return self.calls.wait(key, lambda: self._runner.prepare(place, on_event=on_event))


def _probe(settings: WorkerSettings, cache: Path) -> None:
    """Find out now what each task would fail of.

    A cache may be read-only: an image's, whose environments are built.

    :raises OSError: a folder cannot be made, or a file cannot be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if settings.record is not None:
        Path(settings.record).mkdir(parents=True, exist_ok=True)
        if not os.access(settings.record, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it may not be written to", settings.record)
    if settings.lock is not None:
        with Path(settings.lock).open("rb"):
            pass


def _runner(settings: WorkerSettings, threads: int) -> Runner:
    given = {**msgspec.structs.asdict(settings), "children": settings.children or threads}
    return Runner(**given)
