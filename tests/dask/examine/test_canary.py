"""Something small sent to real workers, and what is said where it does not come back."""

import operator
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("distributed")

from distributed import Client, Future
from loopback import DaskCluster

from runner.dask.examine.canary import Send, canary, send_importable, send_lambda
from runner.doctor.observation import Observation, Verdict

STEPS: dict[str, Send] = {"an importable function": send_importable, "a lambda": send_lambda}


@pytest.fixture
def client(two: DaskCluster) -> Iterator[Client]:
    connected = Client(two.address, set_as_default=False, timeout=10)
    try:
        yield connected
    finally:
        connected.close(timeout=2)


def calling(function: Callable[..., object], *arguments: object) -> Send:
    def send(client: Client, worker: str) -> Future:
        pinned = {"workers": [worker], "allow_other_workers": False, "pure": False}
        return client.submit(function, *arguments, **pinned)

    return send


def failing(client: Client, worker: str, send: Send, seconds: float = 20.0) -> Observation:
    """The observation on a step that fails; what would come after it is not sent."""
    steps = {"an importable function": send_importable, "the step": send, "never": unreachable}
    ran, failed = canary(client, [worker], steps, seconds)
    assert ran.verdict is Verdict.OK
    assert failed.subject == "canary: the step"
    return failed


def unreachable(client: Client, worker: str) -> Future:
    raise AssertionError("sent after a step that failed")


def test_each_step_runs_on_each_worker(two: DaskCluster, client: Client) -> None:
    workers = [worker.address for worker in two.workers]
    seen = canary(client, workers, STEPS, 20.0)
    assert [(one.subject, one.verdict) for one in seen] == [
        ("canary: an importable function", Verdict.OK),
        ("canary: a lambda", Verdict.OK),
    ]
    assert all(worker in one.text for worker in workers for one in seen)


def test_a_step_that_raises_is_named_with_its_worker(two: DaskCluster, client: Client) -> None:
    worker = two.workers[1].address
    failed = failing(client, worker, calling(operator.truediv, 1, 0))
    assert failed.verdict is Verdict.PROBLEM
    assert failed.text == f"failed on {worker}: ZeroDivisionError: division by zero"


def test_a_step_that_raises_a_timeout_of_its_own_has_come_back(
    two: DaskCluster, client: Client
) -> None:
    raising = calling(exec, "raise TimeoutError('its own')")
    failed = failing(client, two.workers[0].address, raising)
    assert failed.text.startswith("failed on ") and "TimeoutError: its own" in failed.text


def test_a_worker_that_dies_of_a_step_is_named_and_no_other_is_tried(
    two: DaskCluster, client: Client
) -> None:
    victim, other = two.workers
    failed = failing(client, victim.address, calling(os.abort), 3.0)
    assert failed.verdict is Verdict.PROBLEM
    assert failed.text == f"the worker {victim.address} died, or left, with it"
    assert victim.process.wait(10) == -signal.SIGABRT
    assert other.alive


def test_a_worker_that_hangs_is_named(two: DaskCluster, client: Client) -> None:
    hung = two.workers[0]
    hung.process.send_signal(signal.SIGSTOP)
    (failed,) = canary(client, [hung.address], {"a lambda": send_lambda}, 0.5)
    assert failed.verdict is Verdict.PROBLEM
    assert f"not back from {hung.address} in time, though it has nothing else to do" in failed.text


def test_a_worker_that_is_busy_is_no_problem(two: DaskCluster, client: Client) -> None:
    worker = two.workers[0].address
    busy = calling(time.sleep, 100)(client, worker)
    (waiting,) = canary(client, [worker], {"a lambda": send_lambda}, 0.5)
    assert waiting.verdict is Verdict.WARNING
    assert "it has 1 other task to do" in waiting.text
    assert busy.status == "pending"
    two.workers[0].stop()  # its thread sleeps on


def test_a_scheduler_that_hangs_is_named(two: DaskCluster, client: Client) -> None:
    two.scheduler.process.send_signal(signal.SIGSTOP)
    (failed,) = canary(client, [two.workers[0].address], {"a lambda": send_lambda}, 0.5)
    assert failed.verdict is Verdict.PROBLEM
    assert "the scheduler does not answer any more" in failed.text
    two.scheduler.process.send_signal(signal.SIGCONT)


def test_what_did_not_come_back_is_cancelled(two: DaskCluster, client: Client) -> None:
    (worker, _) = two.workers
    keys: list[str] = []

    def send(client: Client, address: str) -> Future:
        future = calling(time.sleep, 100)(client, address)
        keys.append(future.key)
        return future

    canary(client, [worker.address], {"asleep": send}, 0.5)
    deadline = time.monotonic() + 10
    while any(keys[0] in held for held in client.processing().values()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    two.workers[0].stop()
