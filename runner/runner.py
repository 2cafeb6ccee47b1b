"""The façade for synchronous code: ``Runner``, from any thread."""

import os
import threading
import weakref
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from runner.async_runner import AsyncRunner, BundlePath, Tasks
from runner.bundle.folder import bundle_path
from runner.diagnosis.errors import RunnerError
from runner.events import EventHandler
from runner.execution.bounded_map import Calls, Outcome, map_in_threads, unless_raised
from runner.execution.call import Call
from runner.execution.direct_calls import DirectCalls
from runner.execution.loop_thread import LoopThread
from runner.execution.stats import Stats
from runner.result import Check, Result
from runner.settings import Options, Settings
from runner.task import Task, as_given, new_task

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Runner:
    """Runs tasks of bundles from synchronous code; threads may share it.

    An event loop in a thread of its own starts, watches and ends the children, from the first call
    until :meth:`close`. A call that finds a child ready talks to it by itself.

    :param python: which interpreter: ``"worker"`` for the very minor version that this process
        runs, a version, a PEP 440 specifier or a path; by default what the bundle accepts decides.
    :param isolation: what a task shares with those before it: ``"fork"``, what the bundle's import
        has left, and nothing else; ``"fresh"``, nothing: each has a new interpreter; ``"warm"``,
        the process. Where a fork would be unsafe, a task is ``fresh``, and its result says why.
    :param children: how many children there may be at a time, of all bundles together; by default
        one for each processor that this process may use.
    :param threads: how many threads numerical libraries are told to start in a child, which
        results may depend on; by default what its bundle says, else ``OMP_NUM_THREADS``, else as
        many as its share of the processors.
    :param fresh_venv: build an environment for each run and remove it after.
    :param offline: never use the network to build an environment.
    :param lock: a file that ``check --lock-to`` wrote: the versions to install, whatever else the
        bundle's requirements would lead to today.
    :param ignore_lock: take no notice of a bundle's ``uv.lock``: what its ``pyproject.toml`` asks
        for is installed, in the newest versions that fit.
    :param startup_timeout: seconds until a child must have loaded the bundle.
    :param build_timeout: seconds that making an environment may take, with the wait for another
        process that makes it; ``None``: no limit.
    :param timeout: seconds that a task may take; by default what its bundle says, else no limit.
    :param memory_limit: bytes that a child may hold, with all that it starts; by default what its
        bundle says, else no limit.
    :param max_tasks: after how many tasks a child is replaced; by default never.
    :param max_rss: a child is replaced whose resident memory is more bytes than these after a task;
        by default never.
    :param env: variables that children get besides those that they get of this process's anyway,
        with their values: ``{"BETA": "0.3"}``. ``None`` stands for this process's own value; then
        the name may be a pattern (``"MYMODEL_*"``), which passes nothing that says it is secret.
    :param cache: the folder where environments are kept; by default ``MODELOPS_CACHE_DIR``, else
        the user's cache folder.
    :param record: a folder, made if need be, in which what came in from outside is kept of each run
        that fails: the first in ``recording.jsonl``, others in ``2/recording.jsonl`` and so on.
        Each run has a child of its own then.
    :param on_event: called with every event of every run, from the event loop's thread or the one
        that calls: it must not block.
    :raises ValueError: a number is out of its range, or a variable is not set.

    In a process that is forked from this one, it has children of its own. Pickled, it is its
    settings: whichever process unpickles it gets the one runner that it has for these, which is
    closed when that process exits.
    """

    def __init__(self, **options: "Unpack[Options]") -> None:
        self._set_up(AsyncRunner(**options))

    def _set_up(self, inner: AsyncRunner) -> None:
        self._paths: dict[str, str] = {}
        self._begin(inner)
        _runners.add(self)

    def __reduce__(self) -> tuple[object, ...]:
        """:raises TypeError: it has a handler of events, which belongs to this process."""
        if self._inner._on_event is not None:
            raise TypeError(
                "a Runner with on_event= cannot be pickled: its handler belongs to this process."
                " Make it without one, and pass the handler where a task runs:"
                " runner.execute(..., on_event=...)"
            )
        return _of_this_process, (self._inner._settings, self._inner._record)

    def _begin(self, inner: AsyncRunner) -> None:
        self._inner = inner
        self._loop = LoopThread(inner)
        self._direct: DirectCalls | None = None
        # Also at the interpreter's exit: there the garbage collector would close the portal, whose
        # daemon thread no longer runs by then, and wait for it for ever.
        self._close_loop = weakref.finalize(self, _close_collected, self._loop.close)

    def _begin_in_fork(self) -> None:
        """Leave the children to the process that this one was forked from, and have others."""
        self._close_loop.detach()
        # What would end them, with a thread that is not in this process, must not be collected.
        _left_behind.append((self._inner, self._loop))
        closed = self._loop.closed
        self._begin(self._inner.anew())
        if closed:
            self.close()

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        record: str | PathLike[str] | None = None,
        on_event: EventHandler | None = None,
    ) -> "Runner":
        """As :meth:`AsyncRunner.of`."""
        runner = cls.__new__(cls)
        runner._set_up(AsyncRunner.of(settings, record=record, on_event=on_event))
        return runner

    def __enter__(self) -> "Runner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None or issubclass(kind, Exception):
            self.close()
        elif self._close_loop.detach() is not None:
            # An interrupt, or the program's exit: what is under way may take for ever.
            self._loop.close(kind, error, traceback)

    def execute(
        self,
        bundle: BundlePath,
        entrypoint: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
        function: str | None = None,
        timeout: float | None = None,
        on_event: EventHandler | None = None,
    ) -> Result:
        """As :meth:`AsyncRunner.execute`. KeyboardInterrupt ends the task before it goes on."""
        task = new_task(entrypoint, params, seed, inputs, function)
        return self._execute(bundle, self._inner._call_of(task, timeout, on_event))

    def submit(
        self,
        bundle: BundlePath,
        task: Task,
        *,
        timeout: float | None = None,
        on_event: EventHandler | None = None,
    ) -> Future[Result]:
        """Start one task of a bundle, and return at once.

        :param timeout: seconds that this task may take, in place of the runner's.
        :param on_event: called with this run's events, in place of the runner's own.
        :returns: what its result comes in; its ``cancel()`` ends the task.
        :raises RuntimeError: the runner is closed.
        :raises TypeError: the task is not a :class:`Task`.
        :raises ValueError: the timeout is not more than 0, or not finite.
        """
        call = self._inner._call_of(as_given(task), timeout, on_event)
        self._loop.start()
        return self._loop.start_soon(partial(self._inner._execute, bundle, call))

    def prepare(self, bundle: BundlePath, *, on_event: EventHandler | None = None) -> Future[Check]:
        """Start to build a bundle's environment and to load it once, and return at once.

        :param on_event: called with this run's events, in place of the runner's own.
        :returns: what :meth:`check` gives; its ``cancel()`` ends the build.
        :raises RuntimeError: the runner is closed.
        """
        self._loop.start()
        return self._loop.start_soon(partial(self._inner.prepare, bundle, on_event=on_event))

    @overload
    def map(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: Literal[False] = False
    ) -> Generator[Result, None, None]: ...

    @overload
    def map(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool
    ) -> Generator[Outcome, None, None]: ...

    def map(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool = False
    ) -> Generator[Outcome, None, None]:
        """Run many tasks of a bundle, as many at a time as there are children.

        Tasks are taken from the iterator as results are read: a bounded number of either is held.
        Leaving the iterator early ends the tasks under way; what goes wrong at that is in the log,
        as nobody reads their results any more.

        :param return_exceptions: give the error in place of the result where a task fails; else it
            is raised, which ends the iteration.
        :returns: the results, in the tasks' order.
        :raises RunnerError: a task failed.
        :raises RuntimeError: the runner is closed.
        """
        with closing(self._outcomes(bundle, tasks, ordered=True)) as outcomes:
            for _, outcome in outcomes:
                yield unless_raised(outcome, return_exceptions)

    @overload
    def map_unordered(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: Literal[False] = False
    ) -> Generator[tuple[int, Result], None, None]: ...

    @overload
    def map_unordered(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool
    ) -> Generator[tuple[int, Outcome], None, None]: ...

    def map_unordered(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool = False
    ) -> Generator[tuple[int, Outcome], None, None]:
        """As :meth:`map`, each as soon as it is there, with its task's number, from 0 on."""
        with closing(self._outcomes(bundle, tasks, ordered=False)) as outcomes:
            for index, outcome in outcomes:
                yield index, unless_raised(outcome, return_exceptions)

    def check(self, bundle: BundlePath, *, build: bool = False) -> Check:
        """As :meth:`AsyncRunner.check`."""
        self._loop.start()
        return self._loop.call(partial(self._inner.check, bundle, build=build))

    def stats(self) -> Stats:
        """As :meth:`AsyncRunner.stats`."""
        return self._inner.stats()

    def close(self) -> None:
        """Wait for the calls under way, then end every child. Calling it again does nothing."""
        if self._close_loop.detach() is not None:
            self._loop.close()

    def _execute(self, bundle: BundlePath, call: Call, calls: Calls | None = None) -> Result:
        """:param calls: may stop it."""
        if calls is not None:
            calls.check()
        if self._direct is not None and not self._loop.closed:
            tally = self._inner._tally
            try:
                result = self._direct.execute(self._path(bundle), call, calls)
            except RunnerError as error:
                tally.failed(error.report, tasks=1)
                raise
            if result is not None:
                tally.done(result)
                return result
        self._loop.start()
        if self._direct is None:
            inner = self._inner
            self._direct = DirectCalls(inner._pool, inner._new_case, self._loop)
        return self._loop.call(partial(self._inner._execute, bundle, call), calls)

    def _path(self, bundle: BundlePath) -> str:
        """Remembered where it is absolute: making a path takes longer than finding a child."""
        path = self._paths.get(bundle) if isinstance(bundle, str) else None
        if path is None:
            given = bundle_path(bundle)
            path = str(given.absolute())
            if isinstance(bundle, str) and given.is_absolute():
                self._paths[bundle] = path
        return path

    def _outcomes(
        self, bundle: BundlePath, tasks: Tasks, *, ordered: bool, calls: Calls | None = None
    ) -> Generator[tuple[int, Outcome], None, None]:
        execute = partial(self._execute, bundle)
        children = self._inner._children
        return map_in_threads(execute, tasks, children, ordered=ordered, calls=calls)


def _close_collected(close: Callable[[], None]) -> None:
    """Close a runner that nobody has closed.

    In a thread of its own: a collection comes in any thread in the midst of anything, in another
    runner's event loop while it holds a lock, and the close waits.
    """
    if threading.main_thread().is_alive():
        threading.Thread(target=close, name="modelops-runner close").start()
    else:  # at the interpreter's exit, where no thread can be started
        close()


_runners: "weakref.WeakSet[Runner]" = weakref.WeakSet()
_left_behind: list[object] = []


class _Unpickled:
    """The runners of this process that others were unpickled to, one for each set of settings."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runners: list[tuple[Settings, Path | None, Runner]] = []
        self._closed_in: int | None = None

    def get(self, settings: Settings, record: Path | None) -> Runner:
        """:raises ValueError: a variable that it is to hand on is not set in this process."""
        with self._lock:
            self._runners = [one for one in self._runners if not one[2]._loop.closed]
            for *known, runner in self._runners:
                if known == [settings, record]:
                    return runner
            self._close_at_exit()
            runner = Runner.__new__(Runner)
            runner._set_up(AsyncRunner.of(settings, record=record))
            self._runners.append((settings, record, runner))
            return runner

    def _close_at_exit(self) -> None:
        # Takes milliseconds to import, which those that pickle no runner need not wait for.
        from multiprocessing.util import Finalize

        # A process that multiprocessing has forked ends without Python's own exit handlers.
        if self._closed_in != os.getpid():
            self._closed_in = os.getpid()
            Finalize(None, self._close, exitpriority=0)

    def _close(self) -> None:
        for _, _, runner in self._runners:
            runner.close()

    def begin_in_fork(self) -> None:
        """Another thread may have held the lock when this process was forked."""
        self._lock = threading.Lock()


_unpickled = _Unpickled()


def _of_this_process(settings: Settings, record: Path | None) -> Runner:
    """Return this process's runner of these settings, for one that is unpickled."""
    return _unpickled.get(settings, record)


def _begin_in_fork() -> None:
    for runner in list(_runners):
        runner._begin_in_fork()
    _unpickled.begin_in_fork()


os.register_at_fork(after_in_child=_begin_in_fork)
