"""The calls of a worker's threads, which end when Dask lets go of their tasks, whenever that is."""

import threading
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

pytest.importorskip("distributed")

from runner.dask.worker.host import Calls, Host
from runner.dask.worker.plugin import RunnerPlugin
from runner.execution.bounded_map import Calls as Stops

SECONDS = 10.0


def never(_: Stops) -> int:
    raise AssertionError("it was started")


class Waiting:
    """A call that waits until it is stopped."""

    def __init__(self) -> None:
        self.begun, self.stopped = threading.Event(), threading.Event()

    def __call__(self, stops: Stops) -> int:
        with stops.under_way(self.stopped.set):
            self.begun.set()
            assert self.stopped.wait(SECONDS)
        return 0


def test_a_call_gives_what_it_started_gives() -> None:
    assert Calls().run("key", lambda _: 3) == 3


def test_a_call_ends_when_its_task_is_let_go_of() -> None:
    calls, call = Calls(), Waiting()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(calls.run, "key", call)
        assert call.begun.wait(SECONDS)
        calls.cancel("another")
        assert not call.stopped.is_set()
        calls.cancel("key")
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)


def test_a_task_that_was_let_go_of_before_its_thread_began_is_not_started() -> None:
    calls = Calls()
    calls.cancel("key")
    with pytest.raises(CancelledError):
        calls.run("key", never)


def test_a_task_that_is_wanted_again_is_started() -> None:
    calls = Calls()
    calls.cancel("key")
    calls.forget("key")
    assert calls.run("key", lambda _: 1) == 1


def test_once_closed_all_calls_end_and_none_begins() -> None:
    calls, call = Calls(), Waiting()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(calls.run, "key", call)
        assert call.begun.wait(SECONDS)
        calls.close()
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)
    with pytest.raises(CancelledError):
        calls.run("other", never)


def test_a_runner_that_was_closed_under_a_call_has_cancelled_it() -> None:
    calls = Calls()

    def call(_: Stops) -> int:
        calls.close()  # as another thread does just now
        raise RuntimeError("the runner is closed")

    with pytest.raises(CancelledError):
        calls.run("key", call)


def test_the_worker_tells_its_host_what_dask_lets_go_of() -> None:
    plugin, host = RunnerPlugin(), object.__new__(Host)
    host.calls = Calls()
    plugin._state = host
    plugin.transition("key", "ready", "executing")
    plugin.transition("key", "executing", "released")
    with pytest.raises(CancelledError):
        host.calls.run("key", never)
    # The scheduler sent it again, before its thread was done with it.
    plugin.transition("key", "cancelled", "waiting")
    assert host.calls.run("key", lambda _: 2) == 2
