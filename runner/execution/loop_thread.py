"""An event loop in a thread of its own, as other threads use it."""

import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from contextlib import AbstractAsyncContextManager, ExitStack, nullcontext
from types import TracebackType
from typing import TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from runner.execution.bounded_map import Calls, Stopped

_T = TypeVar("_T")

# A cancelled call ends its child, at worst by SIGKILL; this is how long its caller waits for that.
CANCEL_SECONDS = 10.0


class LoopThread:
    """An event loop that runs from the first :meth:`start` until :meth:`close`.

    :param context: is entered in it first, and left last.
    """

    def __init__(self, context: AbstractAsyncContextManager[object]) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self.closed = False

    def start(self) -> None:
        """Start it, unless it runs.

        :raises RuntimeError: it is closed, or cannot run here.
        """
        with self._lock:
            if self.closed:
                raise RuntimeError("the runner is closed")
            # Its greenlets stand for threads, and its loop waits for the children of all others.
            if getattr(sys.modules.get("gevent.monkey"), "saved", None):
                raise RuntimeError(
                    "gevent has patched this process, and a runner needs its threads and children"
                    " as they are: use one in a process that gevent does not patch"
                )
            if self._portal is None:
                portal = self._stack.enter_context(start_blocking_portal())
                self._stack.enter_context(portal.wrap_async_context_manager(self._context))
                self._portal = portal

    def start_soon(self, function: Callable[[], Awaitable[_T]]) -> "Future[_T]":
        """Start a call, once it runs, also while it is being closed: it waits for what has begun.

        :raises RuntimeError: it is closed.
        """
        assert self._portal is not None
        try:
            return self._portal.start_task_soon(function)
        except RuntimeError:
            if self.closed:
                raise RuntimeError("the runner is closed") from None
            raise

    def call(self, function: Callable[[], Awaitable[_T]], calls: Calls | None = None) -> _T:
        """As :meth:`start_soon`, and wait for its end. An interrupt cancels the call."""
        ended = threading.Event()

        async def call() -> _T:
            try:
                return await function()
            finally:
                ended.set()

        future = self.start_soon(call)
        try:
            with nullcontext() if calls is None else calls.under_way(future.cancel):
                wait([future])
        except (KeyboardInterrupt, Stopped):
            # What the call has started must not outlive it.
            future.cancel()
            ended.wait(CANCEL_SECONDS)
            raise
        return future.result()

    def close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """End it, after the calls under way; with an error, these are cancelled."""
        with self._lock:
            self.closed = True
        self._stack.__exit__(kind, error, traceback)
