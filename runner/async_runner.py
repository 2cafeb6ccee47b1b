"""The façade for event loops: ``AsyncRunner``, on asyncio or trio."""

import logging
import math
import os
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    contextmanager,
    nullcontext,
)
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

import anyio
from anyio.abc import TaskGroup

from runner.child.messages import Executed, Response
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError
from runner.events import EventHandler, Phase
from runner.execution.bounded_map import WINDOW, Outcome, Window, unless_raised
from runner.execution.lease import Child, Loan
from runner.execution.pool import Pool
from runner.execution.run_task import check_bundle, execute_task, reported
from runner.process.processors import usable_processors
from runner.recording.recorder import Recorder, record_in_free
from runner.result import Check, Result
from runner.settings import Isolation, Options, Settings
from runner.task import Task, check_task, new_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger(__name__)


class AsyncRunner:
    """Runs tasks of bundles, on asyncio or trio. Its parameters are those of :class:`Runner`.

    Any number of calls may be under way at once. A cancelled call ends its task, and whatever it
    was building is gone.
    """

    def __init__(self, **options: "Unpack[Options]") -> None:
        self._set_up(Settings.of(options), options.get("record"), options.get("on_event"))

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        record: str | PathLike[str] | None = None,
        on_event: EventHandler | None = None,
    ) -> "AsyncRunner":
        """A runner with these settings, whose paths are absolute."""
        runner = cls.__new__(cls)
        runner._set_up(settings, record, on_event)
        return runner

    def _set_up(
        self,
        settings: Settings,
        record: str | PathLike[str] | None,
        on_event: EventHandler | None,
    ) -> None:
        self._settings = settings
        self._variables = settings.variables()
        self._children = settings.children or usable_processors()
        self._record = None if record is None else Path(record).absolute()
        if self._record is not None:
            self._record.mkdir(parents=True, exist_ok=True)
        self._on_event = on_event
        self._stack = AsyncExitStack()
        self._open = False
        self._owner: int | None = None
        self._calls = 0
        self._none_under_way: anyio.Event | None = None
        self._tasks: TaskGroup
        self._pool: Pool
        self._alone_at_once: anyio.CapacityLimiter
        _runners.add(self)

    async def __aenter__(self) -> "AsyncRunner":
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._pool = Pool(self._settings, self._tasks, self._children)
        self._tasks.start_soon(self._pool.look_after)
        self._alone_at_once = anyio.CapacityLimiter(self._children)
        self._open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open = False
        try:
            if error is None:
                if self._calls:
                    self._none_under_way = anyio.Event()
                    await self._none_under_way.wait()
                await self._pool.close()
            else:
                self._tasks.cancel_scope.cancel()
        except BaseException:
            self._tasks.cancel_scope.cancel()
            raise
        finally:
            # Not told of the error, which the task group would put into an exception group.
            await self._stack.aclose()

    def anew(self) -> "AsyncRunner":
        """Another one like this, which has nothing yet."""
        return AsyncRunner.of(self._settings, record=self._record, on_event=self._on_event)

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
        return await self._execute(bundle, new_task(entrypoint, params, seed, inputs))

    @overload
    def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: Literal[False] = False,
    ) -> AsyncGenerator[Result, None]: ...

    @overload
    def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool,
    ) -> AsyncGenerator[Result | RunnerError, None]: ...

    async def map(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool = False,
    ) -> AsyncGenerator[Result | RunnerError, None]:
        """As :meth:`Runner.map`. Close it (``aclose()``) where it is not read to its end."""
        outcomes = self._outcomes(bundle, tasks, ordered=True)
        async with aclosing(outcomes):
            async for _, outcome in outcomes:
                yield unless_raised(outcome, return_exceptions)

    @overload
    def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: Literal[False] = False,
    ) -> AsyncGenerator[tuple[int, Result], None]: ...

    @overload
    def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool,
    ) -> AsyncGenerator[tuple[int, Result | RunnerError], None]: ...

    async def map_unordered(
        self,
        bundle: str | PathLike[str],
        tasks: Iterable[Task],
        *,
        return_exceptions: bool = False,
    ) -> AsyncGenerator[tuple[int, Result | RunnerError], None]:
        """As :meth:`Runner.map_unordered`. Close it where it is not read to its end."""
        outcomes = self._outcomes(bundle, tasks, ordered=False)
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield index, unless_raised(outcome, return_exceptions)

    async def check(self, bundle: str | PathLike[str], *, build: bool = False) -> Check:
        """Say what can be known of a bundle without running a task.

        :param build: also build its environment and let a child load it.
        :raises RunnerError: something is wrong with it.
        :raises RuntimeError: the runner is closed.
        """
        return await self._check(bundle, build=build)

    async def _check(
        self, bundle: str | PathLike[str], on_event: EventHandler | None = None, *, build: bool
    ) -> Check:
        """:param on_event: called with this run's events, in place of the runner's own."""
        self._check_open()
        words = ["check", str(bundle), *(["--build"] if build else [])]
        room: AbstractAsyncContextManager[object] = nullcontext()
        if build:  # which starts a child
            room = self._alone_at_once if self._alone else self._pool.room()
        with self._under_way():
            async with room:
                with self._recorded(words, Path(bundle), on_event) as case:
                    return await check_bundle(
                        case, self._settings, Path(bundle), build=build, children=self._children
                    )

    async def _execute(
        self, bundle: str | PathLike[str], task: Task, on_event: EventHandler | None = None
    ) -> Result:
        """:param on_event: called with this run's events, in place of the runner's own."""
        self._check_open()
        with self._under_way():
            if self._alone:
                return await self._execute_alone(bundle, task, on_event)
            began = time.monotonic()
            case = Case(on_event or self._on_event, environ=self._variables)
            with reported(case):
                case.task = task = check_task(task)
                while (result := await self._lent(case, began, bundle, task)) is None:
                    case.journal.note("the child had died before the task came to it: another one")
                return result

    async def _lent(
        self, case: Case, began: float, bundle: str | PathLike[str], task: Task
    ) -> Result | None:
        """:returns: ``None`` where the task is to run in another child."""
        loan = Loan()
        failed = False
        try:
            child = await self._pool.lend(loan, case, str(Path(bundle).absolute()))
            case.task = task = task.named(child.default_entrypoint)
            try:
                with case.journal.phase(Phase.EXECUTE):
                    done = await child.session.execute(task, child.time_limit)
            except Failure as failure:
                if child.missed(failure):
                    return None
                # For the next task; whether this one may run twice is not known.
                await self._pool.discard_damaged(case, child.group, failure)
                raise
            return child.result(case, began, *done)
        except Exception:
            failed = True
            raise
        finally:
            with anyio.CancelScope(shield=True):
                fault = await self._pool.take_back(loan)
            # What has become of the task is told first. A cancelled call has nothing to tell.
            if fault is not None and not failed:
                raise fault

    async def _go_on(
        self, case: Case, child: Child, response: Response | None, spent: float
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Return what a thread does not do by itself: all but a good answer."""
        try:
            return await child.session.go_on(response, child.time_limit, spent)
        except Failure as failure:
            if not child.missed(failure):
                await self._pool.discard_damaged(case, child.group, failure)
            raise

    async def _execute_alone(
        self, bundle: str | PathLike[str], task: Task, on_event: EventHandler | None
    ) -> Result:
        words = ["exec", str(bundle), *([task.entrypoint] if task.entrypoint else [])]
        async with self._alone_at_once:
            with self._recorded([*words, f"--seed={task.seed}"], Path(bundle), on_event) as case:
                return await execute_task(
                    case,
                    self._settings,
                    Path(bundle),
                    lambda: task,
                    children=self._children,
                    note=self._why_fresh(),
                )

    def _why_fresh(self) -> str | None:
        if self._settings.isolation is Isolation.FRESH:
            return None
        whose = "an environment of its own has" if self._settings.fresh_venv else "a recording has"
        return f"a run with {whose} a child of its own"

    async def _outcomes(
        self, bundle: str | PathLike[str], tasks: Iterable[Task], *, ordered: bool
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """Keeps the children busy. Its tasks are the runner's: a generator must not own any."""
        window = Window(tasks, self._children * WINDOW, ordered=ordered)
        send, receive = anyio.create_memory_object_stream[tuple[int, Outcome] | Exception](math.inf)
        running: dict[int, tuple[anyio.CancelScope, anyio.Event]] = {}

        async def run(index: int, task: Task) -> None:
            scope, ended = running[index]
            try:
                with scope:
                    send.send_nowait((index, await _outcome(self._execute(bundle, task))))
            except Exception as error:  # noqa: BLE001 - raised where it is read
                send.send_nowait(error)
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
                    done = await receive.receive()
                    if isinstance(done, Exception):
                        raise done
                    window.finish(*done)
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
    def _under_way(self) -> Iterator[None]:
        """A call, which leaving the runner waits for."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            if self._calls == 0 and self._none_under_way is not None:
                self._none_under_way.set()

    @contextmanager
    def _recorded(
        self, words: list[str], bundle: Path, on_event: EventHandler | None = None
    ) -> Iterator[Case]:
        """The case of one run, whose failure is raised with its report and recorded.

        :param words: what is asked for, as the command's arguments.
        """
        recorder = None if self._record is None else self._recorder(self._record, words, bundle)
        case = Case(on_event or self._on_event, recorder, self._variables)
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
            return record_in_free(folder, ["modelops-runner", *words], self._variables)
        except OSError as error:
            _log.warning("nothing is recorded in %s: %s", folder, error.strerror)
            return None

    @property
    def _alone(self) -> bool:
        """Tell whether each run goes the whole way: a recording has all that led to its end."""
        return self._record is not None or self._settings.fresh_venv

    def _check_open(self) -> None:
        if self._owner is not None:
            raise RuntimeError(
                f"this runner belongs to process {self._owner}, which this one was forked from:"
                " make one in this process"
            )
        if not self._open:
            raise RuntimeError("the runner is closed")


_runners: "weakref.WeakSet[AsyncRunner]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    for runner in list(_runners):
        if runner._open:
            runner._owner = os.getppid()


os.register_at_fork(after_in_child=_leave_to_parent)


async def _outcome(call: Awaitable[Result]) -> Outcome:
    try:
        return await call
    except RunnerError as error:
        return error
