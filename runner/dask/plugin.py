"""What a worker of a Dask cluster has, so that tasks of bundles can run on it.

A plugin is pickled on the client and set up on each worker, also on those that join later. What
holds for a worker is read there: its settings, its cache, its interpreters.
"""

import asyncio
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from distributed import Worker, WorkerPlugin, get_worker

from runner.cache import cache_folder
from runner.dask.archive import Archive, unpack
from runner.dask.failures import error_of, report_of, unfit
from runner.dask.output_log import log
from runner.dask.settings import SECTION, WorkerSettings, read_settings
from runner.diagnosis.case import Finding
from runner.diagnosis.report import Hint, Report
from runner.environment.inventory import BUNDLES
from runner.events import EventHandler
from runner.result import Check, Result
from runner.runner import Runner
from runner.task import Task

T = TypeVar("T")

RUNNER = "modelops-runner"
BUNDLE = "modelops-bundle-"


class RunnerPlugin(WorkerPlugin):
    """One runner for each worker process, which ends with it.

    ``client.register_plugin(RunnerPlugin(isolation="warm"))`` is needed only to set something:
    :func:`runner.dask.map` and :func:`~runner.dask.submit` register one where none is.

    A worker whose settings are wrong says so in its log, and answers every task with a report.

    :param settings: as :class:`runner.dask.settings.WorkerSettings` has them; they go before what
        the worker's own configuration says.
    """

    name = RUNNER

    def __init__(self, **settings: Any) -> None:
        self._wanted = settings
        self.refusal: Report | None = None
        self.cache: Path | None = None
        self._running: dict[str, Future[Any]] = {}
        self._bundles: dict[str, Path] = {}
        self._holds = ExitStack()

    def __getstate__(self) -> dict[str, Any]:
        return self._wanted

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def setup(self, worker: Worker) -> None:
        self._lock = Lock()
        self._worker = worker
        try:
            settings = read_settings(self._wanted)
            self.cache = cache_folder() if settings.cache is None else Path(settings.cache)
            self.runner = _runner(settings, worker.state.nthreads)
            self._watch = asyncio.get_running_loop().create_task(self._end_with_the_loop())
        except (ValueError, OSError) as error:
            self.refusal = report_of(_wrong_settings(worker.address, error))
            log.error("this worker refuses tasks: %s", self.refusal.summary)

    def teardown(self, worker: Worker) -> None:
        """Not asynchronous: a worker that is told to end cancels what its event loop waits for."""
        if self.refusal is None:
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
        for future in list(self._running.values()):
            future.cancel()
        self.runner.close()
        self._holds.close()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        # Nobody waits for its result any more, and Dask itself cannot stop what runs.
        if (start, finish) == ("executing", "released") and (future := self._running.get(str(key))):
            future.cancel()

    def execute(self, key: str, bundle: Path, task: Task, on_event: EventHandler) -> Result:
        """Run a task, which ends when its future is cancelled or the worker closes.

        :raises RunnerError: it failed.
        :raises concurrent.futures.CancelledError: it was cancelled.
        """
        return self._wait(key, self.runner.submit(bundle, task, on_event=on_event))

    def prepare(self, key: str, bundle: Path) -> Check:
        """Build a bundle's environment and load it once; as :meth:`execute` otherwise."""
        return self._wait(key, self.runner.prepare(bundle))

    def _wait(self, key: str, future: Future[T]) -> T:
        self._running[key] = future
        try:
            return future.result()
        finally:
            del self._running[key]

    def place(self, archive: Archive) -> Path:
        """Where a bundle is on this machine, unpacked if need be.

        :raises RunnerError: it cannot be unpacked.
        """
        with self._lock:
            if (bundle := self._bundles.get(archive.digest)) is None:
                bundle = self._bundles[archive.digest] = self._unpack(archive)
            return bundle

    def _unpack(self, archive: Archive) -> Path:
        assert self.cache is not None
        folders = [
            self.cache / BUNDLES,
            # A cache that was prepared in an image may be read-only.
            Path(self._worker.local_directory) / "bundles",
        ]
        refused: dict[Path, OSError] = {}
        for folder in folders:
            try:
                return unpack(archive, folder, self._holds)
            except OSError as error:
                refused[folder] = error
            except ValueError as error:
                raise error_of(
                    unfit(f"the bundle {archive.name!r} did not reach this worker whole: {error}")
                ) from error
        first = refused[folders[0]]
        raise error_of(
            unfit(
                f"the bundle {archive.name!r} cannot be unpacked on {self._worker.address}:"
                f" {first.strerror or first}",
                "\n".join(f"{folder}: {error}" for folder, error in refused.items()),
                Hint(
                    title="give the worker a folder that it may write to",
                    command="export MODELOPS_CACHE_DIR=/a/folder",
                ),
            )
        ) from first


class BundlePlugin(WorkerPlugin):
    """A bundle, which the scheduler keeps and gives to each worker, also to those to come.

    Tasks then carry its digest only.
    """

    idempotent = True

    def __init__(self, archive: Archive) -> None:
        self.name = BUNDLE + archive.digest
        self.archive = archive


def this_plugin() -> RunnerPlugin:
    """The plugin of the worker that this runs on.

    :raises RunnerError: there is none.
    """
    worker = get_worker()
    plugin = worker.plugins.get(RUNNER)
    if not isinstance(plugin, RunnerPlugin):
        raise error_of(unfit(f"the worker {worker.address} has no runner: its plugin is not there"))
    return plugin


def this_bundle(digest: str) -> Archive:
    """A bundle that has been sent to the worker that this runs on.

    :raises RunnerError: it has not.
    """
    worker = get_worker()
    plugin = worker.plugins.get(BUNDLE + digest)
    if not isinstance(plugin, BundlePlugin):
        raise error_of(unfit(f"the worker {worker.address} was not sent the bundle {digest}"))
    return plugin.archive


def _wrong_settings(address: str, error: Exception) -> Finding:
    return unfit(
        f"the settings of the worker {address} are wrong: {error}",
        f"They are under `{SECTION}` in Dask's configuration on the worker (files, or variables"
        f" such as DASK_MODELOPS_RUNNER__TIMEOUT), or were given to RunnerPlugin.",
        Hint(title="correct the setting, and start the worker again"),
    )


def _runner(settings: WorkerSettings, threads: int) -> Runner:
    return Runner(
        python=settings.python,
        isolation=settings.isolation,
        children=settings.children or threads,
        fresh_venv=settings.fresh_venv,
        offline=settings.offline,
        lock=settings.lock,
        startup_timeout=settings.startup_timeout,
        timeout=settings.timeout,
        memory_limit=settings.memory_limit,
        max_tasks=settings.max_tasks,
        max_rss=settings.max_rss,
        cache=settings.cache,
        record=settings.record,
    )
