"""The façade for synchronous code: ``Runner``, from any thread."""

import logging
import os
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from runner.async_runner import AsyncRunner
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.events import EventHandler, Phase
from runner.execution.bounded_map import WINDOW, Outcome, Window, unless_raised
from runner.execution.calls import Calls, Stopped
from runner.execution.lease import Child, Loan
from runner.execution.pool import Pool
from runner.execution.run_task import raise_reported
from runner.result import Check, Result
from runner.settings import Options
from runner.task import Task, check_is_task, check_task, new_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# A cancelled call ends its child, at worst by SIGKILL; this is how long its caller waits for that.
CANCEL_SECONDS = 10.0

_CLOSED = "the runner is closed"


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
    :raises ValueError: a number is none that it may be, or a variable is not set.

    In a process that is forked from this one, it has children of its own.
    """

    def __init__(self, **options: "Unpack[Options]") -> None:
        made = AsyncRunner(**options)
        self._paths: dict[str, str] = {}
        self._closed = False
        self._begin(made)
        _runners.add(self)

    def _begin(self, inner: AsyncRunner) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        # Also at the interpreter's exit: there the garbage collector would close the portal, whose
        # daemon thread no longer runs by then, and wait for it for ever.
        self._close_portal = weakref.finalize(self, _close_collected, self._stack.close)

    def _begin_in_fork(self) -> None:
        """Leave the children to the process that this one was forked from, and have others."""
        self._close_portal.detach()
        # What would end them, with a thread that is not in this process, must not be collected.
        _left_behind.append((self._inner, self._stack, self._portal))
        self._begin(self._inner.anew())

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
            return
        # An interrupt, or the program's exit: what is under way may take for ever.
        with self._lock:
            self._closed = True
        if self._close_portal.detach() is not None:
            self._stack.__exit__(kind, error, traceback)

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
        return self._execute(bundle, new_task(entrypoint, params, seed, inputs))

    def submit(
        self,
        bundle: str | PathLike[str],
        task: Task,
        *,
        on_event: EventHandler | None = None,
    ) -> Future[Result]:
        """Start one task of a bundle, and return at once.

        :param on_event: called with this run's events, in place of the runner's own.
        :returns: what its result comes in; its ``cancel()`` ends the task.
        :raises RuntimeError: the runner is closed.
        :raises TypeError: the task is none.
        """
        check_is_task(task)
        self._started()
        return self._start_soon(partial(self._inner._execute, bundle, task, on_event))

    def prepare(
        self, bundle: str | PathLike[str], *, on_event: EventHandler | None = None
    ) -> Future[Check]:
        """Start to build a bundle's environment and to load it once, and return at once.

        :param on_event: called with this run's events, in place of the runner's own.
        :returns: what :meth:`check` gives; its ``cancel()`` ends the build.
        :raises RuntimeError: the runner is closed.
        """
        self._started()
        return self._start_soon(partial(self._inner._check, bundle, on_event, build=True))

    @overload
    def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: Literal[False] = False,
    ) -> Generator[Result, None, None]: ...

    @overload
    def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool,
    ) -> Generator[Result | RunnerError, None, None]: ...

    def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool = False,
    ) -> Generator[Result | RunnerError, None, None]:
        """Run many tasks of a bundle, as many at a time as there are children.

        Tasks are taken from the iterator as results are read: a bounded number of either is held.
        Leaving the iterator early ends the tasks under way.

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
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: Literal[False] = False,
    ) -> Generator[tuple[int, Result], None, None]: ...

    @overload
    def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool,
    ) -> Generator[tuple[int, Result | RunnerError], None, None]: ...

    def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool = False,
    ) -> Generator[tuple[int, Result | RunnerError], None, None]:
        """As :meth:`map`, each as soon as it is there, with its task's number, from 0 on."""
        with closing(self._outcomes(bundle, tasks, ordered=False)) as outcomes:
            for index, outcome in outcomes:
                yield index, unless_raised(outcome, return_exceptions)

    def check(self, bundle: str | PathLike[str], *, build: bool = False) -> Check:
        """As :meth:`AsyncRunner.check`."""
        return self._call(partial(self._inner.check, bundle, build=build))

    def close(self) -> None:
        """Wait for the calls under way, then end every child. Calling it again does nothing."""
        with self._lock:
            self._closed = True
        if self._close_portal.detach() is not None:
            self._stack.close()

    def _execute(
        self,
        bundle: str | PathLike[str],
        task: Task,
        calls: "Calls | None" = None,
    ) -> Result:
        """:param calls: may stop it."""
        if calls is not None:
            calls.check()
        if self._portal is not None and not self._closed:
            pool, loan = self._inner._pool, Loan()
            result = fault = None
            given_back = False
            try:
                try:
                    child = pool.take(loan, self._path(bundle))
                    if child is not None:
                        result = self._lent(child, task, calls)
                finally:
                    fault = self._give_back(pool, loan)
                    given_back = True
            finally:
                if not given_back:  # An interrupt has come just then.
                    self._give_back(pool, loan)
            # What has become of the task, or an interrupt, is told first.
            if fault is not None:
                raise_reported(Case(self._inner._on_event, environ=self._inner._variables), fault)
            if result is not None:
                return result
        return self._call(partial(self._inner._execute, bundle, task), calls)

    def _lent(self, child: Child, task: Task, calls: "Calls | None") -> Result | None:
        """Run a task in this thread.

        :returns: ``None`` where it is to run in another child.
        """
        began = time.monotonic()
        case = Case(self._inner._on_event, environ=self._inner._variables)
        session = child.session
        try:
            task = check_task(task).named(child.default_entrypoint)
            case.task = task
            if session.process.output.unread():
                # What the task before has written last is not this one's.
                self._call_begun(session.take_unread, calls)
            child.begin(case)
            with case.journal.phase(Phase.EXECUTE):
                request = session.request(task)
                if calls is None:
                    response = session.direct.execute(request, child.time_limit)
                else:
                    with calls.under_way(session.direct.interrupt):
                        response = session.direct.execute(request, child.time_limit)
                if response is None or response.error is not None:
                    spent = time.monotonic() - began
                    go_on = partial(self._inner._go_on, case, child, response, spent)
                    done = self._call_begun(go_on, calls)
                else:
                    executed = session.dialogue.executed(response)
                    done = session.outputs(executed), executed
            return child.result(case, began, *done)
        except Exception as error:  # noqa: BLE001 - raised, with its report
            if child.missed(error):
                return None
            raise_reported(case, error)

    def _give_back(self, pool: Pool, loan: Loan) -> Exception | None:
        """:returns: what has gone wrong, which is in the log."""
        done = False
        fault: Exception | None = None
        try:
            done = pool.put(loan)
        except Exception as error:  # noqa: BLE001 - returned
            _log.exception("while a child was given back")
            fault = error
        finally:
            if not done:
                # In the event loop, where nothing interrupts it. What comes in the way here only
                # ends the wait for it.
                taken = self._start_soon(partial(pool.take_back, loan))
                wait([taken])
                fault = taken.result() or fault
        return fault

    def _path(self, bundle: str | PathLike[str]) -> str:
        """Remembered where it is absolute: making a path takes longer than finding a child."""
        path = self._paths.get(bundle) if isinstance(bundle, str) else None
        if path is None:
            path = str(Path(bundle).absolute())
            if isinstance(bundle, str) and Path(bundle).is_absolute():
                self._paths[bundle] = path
        return path

    def _outcomes(
        self, bundle: str | PathLike[str], tasks: Iterable[Task], *, ordered: bool
    ) -> Generator[tuple[int, Outcome], None, None]:
        children = self._inner._children
        window = Window(tasks, children * WINDOW, ordered=ordered)
        finished: SimpleQueue[tuple[int, Outcome] | BaseException] = SimpleQueue()
        calls = Calls()

        def run(index: int, task: Task) -> None:
            try:
                finished.put((index, self._execute(bundle, task, calls)))
            except RunnerError as error:
                finished.put((index, error))
            except Stopped:
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

    def _call(self, function: Callable[[], Awaitable[_T]], calls: "Calls | None" = None) -> _T:
        self._started()
        return self._call_begun(function, calls)

    def _call_begun(
        self, function: Callable[[], Awaitable[_T]], calls: "Calls | None" = None
    ) -> _T:
        """As :meth:`_call`, also while the runner is being closed: it waits for what has begun."""
        ended = threading.Event()

        async def call() -> _T:
            try:
                return await function()
            finally:
                ended.set()

        future = self._start_soon(call)
        try:
            with nullcontext() if calls is None else calls.under_way(future.cancel):
                wait([future])
        except (KeyboardInterrupt, Stopped):
            # What the call has started must not outlive it.
            future.cancel()
            ended.wait(CANCEL_SECONDS)
            raise
        return future.result()

    def _start_soon(self, function: Callable[[], Awaitable[_T]]) -> "Future[_T]":
        assert self._portal is not None
        try:
            return self._portal.start_task_soon(function)
        except RuntimeError:
            if self._closed:
                raise RuntimeError(_CLOSED) from None
            raise

    def _started(self) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError(_CLOSED)
            if self._portal is None:
                portal = self._stack.enter_context(start_blocking_portal())
                self._stack.enter_context(portal.wrap_async_context_manager(self._inner))
                self._portal = portal


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


def _begin_in_fork() -> None:
    for runner in list(_runners):
        runner._begin_in_fork()


os.register_at_fork(after_in_child=_begin_in_fork)
