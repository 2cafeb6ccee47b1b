"""The façade: ``AsyncRunner`` on asyncio or trio, ``Runner`` from any thread."""

import logging
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from runner.bundle import Bundle
from runner.diagnosis.case import Case
from runner.events import EventHandler
from runner.flow import (
    STARTUP_TIMEOUT,
    Check,
    Result,
    Settings,
    check_bundle,
    execute_task,
    reported,
)
from runner.recording import Recorder, record_in_free
from runner.task import Task

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

# A cancelled call ends its child, at worst by SIGKILL; this is how long its caller waits for that.
CANCEL_SECONDS = 10.0


class _Runner:
    """What both faces share."""

    def __init__(
        self,
        *,
        python: str | None = None,
        fresh_venv: bool = False,
        startup_timeout: float = STARTUP_TIMEOUT,
        timeout: float | None = None,
        cache: str | PathLike[str] | None = None,
        record: str | PathLike[str] | None = None,
        on_event: EventHandler | None = None,
    ) -> None:
        self._settings = Settings(
            python=python,
            fresh_venv=fresh_venv,
            startup_timeout=startup_timeout,
            timeout=timeout,
            # Absolute: the child runs in the bundle's folder.
            cache=None if cache is None else Path(cache).absolute(),
        )
        self._record = None if record is None else Path(record).absolute()
        if self._record is not None:
            self._record.mkdir(parents=True, exist_ok=True)
        self._on_event = on_event
        self._closed = False

    async def _execute(
        self,
        bundle: str | PathLike[str],
        entrypoint: str | None,
        params: Mapping[str, Any] | None,
        seed: int,
    ) -> Result:
        def task(read: Bundle) -> Task:
            return Task(
                entrypoint if entrypoint is not None else read.default_entrypoint,
                {} if params is None else params,
                seed,
            )

        words = ["exec", str(bundle), *([] if entrypoint is None else [entrypoint])]
        with self._case([*words, f"--seed={seed}"], Path(bundle)) as case:
            return await execute_task(case, self._settings, Path(bundle), task)

    async def _check(self, bundle: str | PathLike[str], build: bool) -> Check:
        words = ["check", str(bundle), *(["--build"] if build else [])]
        with self._case(words, Path(bundle)) as case:
            return await check_bundle(case, self._settings, Path(bundle), build=build)

    @contextmanager
    def _case(self, words: list[str], bundle: Path) -> Iterator[Case]:
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

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("the runner is closed")


class AsyncRunner(_Runner):
    """Runs tasks of bundles, on asyncio or trio. Its parameters are those of :class:`Runner`.

    Any number of calls may be under way at once. A cancelled call ends its child, and whatever it
    was building is gone.
    """

    async def __aenter__(self) -> "AsyncRunner":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True

    async def execute(
        self,
        bundle: str | PathLike[str],
        entrypoint: str | None = None,
        params: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
    ) -> Result:
        """Run one task of a bundle.

        :param bundle: the bundle's folder.
        :param entrypoint: handed to the wire function as it is; by default the bundle's own
            default, else ``"default"``.
        :param params: what JSON can say.
        :param seed: 0 .. 2**64-1.
        :returns: the outputs, name to bytes, and how they came about.
        :raises RunnerError: it failed; the error's report says why.
        :raises RuntimeError: the runner is closed.
        """
        self._check_open()
        return await self._execute(bundle, entrypoint, params, seed)

    async def check(self, bundle: str | PathLike[str], *, build: bool = False) -> Check:
        """Say what can be known of a bundle without running a task.

        :param build: also build its environment and let a child load it.
        :raises RunnerError: something is wrong with it.
        :raises RuntimeError: the runner is closed.
        """
        self._check_open()
        return await self._check(bundle, build)


class Runner(_Runner):
    """Runs tasks of bundles from synchronous code; threads may share it.

    An event loop in a thread of its own does the work, from the first call until :meth:`close`.

    :param python: which interpreter: ``"worker"`` for the very minor version that this process
        runs, a version, a PEP 440 specifier or a path; by default what the bundle accepts decides.
    :param fresh_venv: build an environment for each run and remove it after.
    :param startup_timeout: seconds until the child must have loaded the bundle.
    :param timeout: seconds that a task may take; by default what its bundle says, else no limit.
    :param cache: the folder where environments are kept; by default ``MODELOPS_CACHE_DIR``, else
        the user's cache folder.
    :param record: a folder, made if need be, in which what came in from outside is kept of each run
        that fails: the first in ``recording.jsonl``, others in ``2/recording.jsonl`` and so on.
    :param on_event: called with every event of every run, from that thread: it must not block.
    """

    def __init__(
        self,
        *,
        python: str | None = None,
        fresh_venv: bool = False,
        startup_timeout: float = STARTUP_TIMEOUT,
        timeout: float | None = None,
        cache: str | PathLike[str] | None = None,
        record: str | PathLike[str] | None = None,
        on_event: EventHandler | None = None,
    ) -> None:
        super().__init__(
            python=python,
            fresh_venv=fresh_venv,
            startup_timeout=startup_timeout,
            timeout=timeout,
            cache=cache,
            record=record,
            on_event=on_event,
        )
        self._lock = threading.Lock()
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
    ) -> Result:
        """As :meth:`AsyncRunner.execute`. KeyboardInterrupt ends the task before it goes on."""
        return self._call(partial(self._execute, bundle, entrypoint, params, seed))

    def check(self, bundle: str | PathLike[str], *, build: bool = False) -> Check:
        """As :meth:`AsyncRunner.check`."""
        return self._call(partial(self._check, bundle, build))

    def close(self) -> None:
        """Wait for the calls under way, then end the event loop. Calling it again does nothing."""
        with self._lock:
            self._closed = True
        self._close_portal()

    def _call(self, function: Callable[[], Awaitable[_T]]) -> _T:
        ended = threading.Event()

        async def call() -> _T:
            try:
                return await function()
            finally:
                ended.set()

        with self._lock:
            self._check_open()
            if self._portal is None:
                self._portal = self._stack.enter_context(start_blocking_portal())
            future = self._portal.start_task_soon(call)
        try:
            return future.result()
        except KeyboardInterrupt:
            # What the call has started must not outlive it.
            future.cancel()
            ended.wait(CANCEL_SECONDS)
            raise
