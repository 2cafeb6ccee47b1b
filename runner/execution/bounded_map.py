"""Many calls for one ``map``, a bounded number at a time: in an event loop, or in threads.

Which tasks are in hand, and whose outcome is next, is decided without any IO (:class:`Window`).
"""

import math
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeAlias

import anyio
from anyio.abc import TaskGroup

from runner.diagnosis.errors import RunnerError
from runner.events import new_run_id
from runner.execution.call import Call
from runner.inputs import InputCopies
from runner.result import Result
from runner.task import Task, as_given

Outcome: TypeAlias = Result | RunnerError


# How many tasks are in hand for each child: what it does next is ready when it is.
WINDOW = 2


class Window:
    """Bounds how many tasks are taken from an iterator ahead of the outcomes that are given out.

    :param size: how many at most are running, or done and not given out; it may be changed.
    :param ordered: whether outcomes are given out in the tasks' order, and not as they come.
    :raises ValueError: the size is less than one: no task would ever start.
    """

    def __init__(self, tasks: Iterable[Task], size: int, *, ordered: bool) -> None:
        self._tasks = enumerate(tasks)
        self._copies = InputCopies()
        self._exhausted = False
        self.size = size
        self._ordered = ordered
        self.due = 0
        """The number of the task whose outcome is given out next, where they are in order."""
        self._done: dict[int, Outcome] = {}
        self._in_hand = 0

    @property
    def size(self) -> int:
        return self._size

    @size.setter
    def size(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a window of {size} tasks lets none start")
        self._size = size

    def to_start(self) -> Iterator[tuple[int, Task]]:
        """The tasks that may be started now.

        :raises TypeError: what comes next is not a task.
        """
        while self._in_hand < self.size and not self._exhausted:
            numbered = next(self._tasks, None)
            if numbered is None:
                self._exhausted = True
                return
            index, task = numbered
            given = as_given(task, self._copies)
            self._in_hand += 1
            yield index, given

    @property
    def empty(self) -> bool:
        """Tell whether there are no more tasks, and all outcomes have been given out."""
        return self._exhausted and self._in_hand == 0

    def finish(self, index: int, outcome: Outcome) -> None:
        self._done[index] = outcome

    def next_outcome(self) -> tuple[int, Outcome] | None:
        """The next outcome to give out; ``None`` where it is not there yet."""
        index = self.due if self._ordered else next(iter(self._done), -1)
        if index not in self._done:
            return None
        self.due += 1
        self._in_hand -= 1
        return index, self._done.pop(index)


def unless_raised(outcome: Outcome, return_exceptions: bool) -> Outcome:
    """:raises RunnerError: it is a failure, and these are not to be returned."""
    if isinstance(outcome, RunnerError) and not return_exceptions:
        raise outcome
    return outcome


async def map_in_loop(
    execute: Callable[[Call], Awaitable[Result]],
    tasks: Iterable[Task],
    children: int,
    owner: TaskGroup,
    *,
    ordered: bool,
) -> AsyncGenerator[tuple[int, Outcome], None]:
    """Run tasks so that so many children are busy. Closing it early cancels the calls.

    :param owner: has the event loop's tasks: a generator must not own any.
    """
    window = Window(tasks, children * WINDOW, ordered=ordered)
    send, receive = anyio.create_memory_object_stream[tuple[int, Outcome] | Exception](math.inf)
    running: dict[int, tuple[anyio.CancelScope, anyio.Event]] = {}
    run_id = new_run_id()

    async def run(index: int, task: Task) -> None:
        scope, ended = running[index]
        try:
            with scope:
                call = Call(task, run_id=run_id, task_id=index)
                send.send_nowait((index, await _outcome(execute(call))))
        except Exception as error:  # noqa: BLE001 - raised where it is read
            send.send_nowait(error)
        finally:
            del running[index]
            ended.set()

    try:
        while True:
            for index, task in window.to_start():
                running[index] = anyio.CancelScope(), anyio.Event()
                owner.start_soon(run, index, task)
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


async def _outcome(call: Awaitable[Result]) -> Outcome:
    try:
        return await call
    except RunnerError as error:
        return error


class Stopped(BaseException):
    """Nobody wants the result any more. No Exception, which a report would be made of."""


class Calls:
    """The calls that threads have under way for one map, which are stopped together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[int, Callable[[], object]] = {}
        self._stopped = False

    def check(self) -> None:
        """:raises Stopped: it was stopped."""
        if self._stopped:
            raise Stopped

    @contextmanager
    def under_way(self, stop: Callable[[], object]) -> Iterator[None]:
        """This thread waits for something, which ``stop`` ends.

        :raises Stopped: it was stopped, meanwhile or before.
        """
        thread = threading.get_ident()
        with self._lock:
            if self._stopped:
                raise Stopped
            self._stops[thread] = stop
        try:
            yield
        finally:
            with self._lock:
                del self._stops[thread]
                stopped = self._stopped
        if stopped:
            raise Stopped

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for stop in self._stops.values():
                stop()


def map_in_threads(
    execute: Callable[[Call, Calls], Result],
    tasks: Iterable[Task],
    children: int,
    *,
    ordered: bool,
    calls: Calls | None = None,
) -> Generator[tuple[int, Outcome], None, None]:
    """Run tasks in as many threads as there are children. Closing it early stops the calls.

    :param calls: where another thread may stop them.
    :raises Stopped: it has.
    """
    window = Window(tasks, children * WINDOW, ordered=ordered)
    finished: SimpleQueue[tuple[int, Outcome] | BaseException] = SimpleQueue()
    calls = Calls() if calls is None else calls
    run_id = new_run_id()

    def run(index: int, task: Task) -> None:
        try:
            call = Call(task, run_id=run_id, task_id=index)
            finished.put((index, execute(call, calls)))
        except RunnerError as error:
            finished.put((index, error))
        except BaseException as error:  # noqa: BLE001 - raised where it is read, if it is
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
