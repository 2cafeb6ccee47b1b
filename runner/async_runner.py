"""The façade for event loops: ``AsyncRunner``, on asyncio or trio."""

import logging
import os
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    aclosing,
    contextmanager,
    nullcontext,
)
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import anyio
import msgspec
from anyio.abc import TaskGroup
from anyio.lowlevel import EventLoopToken, current_token

from runner.bundle.folder import bundle_path
from runner.defaults import Isolation
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.events import EventHandler, new_run_id
from runner.execution.bounded_map import Outcome, map_in_loop, unless_raised
from runner.execution.call import Call
from runner.execution.pool import Pool
from runner.execution.run_task import check_bundle, execute_in_pool, execute_task, reported
from runner.execution.stats import Stats, Tally
from runner.recording.recorder import Recorder, record_in_free
from runner.result import Check, Result
from runner.settings import Options, Settings, check_positive
from runner.task import Task, new_task

if TYPE_CHECKING:
    from typing_extensions import Unpack

_log = logging.getLogger(__name__)

BundlePath: TypeAlias = str | PathLike[str]
Tasks: TypeAlias = Iterable[Task]


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
        self, settings: Settings, record: str | PathLike[str] | None, on_event: EventHandler | None
    ) -> None:
        self._settings = settings
        self._variables = settings.variables()
        self._children = settings.child_count
        self._record = None if record is None else Path(record).absolute()
        if self._record is not None:
            self._record.mkdir(parents=True, exist_ok=True)
        self._on_event = on_event
        self._stack = AsyncExitStack()
        self._open = False
        self._owner: int | None = None
        self._loop: EventLoopToken
        self._calls = 0
        self._tally = Tally()
        self._none_under_way: anyio.Event | None = None
        self._tasks: TaskGroup
        self._pool: Pool
        self._alone_at_once: anyio.CapacityLimiter
        _runners.add(self)

    async def __aenter__(self) -> "AsyncRunner":
        self._loop = current_token()
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._pool = Pool(self._settings, self._tasks, self._children)
        self._tasks.start_soon(self._pool.look_after)
        self._alone_at_once = anyio.CapacityLimiter(self._children)
        self._open = True
        return self

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._open:
            self._check_open()
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
        """Run one task of a bundle.

        :param bundle: the bundle's folder.
        :param entrypoint: handed to the wire function as it is; by default the bundle's own
            default, else ``"default"``.
        :param params: what JSON can say.
        :param seed: 0 .. 2**64-1.
        :param inputs: data beside the parameters, as :class:`Task` has it.
        :param function: another function of the bundle than its wire function, by its name.
        :param timeout: seconds that this task may take, in place of the runner's.
        :param on_event: called with this run's events, in place of the runner's own.
        :returns: the outputs, name to bytes, and how they came about.
        :raises RunnerError: it failed; the error's report says why.
        :raises RuntimeError: the runner is closed.
        :raises ValueError: the timeout is not more than 0, or not finite.
        """
        task = new_task(entrypoint, params, seed, inputs, function)
        return await self._execute(bundle, self._call_of(task, timeout, on_event))

    def _call_of(self, task: Task, timeout: float | None, on_event: EventHandler | None) -> Call:
        if timeout is not None:
            check_positive("timeout", timeout)
        # An id for nobody would take a small task's time.
        heard = on_event is not None or self._on_event is not None
        return Call(task, timeout, on_event=on_event, run_id=new_run_id() if heard else None)

    async def prepare(self, bundle: BundlePath, *, on_event: EventHandler | None = None) -> Check:
        """Build a bundle's environment and load it once, so that its tasks find it ready.

        :param on_event: called with this run's events, in place of the runner's own.
        :returns: what :meth:`check` gives.
        :raises RunnerError: something is wrong with the bundle.
        :raises RuntimeError: the runner is closed.
        """
        return await self._check(bundle, on_event, build=True, for_tasks=True)

    @overload
    def map(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: Literal[False] = False
    ) -> AsyncGenerator[Result, None]: ...

    @overload
    def map(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool
    ) -> AsyncGenerator[Outcome, None]: ...

    async def map(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool = False
    ) -> AsyncGenerator[Outcome, None]:
        """As :meth:`Runner.map`. Close it (``aclose()``) where it is not read to its end."""
        outcomes = self._outcomes(bundle, tasks, ordered=True)
        async with aclosing(outcomes):
            async for _, outcome in outcomes:
                yield unless_raised(outcome, return_exceptions)

    @overload
    def map_unordered(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: Literal[False] = False
    ) -> AsyncGenerator[tuple[int, Result], None]: ...

    @overload
    def map_unordered(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool
    ) -> AsyncGenerator[tuple[int, Outcome], None]: ...

    async def map_unordered(
        self, bundle: BundlePath, tasks: Tasks, *, return_exceptions: bool = False
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        """As :meth:`Runner.map_unordered`. Close it where it is not read to its end."""
        outcomes = self._outcomes(bundle, tasks, ordered=False)
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield index, unless_raised(outcome, return_exceptions)

    async def check(self, bundle: BundlePath, *, build: bool = False) -> Check:
        """Say what can be known of a bundle without running a task.

        :param build: also build its environment and let a child load it.
        :raises RunnerError: something is wrong with it.
        :raises RuntimeError: the runner is closed.
        """
        return await self._check(bundle, build=build)

    def stats(self) -> Stats:
        """Count what it has done so far; from any thread, also once it is closed."""
        children = 0
        if self._open:
            children = self._pool.children + self._alone_at_once.borrowed_tokens
        return self._tally.stats(children)

    async def _check(
        self,
        bundle: BundlePath,
        on_event: EventHandler | None = None,
        *,
        build: bool,
        for_tasks: bool = False,
    ) -> Check:
        """:param on_event: called with this run's events, in place of the runner's own."""
        self._check_open()
        path = bundle_path(bundle)
        words = ["check", str(bundle), *(["--build"] if build else [])]

        def new_case(recorder: Recorder | None) -> Case:
            return Case(on_event or self._on_event, recorder, self._variables)

        room: AbstractAsyncContextManager[object] = nullcontext()
        if build:  # which starts a child
            room = self._alone_at_once if self._alone else self._pool.room()
        with self._under_way(tasks=0):
            async with room:
                with self._recorded(words, path, new_case) as case:
                    check = await check_bundle(
                        case,
                        self._settings,
                        path,
                        build=build,
                        children=self._children,
                        for_tasks=for_tasks,
                    )
            phases = [(one.phase.value, one.seconds) for one in case.journal.phases]
            self._tally.ran(phases, tasks=0)
            return check

    async def _execute(self, bundle: BundlePath, call: Call) -> Result:
        self._check_open()
        with self._under_way(tasks=1):
            execute = self._execute_alone if self._alone else self._execute_in_pool
            result = await execute(bundle_path(bundle), call)
            self._tally.done(result)
            return result

    async def _execute_in_pool(self, bundle: Path, call: Call) -> Result:
        case = self._new_case(call)
        with reported(case):
            return await execute_in_pool(case, self._pool, str(bundle.absolute()), call)

    async def _execute_alone(self, bundle: Path, call: Call) -> Result:
        task, settings = call.task, self._settings
        if call.timeout is not None:
            settings = msgspec.structs.replace(settings, timeout=call.timeout)
        words = ["exec", str(bundle), *([task.entrypoint] if task.entrypoint else [])]
        async with self._alone_at_once:
            words.append(f"--seed={task.seed}")
            if task.function is not None:
                words.append(f"--function={task.function}")
            with self._recorded(words, bundle, partial(self._new_case, call)) as case:
                return await execute_task(
                    case,
                    settings,
                    bundle,
                    lambda _: task,
                    children=self._children,
                    note=self._why_fresh(),
                )

    def _new_case(self, call: Call, recorder: Recorder | None = None) -> Case:
        return Case(
            call.on_event or self._on_event,
            recorder,
            self._variables,
            run_id=call.run_id,
            task_id=call.task_id,
        )

    def _why_fresh(self) -> str | None:
        if self._settings.isolation is Isolation.FRESH:
            return None
        whose = "an environment of its own has" if self._settings.fresh_venv else "a recording has"
        return f"a run with {whose} a child of its own"

    def _outcomes(
        self, bundle: BundlePath, tasks: Tasks, *, ordered: bool
    ) -> AsyncGenerator[tuple[int, Outcome], None]:
        self._check_open()
        execute = partial(self._execute, bundle)
        return map_in_loop(execute, tasks, self._children, self._tasks, ordered=ordered)

    @contextmanager
    def _under_way(self, *, tasks: int) -> Iterator[None]:
        """A call, which leaving the runner waits for. Its failure is counted.

        :param tasks: how many it is for.
        """
        self._calls += 1
        try:
            yield
        except RunnerError as error:
            self._tally.failed(error.report, tasks=tasks)
            raise
        finally:
            self._calls -= 1
            if self._calls == 0 and self._none_under_way is not None:
                self._none_under_way.set()

    @contextmanager
    def _recorded(
        self, words: list[str], bundle: Path, new_case: Callable[[Recorder | None], Case]
    ) -> Iterator[Case]:
        """The case of one run, whose failure is raised with its report and recorded.

        :param words: what is asked for, as the command's arguments.
        """
        recorder = None if self._record is None else self._recorder(self._record, words, bundle)
        case = new_case(recorder)
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
        """Tell whether each run has a child of its own: a recording has all that led to its end."""
        return self._record is not None or self._settings.fresh_venv

    def _check_open(self) -> None:
        if self._owner is not None:
            raise RuntimeError(
                f"this runner belongs to process {self._owner}, which this one was forked from:"
                " make one in this process"
            )
        if not self._open:
            raise RuntimeError(
                "the runner is closed"
                if hasattr(self, "_pool")
                else "the runner is not open: async with AsyncRunner() as runner: ..."
            )
        if current_token() != self._loop:
            raise RuntimeError(
                "this runner belongs to another event loop, where it was opened: open one in this"
                " loop, or share a Runner, which any thread may use"
            )


_runners: "weakref.WeakSet[AsyncRunner]" = weakref.WeakSet()


def _leave_to_parent() -> None:
    for runner in list(_runners):
        if runner._open:
            runner._owner = os.getppid()


os.register_at_fork(after_in_child=_leave_to_parent)
