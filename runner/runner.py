"""The façade: ``AsyncRunner`` on asyncio or trio, ``Runner`` from any thread."""

import logging
import math
import threading
import time
import weakref
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AsyncExitStack, ExitStack, aclosing, closing, contextmanager, nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal, start_blocking_portal

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError
from runner.events import EventHandler, Phase
from runner.flow import check_bundle, execute_task, reported
from runner.pool import Child, Pool
from runner.processors import usable_processors
from runner.protocol import Executed, Response
from runner.recording import Recorder, record_in_free
from runner.result import Check, Result
from runner.settings import STARTUP_TIMEOUT, Isolation, Settings
from runner.task import Task, check_task
from runner.window import Outcome, Window

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# A cancelled call ends its child, at worst by SIGKILL; this is how long its caller waits for that.
CANCEL_SECONDS = 10.0

# How many tasks are in hand for each child: what it does next is ready when it is.
WINDOW = 2


class AsyncRunner:
    """Runs tasks of bundles, on asyncio or trio. Its parameters are those of :class:`Runner`.

    Any number of calls may be under way at once. A cancelled call ends its task, and whatever it
    was building is gone.
    """

    def __init__(
        self,
        *,
        python: str | None = None,
        isolation: Isolation | str = Isolation.FORK,
        children: int | None = None,
        fresh_venv: bool = False,
        offline: bool = False,
        lock: str | PathLike[str] | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
        timeout: float | None = None,
        memory_limit: int | None = None,
        max_tasks: int | None = None,
        max_rss: int | None = None,
        cache: str | PathLike[str] | None = None,
        record: str | PathLike[str] | None = None,
        on_event: EventHandler | None = None,
    ) -> None:
        self._settings = Settings(
            python=python,
            isolation=Isolation(isolation),
            children=children,
            fresh_venv=fresh_venv,
            offline=offline,
            lock=None if lock is None else Path(lock).absolute(),
            startup_timeout=startup_timeout,
            timeout=timeout,
            memory_limit=memory_limit,
            max_tasks=max_tasks,
            max_rss=max_rss,
            # Absolute: the child runs in the bundle's folder.
            cache=None if cache is None else Path(cache).absolute(),
        )
        self._children = children or usable_processors()
        self._record = None if record is None else Path(record).absolute()
        if self._record is not None:
            self._record.mkdir(parents=True, exist_ok=True)
        self._on_event = on_event
        self._stack = AsyncExitStack()
        self._open = False
        self._tasks: TaskGroup
        self._pool: Pool

    async def __aenter__(self) -> "AsyncRunner":
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._pool = Pool(self._settings, self._tasks, self._children)
        self._tasks.start_soon(self._pool.reap)
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        if error is None:
            await self._pool.close()
        else:
            self._tasks.cancel_scope.cancel()
        # Not told of the error, which the task group would put into an exception group.
        await self._stack.aclose()

    async def execute(
        self,
        bundle: str | PathLike[str],
        entrypoint: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
    ) -> Result:
        """Run one task of a bundle.

        :param bundle: the bundle's folder.
        :param entrypoint: handed to the wire function as it is; by default the bundle's own
            default, else ``"default"``.
        :param params: what JSON can say.
        :param seed: 0 .. 2**64-1.
        :param inputs: data beside the parameters, as :class:`Task` has it.
        :returns: the outputs, name to bytes, and how they came about.
        :raises RunnerError: it failed; the error's report says why.
        :raises RuntimeError: the runner is closed.
        """
        return await self._execute(bundle, Task(entrypoint, params or {}, seed, inputs or {}))

    async def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_failures: bool = False,
    ) -> AsyncGenerator[Result | RunnerError, None]:
        """As :meth:`Runner.map`. Close it (``aclose()``) where it is not read to its end."""
        outcomes = self._outcomes(bundle, tasks, ordered=True)
        async with aclosing(outcomes):
            async for _, outcome in outcomes:
                yield _unless_raised(outcome, return_failures)

    async def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_failures: bool = False,
    ) -> AsyncGenerator[tuple[int, Result | RunnerError], None]:
        """As :meth:`Runner.map_unordered`. Close it where it is not read to its end."""
        outcomes = self._outcomes(bundle, tasks, ordered=False)
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield index, _unless_raised(outcome, return_failures)

    async def check(self, bundle: str | PathLike[str], *, build: bool = False) -> Check:
        """Say what can be known of a bundle without running a task.

        :param build: also build its environment and let a child load it.
        :raises RunnerError: something is wrong with it.
        :raises RuntimeError: the runner is closed.
        """
        self._check_open()
        words = ["check", str(bundle), *(["--build"] if build else [])]
        with self._recorded(words, Path(bundle)) as case:
            return await check_bundle(case, self._settings, Path(bundle), build=build)

    async def _execute(self, bundle: str | PathLike[str], task: Task) -> Result:
        self._check_open()
        if self._alone:
            return await self._execute_alone(bundle, task)
        began = time.monotonic()
        case = Case(self._on_event)
        with reported(case):
            check_task(task)
            child = await self._pool.lend(case, Path(bundle).absolute())
            try:
                with case.journal.phase(Phase.EXECUTE):
                    done = await child.session.execute(child.named(task), child.time_limit)
            except Failure as failure:
                # For the next task; whether this one may run twice is not known.
                await self._pool.discard_damaged(case, child.group, failure)
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    await self._pool.take_back(child)
            return child.result(case, began, *done)

    async def _go_on(
        self, case: Case, child: Child, response: Response | None, spent: float
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """What a thread does not do by itself: all but a good answer."""
        try:
            return await child.session.go_on(response, child.time_limit, spent)
        except Failure as failure:
            await self._pool.discard_damaged(case, child.group, failure)
            raise

    async def _execute_alone(self, bundle: str | PathLike[str], task: Task) -> Result:
        words = ["exec", str(bundle), *([task.entrypoint] if task.entrypoint else [])]
        with self._recorded([*words, f"--seed={task.seed}"], Path(bundle)) as case:
            return await execute_task(case, self._settings, Path(bundle), lambda: task)

    async def _outcomes(
        self, bundle: str | PathLike[str], tasks: Iterable[Task], *, ordered: bool
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """Keeps the children busy. Its tasks are the runner's: a generator must not own any."""
        window = Window(tasks, self._children * WINDOW, ordered=ordered)
        send, receive = anyio.create_memory_object_stream[tuple[int, Outcome]](math.inf)
        running: dict[int, tuple[anyio.CancelScope, anyio.Event]] = {}

        async def run(index: int, task: Task) -> None:
            scope, ended = running[index]
            try:
                with scope:
                    send.send_nowait((index, await _outcome(self._execute(bundle, task))))
            finally:
                del running[index]
                ended.set()

        try:
            while True:
                for index, task in window.to_start():
                    running[index] = anyio.CancelScope(), anyio.Event()
                    self._tasks.start_soon(run, index, task)
                if window.empty:
                    return
                while (outcome := window.next_outcome()) is None:
                    window.finish(*await receive.receive())
                yield outcome
        finally:
            with anyio.CancelScope(shield=True):
                left = list(running.values())
                for scope, _ in left:
                    scope.cancel()
                for _, ended in left:
                    await ended.wait()
                send.close()
                receive.close()

    @contextmanager
    def _recorded(self, words: list[str], bundle: Path) -> Iterator[Case]:
        """The case of one run, whose failure is raised with its report and recorded.

        :param words: what is asked for, as the command's arguments.
        """
        recorder = None if self._record is None else self._recorder(self._record, words, bundle)
        case = Case(self._on_event, recorder)
        try:
            with reported(case):
                yield case
        finally:
            if recorder is not None and recorder.failed:
                recorder.close()
                case.journal.note(f"recorded in {recorder.path}")
            elif recorder is not None:
                recorder.discard()

    def _recorder(self, folder: Path, words: list[str], bundle: Path) -> Recorder | None:
        if folder.resolve().is_relative_to(bundle.resolve()):
            _log.warning("nothing is recorded in %s: it lies in the bundle", folder)
            return None
        try:
            return record_in_free(folder, ["modelops-runner", *words])
        except OSError as error:
            _log.warning("nothing is recorded in %s: %s", folder, error.strerror)
            return None

    @property
    def _alone(self) -> bool:
        """Whether each run goes the whole way: a recording has all that led to what happened."""
        return self._record is not None or self._settings.fresh_venv

    def _check_open(self) -> None:
        if not self._open:
            raise RuntimeError("the runner is closed")


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
        one for each processor that this process may use. They share the processors: numerical
        libraries are told to start as many threads as one's share has.
    :param fresh_venv: build an environment for each run and remove it after.
    :param offline: never use the network to build an environment.
    :param lock: a file that ``check --lock-to`` wrote: the versions to install, whatever else the
        bundle's requirements would lead to today.
    :param startup_timeout: seconds until a child must have loaded the bundle.
    :param timeout: seconds that a task may take; by default what its bundle says, else no limit.
    :param memory_limit: bytes that a child may hold, with all that it starts; by default what its
        bundle says, else no limit.
    :param max_tasks: after how many tasks a child is replaced; by default never.
    :param max_rss: a child is replaced whose resident memory is more bytes than these after a task;
        by default never.
    :param cache: the folder where environments are kept; by default ``MODELOPS_CACHE_DIR``, else
        the user's cache folder.
    :param record: a folder, made if need be, in which what came in from outside is kept of each run
        that fails: the first in ``recording.jsonl``, others in ``2/recording.jsonl`` and so on.
        Each run has a child of its own then.
    :param on_event: called with every event of every run, from the event loop's thread or the one
        that calls: it must not block.
    """

    def __init__(
        self,
        *,
        python: str | None = None,
        isolation: Isolation | str = Isolation.FORK,
        children: int | None = None,
        fresh_venv: bool = False,
        offline: bool = False,
        lock: str | PathLike[str] | None = None,
        startup_timeout: float = STARTUP_TIMEOUT,
        timeout: float | None = None,
        memory_limit: int | None = None,
        max_tasks: int | None = None,
        max_rss: int | None = None,
        cache: str | PathLike[str] | None = None,
        record: str | PathLike[str] | None = None,
        on_event: EventHandler | None = None,
    ) -> None:
        self._inner = AsyncRunner(
            python=python,
            isolation=isolation,
            children=children,
            fresh_venv=fresh_venv,
            offline=offline,
            lock=lock,
            startup_timeout=startup_timeout,
            timeout=timeout,
            memory_limit=memory_limit,
            max_tasks=max_tasks,
            max_rss=max_rss,
            cache=cache,
            record=record,
            on_event=on_event,
        )
        self._paths: dict[str, Path] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        # Also at the interpreter's exit: there the garbage collector would close the portal, whose
        # daemon thread no longer runs by then, and wait for it for ever.
        self._close_portal = weakref.finalize(self, self._stack.close)

    def __enter__(self) -> "Runner":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def execute(
        self,
        bundle: str | PathLike[str],
        entrypoint: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        inputs: Mapping[str, Any] | None = None,
    ) -> Result:
        """As :meth:`AsyncRunner.execute`. KeyboardInterrupt ends the task before it goes on."""
        return self._execute(bundle, Task(entrypoint, params or {}, seed, inputs or {}))

    def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_failures: bool = False,
    ) -> Generator[Result | RunnerError, None, None]:
        """Run many tasks of a bundle, as many at a time as there are children.

        Tasks are taken from the iterator as results are read: a bounded number of either is held.
        Leaving the iterator early ends the tasks under way.

        :param return_failures: give the error in place of the result where a task fails; else it is
            raised, which ends the iteration.
        :returns: the results, in the tasks' order.
        :raises RunnerError: a task failed.
        :raises RuntimeError: the runner is closed.
        """
        with closing(self._outcomes(bundle, tasks, ordered=True)) as outcomes:
            for _, outcome in outcomes:
                yield _unless_raised(outcome, return_failures)

    def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_failures: bool = False,
    ) -> Generator[tuple[int, Result | RunnerError], None, None]:
        """As :meth:`map`, each as soon as it is there, with its task's number, from 0 on."""
        with closing(self._outcomes(bundle, tasks, ordered=False)) as outcomes:
            for index, outcome in outcomes:
                yield index, _unless_raised(outcome, return_failures)

    def check(self, bundle: str | PathLike[str], *, build: bool = False) -> Check:
        """As :meth:`AsyncRunner.check`."""
        return self._call(partial(self._inner.check, bundle, build=build))

    def close(self) -> None:
        """Wait for the calls under way, then end every child. Calling it again does nothing."""
        with self._lock:
            self._closed = True
        self._close_portal()

    def _execute(
        self,
        bundle: str | PathLike[str],
        task: Task,
        calls: "_Calls | None" = None,
    ) -> Result:
        """:param calls: may stop it."""
        pool = self._inner._pool if self._portal is not None and not self._closed else None
        child = None if pool is None else pool.take(self._path(bundle))
        if pool is None or child is None:
            return self._call(partial(self._inner._execute, bundle, task), calls)
        began = time.monotonic()
        case = Case(self._inner._on_event)
        session = child.session
        try:
            with reported(case):
                check_task(task)
                if session.process.unread():
                    # What the task before has written last is not this one's.
                    self._call(session.take_unread, calls)
                child.begin(case)
                with case.journal.phase(Phase.EXECUTE):
                    request = session.request(child.named(task))
                    if calls is None:
                        response = session.try_execute(request, child.time_limit)
                    else:
                        with calls.under_way(session.interrupt):
                            response = session.try_execute(request, child.time_limit)
                    if response is None or response.error is not None:
                        spent = time.monotonic() - began
                        done = self._call(
                            partial(self._inner._go_on, case, child, response, spent), calls
                        )
                    else:
                        executed = session.dialogue.executed(response)
                        done = session.outputs(executed), executed
                return child.result(case, began, *done)
        except (KeyboardInterrupt, _Stopped):
            self._call(session.abandon)
            raise
        finally:
            if not pool.put(child):
                self._call(partial(pool.take_back, child))

    def _path(self, bundle: str | PathLike[str]) -> Path:
        """Remembered where it is absolute: making a path takes longer than finding a child."""
        path = self._paths.get(bundle) if isinstance(bundle, str) else None
        if path is None:
            path = Path(bundle).absolute()
            if isinstance(bundle, str) and Path(bundle).is_absolute():
                self._paths[bundle] = path
        return path

    def _outcomes(
        self, bundle: str | PathLike[str], tasks: Iterable[Task], *, ordered: bool
    ) -> Generator[tuple[int, Outcome], None, None]:
        children = self._inner._children
        window = Window(tasks, children * WINDOW, ordered=ordered)
        finished: SimpleQueue[tuple[int, Outcome] | BaseException] = SimpleQueue()
        calls = _Calls()

        def run(index: int, task: Task) -> None:
            try:
                finished.put((index, self._execute(bundle, task, calls)))
            except RunnerError as error:
                finished.put((index, error))
            except _Stopped:
                return  # Nobody reads it any more.
            except BaseException as error:  # noqa: BLE001 - raised where it is read
                finished.put(error)

        with ThreadPoolExecutor(children, "modelops-runner map") as threads:
            try:
                while True:
                    for index, task in window.to_start():
                        threads.submit(run, index, task)
                    if window.empty:
                        return
                    while (outcome := window.next_outcome()) is None:
                        done = finished.get()
                        if isinstance(done, BaseException):
                            raise done
                        window.finish(*done)
                    yield outcome
            finally:
                calls.stop()

    def _call(self, function: Callable[[], Awaitable[_T]], calls: "_Calls | None" = None) -> _T:
        ended = threading.Event()

        async def call() -> _T:
            try:
                return await function()
            finally:
                ended.set()

        future = self._started().start_task_soon(call)
        try:
            with nullcontext() if calls is None else calls.under_way(future.cancel):
                wait([future])
        except (KeyboardInterrupt, _Stopped):
            # What the call has started must not outlive it.
            future.cancel()
            ended.wait(CANCEL_SECONDS)
            raise
        return future.result()

    def _started(self) -> BlockingPortal:
        with self._lock:
            if self._portal is None:
                if self._closed:
                    raise RuntimeError("the runner is closed")
                portal = self._stack.enter_context(start_blocking_portal())
                self._stack.enter_context(portal.wrap_async_context_manager(self._inner))
                self._portal = portal
            return self._portal


class _Stopped(BaseException):
    """Internal: nobody wants the result any more. No Exception, which a report would be made of."""


class _Calls:
    """The calls that threads have under way for one map, which are stopped together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[int, Callable[[], object]] = {}
        self._stopped = False

    @contextmanager
    def under_way(self, stop: Callable[[], object]) -> Iterator[None]:
        """This thread waits for something, which ``stop`` ends.

        :raises _Stopped: it was stopped, meanwhile or before.
        """
        thread = threading.get_ident()
        with self._lock:
            if self._stopped:
                raise _Stopped
            self._stops[thread] = stop
        try:
            yield
        finally:
            with self._lock:
                del self._stops[thread]
                stopped = self._stopped
        if stopped:
            raise _Stopped

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for stop in self._stops.values():
                stop()


async def _outcome(call: Awaitable[Result]) -> Outcome:
    try:
        return await call
    except RunnerError as error:
        return error


def _unless_raised(outcome: Outcome, return_failures: bool) -> Outcome:
    if isinstance(outcome, RunnerError) and not return_failures:
        raise outcome
    return outcome
