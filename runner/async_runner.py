"""The façade for event loops: ``AsyncRunner``, on asyncio or trio."""

import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup

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
from runner.window import WINDOW, Outcome, Window, unless_raised

_log = logging.getLogger(__name__)


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
                yield unless_raised(outcome, return_failures)

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
                yield index, unless_raised(outcome, return_failures)

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
        with self._recorded(words, Path(bundle), on_event) as case:
            return await check_bundle(case, self._settings, Path(bundle), build=build)

    async def _execute(
        self, bundle: str | PathLike[str], task: Task, on_event: EventHandler | None = None
    ) -> Result:
        """:param on_event: called with this run's events, in place of the runner's own."""
        self._check_open()
        if self._alone:
            return await self._execute_alone(bundle, task, on_event)
        began = time.monotonic()
        case = Case(on_event or self._on_event)
        with reported(case):
            check_task(task)
            child = await self._pool.lend(case, str(Path(bundle).absolute()))
            try:
                with case.journal.phase(Phase.EXECUTE):
                    done = await child.session.execute(
                        task.named(child.default_entrypoint), child.time_limit
                    )
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

    async def _execute_alone(
        self, bundle: str | PathLike[str], task: Task, on_event: EventHandler | None
    ) -> Result:
        words = ["exec", str(bundle), *([task.entrypoint] if task.entrypoint else [])]
        with self._recorded([*words, f"--seed={task.seed}"], Path(bundle), on_event) as case:
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
    def _recorded(
        self, words: list[str], bundle: Path, on_event: EventHandler | None = None
    ) -> Iterator[Case]:
        """The case of one run, whose failure is raised with its report and recorded.

        :param words: what is asked for, as the command's arguments.
        """
        recorder = None if self._record is None else self._recorder(self._record, words, bundle)
        case = Case(on_event or self._on_event, recorder)
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


async def _outcome(call: Awaitable[Result]) -> Outcome:
    try:
        return await call
    except RunnerError as error:
        return error
