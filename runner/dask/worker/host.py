"""Runs tasks in a worker process: its runners, and the calls that Dask's threads make."""

import asyncio
import errno
import hashlib
import os
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from distributed import Worker

from runner.dask.study_environment import Made, Wanted
from runner.dask.worker import metrics
from runner.dask.worker.bundles import bundles_of
from runner.dask.worker.settings import WorkerSettings
from runner.diagnosis.case import Failure
from runner.environment.cache_folder import cache_folder
from runner.events import EventHandler, new_run_id
from runner.execution.bounded_map import Calls as Stops
from runner.execution.bounded_map import Stopped
from runner.execution.call import Call
from runner.execution.stats import Stats
from runner.result import Result
from runner.runner import Runner
from runner.settings import Settings
from runner.study.environment_account import Account, Versions, account_of, versions_of
from runner.task import Task

T = TypeVar("T")


class Host:
    """The runners of one worker. It is made on the worker's event loop, and ends with it.

    :raises ValueError: a setting is wrong.
    :raises OSError: a folder or file that a setting names cannot be used.
    """

    def __init__(self, worker: Worker, settings: WorkerSettings) -> None:
        try:
            self.cache = settings.cache or cache_folder()
        except Failure as failure:
            raise ValueError(f"{failure.finding.summary}; set MODELOPS_CACHE_DIR") from failure
        _probe(settings, self.cache)
        self._settings, self._threads = settings, worker.state.nthreads
        self._lock = threading.Lock()
        self._runners: dict[Wanted, Runner] = {Wanted(): self._new_runner(Wanted())}
        self._bundles = bundles_of(worker)
        self._run: set[str] = set()
        self.calls = Calls()
        metrics.show(self)
        self._watch = asyncio.get_running_loop().create_task(self._end_with_the_loop())

    @property
    def insists(self) -> bool:
        """The worker's own settings name a Python: a study's does not count then."""
        return self._settings.python is not None

    @property
    def settings_digest(self) -> str:
        """Return what is the same where all settings are; it tells none of them."""
        return hashlib.sha256(msgspec.json.encode(self._settings, enc_hook=str)).hexdigest()

    @property
    def runner(self) -> Runner:
        """Return the one that runs as the worker's own settings say."""
        return self._runner(Wanted())

    def stats(self) -> list[Stats]:
        """Count what each of its runners has done."""
        with self._lock:
            return [runner.stats() for runner in self._runners.values()]

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables that the worker's settings give to children."""
        env = self._settings.env
        return {name: value for name, value in env.items() if value is not None}

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
        metrics.hide(self)
        self.calls.close()
        with self._lock:
            for runner in self._runners.values():
                runner.close()

    def execute(
        self,
        key: str,
        bundle: str,
        task: Task,
        on_event: EventHandler,
        wanted: Wanted,
        batch_timeout: float | None,
    ) -> Result:
        """Run a task, which ends when Dask lets go of it or the worker closes.

        :param key: the task's, in Dask.
        :param bundle: the key of one that the worker was sent.
        :param wanted: what the study's tasks run with; where this worker's own settings say
            something else, they stand.
        :param batch_timeout: seconds after which it is ended though it may take longer.
        :raises RunnerError: it failed.
        :raises concurrent.futures.CancelledError: it was ended.
        """
        place = self._bundles.place(bundle, self.cache)
        runner = self._runner(wanted)
        call = Call(task, batch_timeout=batch_timeout, on_event=on_event, run_id=new_run_id())
        result = self.calls.run(key, lambda stops: runner._execute(place, call, stops))
        self._run.add(bundle)
        return result

    def has_run(self, bundle: str) -> bool:
        """Tell whether a task of a bundle has given a result here."""
        return bundle in self._run

    def prepare(self, key: str, bundle: str, wanted: Wanted, on_event: EventHandler) -> Made | None:
        """The environment that a study's tasks run in, built and loaded once; as :meth:`execute`.

        :returns: ``None``: it is not known what is in it.
        """
        prepare = partial(self._runner(wanted)._inner.prepare, on_event=on_event)
        check = self._call(key, bundle, wanted, prepare)
        return Made.by(check.child, check.threads)

    def account(self, key: str, bundle: str, wanted: Wanted, _: EventHandler) -> Account:
        """The conditions that a study's tasks run on; as :meth:`execute` otherwise."""
        settings = Settings.of(self._options(wanted))
        account = partial(account_of, settings=settings, own=self._settings)
        return self._call(key, bundle, wanted, account)

    def versions(self, key: str, bundle: str, wanted: Wanted, _: EventHandler) -> Versions:
        """The lock of the versions that a study's tasks have; as :meth:`execute` otherwise."""
        settings = Settings.of(self._options(wanted))
        return self._call(key, bundle, wanted, partial(versions_of, settings=settings))

    def _call(
        self, key: str, bundle: str, wanted: Wanted, function: Callable[[Path], Awaitable[T]]
    ) -> T:
        place = self._bundles.place(bundle, self.cache)
        loop = self._runner(wanted)._loop
        loop.start()
        return self.calls.run(key, partial(loop.call, partial(function, place)))

    def _runner(self, wanted: Wanted) -> Runner:
        with self._lock:
            if wanted not in self._runners:
                self._runners[wanted] = self._new_runner(wanted)
            return self._runners[wanted]

    def _new_runner(self, wanted: Wanted) -> Runner:
        return Runner(**self._options(wanted))

    def _options(self, wanted: Wanted) -> Any:
        settings = self._settings
        given = msgspec.structs.asdict(settings)
        given["children"] = settings.children or self._threads
        given["python"] = settings.python or wanted.python
        given["threads"] = settings.threads or wanted.threads
        return given


def _probe(settings: WorkerSettings, cache: Path) -> None:
    """Find out now what each task would fail of.

    A cache may be read-only: an image's, whose environments are built.

    :raises OSError: a folder cannot be made, or a file cannot be read.
    """
    cache.mkdir(parents=True, exist_ok=True)
    if settings.record is not None:
        settings.record.mkdir(parents=True, exist_ok=True)
        if not os.access(settings.record, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it may not be written to", str(settings.record))
    if settings.lock is not None:
        with settings.lock.open("rb"):
            pass


class Calls:
    """The calls that a worker's threads have under way, by the key of the task that each is for.

    Dask may let go of a task before the thread that it was given to has begun with it: that is
    kept, under the lock that a call begins with, until Dask is done with the task.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: dict[str, Stops] = {}
        self._unwanted: set[str] = set()
        self._closed = False

    def run(self, key: str, call: Callable[[Stops], T]) -> T:
        """Return what a call gives, which is stopped by what it is handed.

        :raises concurrent.futures.CancelledError: it was, or could not begin any more.
        """
        with self._lock:
            if self._closed or key in self._unwanted:
                raise CancelledError
            stops = self._under_way[key] = Stops()
        try:
            return call(stops)
        except Stopped:
            raise CancelledError from None
        except RuntimeError:
            if self._closed:  # the runner was, before it came to this call
                raise CancelledError from None
            raise
        finally:
            with self._lock:
                del self._under_way[key]

    def cancel(self, key: str) -> None:
        """Nobody wants what this task gives, whether or not its call has begun."""
        with self._lock:
            self._unwanted.add(key)
            stops = self._under_way.get(key)
        if stops is not None:
            stops.stop()

    def forget(self, key: str) -> None:
        """The task has ended, or is wanted again."""
        with self._lock:
            self._unwanted.discard(key)

    def close(self) -> None:
        """End every call, and let none begin."""
        with self._lock:
            self._closed = True
            left = list(self._under_way.values())
        for stops in left:
            stops.stop()
