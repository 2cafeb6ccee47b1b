"""Many calls in threads for one ``map``, which are stopped together."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

from runner.diagnosis.errors import RunnerError
from runner.events import new_run_id
from runner.execution.bounded_map import WINDOW, Outcome, Window
from runner.execution.call import Call
from runner.result import Result
from runner.task import Task


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
