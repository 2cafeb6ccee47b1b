"""Runs a task in the thread that asks for it, past the event loop, where a child is ready."""

import logging
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import CancelledError, wait
from functools import partial

import anyio

from runner.child.messages import Executed, Response
from runner.child.session import Session
from runner.diagnosis.case import Case, Failure
from runner.events import Phase
from runner.execution.bounded_map import Calls
from runner.execution.call import Call
from runner.execution.lease import Child, Lease
from runner.execution.loop_thread import LoopThread
from runner.execution.pool import Pool
from runner.execution.run_task import raise_reported
from runner.result import Result
from runner.task import check_task, without_inputs

# What runs in a thread's call; a signal's handler is somebody else's code in the midst of it.
_OWN = {"runner", "bundle_protocol", "anyio", "msgspec", *sys.stdlib_module_names}
_log = logging.getLogger(__name__)


class DirectCalls:
    """The shortcut of threads to the children of a pool. A warm call takes half the time by it.

    The event loop does all that is not a good answer of a child that is ready.
    """

    def __init__(self, pool: Pool, new_case: Callable[[Call], Case], loop: LoopThread) -> None:
        self._pool = pool
        self._new_case = new_case
        self._loop = loop

    def execute(self, path: str, call: Call, calls: Calls | None = None) -> Result | None:
        """Run a task.

        :returns: ``None`` where no child is ready for it.
        :raises RunnerError: it failed.
        """
        lease = Lease()
        result = fault = None
        released = False
        try:
            try:
                child = self._pool.acquire_nowait(lease, path, call.task.function)
                if child is not None:
                    result = self._run(lease, child, call, calls)
            finally:
                fault = self._release(lease)
                released = True
        finally:
            if not released:  # An interrupt has come just then.
                self._release(lease)
        # What has become of the task, or an interrupt, is told first.
        if fault is not None:
            raise_reported(self._new_case(call), fault)
        return result

    def _run(self, lease: Lease, child: Child, call: Call, calls: Calls | None) -> Result | None:
        """:returns: ``None`` where the task is to run in another child."""
        began = time.monotonic()
        case = self._new_case(call)
        session = child.session
        timeout = call.time_limit(child.time_limit)
        try:
            task = check_task(call.task)
            task = task.with_defaults(*child.task_defaults)
            case.task = without_inputs(task)
            if session.process.output.unread():
                # What the task before has written last is not this one's.
                self._loop.call(session.take_unread, calls)
            child.begin(case)
            with case.journal.phase(Phase.EXECUTE):
                request = session.request(task)
                if calls is None:
                    response = session.direct.execute(request, timeout)
                else:
                    with calls.under_way(session.direct.interrupt):
                        response = session.direct.execute(request, timeout)
                if response is None or response.error is not None:
                    finish = partial(self._finish, case, lease, child, response, timeout, began)
                    lease.handed_over = True
                    done = self._loop.call(finish, calls)
                else:
                    self._take_printed(session, calls)
                    executed = session.dialogue.executed(response)
                    done = session.outputs(executed), executed
            return child.result(case, began, task, *done)
        except Exception as error:
            if _is_of_a_signal(error):
                raise
            if child.died_idle(error):
                return None
            raise_reported(case, error)

    def _take_printed(self, session: Session, calls: Calls | None) -> None:
        """Have what a task has printed told before its result is."""
        output = session.process.output
        if output.unread():
            self._loop.call(session.take_unread, calls)
        output.wait_until_handed_on()  # the event loop may be about to tell it

    async def _finish(
        self,
        case: Case,
        lease: Lease,
        child: Child,
        response: Response | None,
        timeout: float | None,
        began: float,
    ) -> tuple[dict[str, bytes | memoryview], Executed]:
        """Do what a thread does not do by itself: all but a good answer.

        :raises Failure: whatever went wrong.
        """
        with anyio.CancelScope() as lease.in_loop:
            try:
                elapsed = time.monotonic() - began
                return await child.session.resume(response, timeout, elapsed)
            except Failure as failure:
                if not child.died_idle(failure):
                    await self._pool.groups.discard_damaged(case, child.group, failure)
                raise
            finally:
                lease.in_loop, lease.handed_over = None, False
        raise CancelledError  # The lease is released, and nobody waits for this any more.

    def _release(self, lease: Lease) -> Exception | None:
        """:returns: what has gone wrong, which is in the log."""
        done = False
        fault: Exception | None = None
        try:
            done = self._pool.release_nowait(lease)
        except Exception as error:  # noqa: BLE001 - returned
            _log.exception("while a child was released")
            fault = error
        finally:
            if not done:
                # In the event loop, where nothing interrupts it. What comes in the way here only
                # ends the wait for it.
                taken = self._loop.start_soon(partial(self._pool.release, lease))
                wait([taken])
                fault = taken.result() or fault
        return fault


def _is_of_a_signal(error: Exception) -> bool:
    """Tell whether a handler of the caller's has raised it, to give the call up: it is no fault."""
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    return str(last.f_globals.get("__name__")).partition(".")[0] not in _OWN
