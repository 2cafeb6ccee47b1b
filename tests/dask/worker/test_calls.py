"""The calls of a worker's threads, which end when Dask lets go of their tasks, whenever that is."""

import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import pytest

pytest.importorskip("distributed")

from runner.dask.worker.calls import Calls
from runner.dask.worker.host import Host
from runner.dask.worker.plugin import RunnerPlugin

SECONDS = 10.0


def never() -> Future[int]:
    raise AssertionError("it was started")


def done(value: int) -> Future[int]:
    future: Future[int] = Future()
    future.set_result(value)
    return future


def test_a_call_gives_what_it_started_gives() -> None:
    assert Calls().wait("key", lambda: done(3)) == 3


def test_a_call_ends_when_its_task_is_let_go_of() -> None:
    calls, begun = Calls(), threading.Event()
    future: Future[int] = Future()

    def start() -> Future[int]:
        begun.set()
        return future

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(calls.wait, "key", start)
        assert begun.wait(SECONDS)
        calls.cancel("another")
        assert not future.cancelled()
        calls.cancel("key")
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)
    assert future.cancelled()


def test_a_task_that_was_let_go_of_before_its_thread_began_is_not_started() -> None:
    calls = Calls()
    calls.cancel("key")
    with pytest.raises(CancelledError):
        calls.wait("key", never)


def test_a_task_that_is_wanted_again_is_started() -> None:
    calls = Calls()
    calls.cancel("key")
    calls.forget("key")
    assert calls.wait("key", lambda: done(1)) == 1


def test_once_closed_all_calls_end_and_none_begins() -> None:
    calls, begun = Calls(), threading.Event()
    future: Future[int] = Future()

    def start() -> Future[int]:
        begun.set()
        return future

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(calls.wait, "key", start)
        assert begun.wait(SECONDS)
        calls.close()
        with pytest.raises(CancelledError):
            waiting.result(SECONDS)
    with pytest.raises(CancelledError):
        calls.wait("other", never)


def test_a_runner_that_was_closed_under_a_call_has_cancelled_it() -> None:
    calls = Calls()

    def start() -> Future[int]:
        calls._closed = True  # as another thread does just now
        future: Future[int] = Future()
        future.set_exception(RuntimeError("the runner is closed"))
        return future

    with pytest.raises(CancelledError):
        calls.wait("key", start)


def test_the_worker_tells_its_host_what_dask_lets_go_of() -> None:
    plugin, host = RunnerPlugin(), object.__new__(Host)
    host.calls = Calls()
    plugin._state = host
    plugin.transition("key", "ready", "executing")
    plugin.transition("key", "executing", "released")
    with pytest.raises(CancelledError):
        host.calls.wait("key", never)
    # The scheduler sent it again, before its thread was done with it.
    plugin.transition("key", "cancelled", "waiting")
    assert host.calls.wait("key", lambda: done(2)) == 2
