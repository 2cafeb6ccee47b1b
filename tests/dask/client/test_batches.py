"""Small tasks go to a worker several in one call, and each has what it would have alone."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed import Client
from loopback import DaskCluster
from studies import runs_tasks, seeds, wait_until

import runner.dask
from runner import RunnerError
from runner.dask.answer import Answer
from runner.dask.client import batches
from runner.dask.client.batches import Batches
from runner.diagnosis.report.codes import Code
from runner.execution.bounded_map import Window
from runner.result import Result
from runner.task import Task

# One of them is another one.
ODD = 40


@pytest.fixture
def mortal() -> Iterator[Client]:
    """A client whose workers may die: four do, of what kills two in company and two alone."""
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with (
        DaskCluster(5, environ=allowed) as started,
        Client(started.address, set_as_default=False) as connected,
    ):
        yield connected


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long they take on it, they are small."""
    monkeypatch.setattr(batches, "CALL_SECONDS", 1.0)


def calls(client: Client) -> int:
    """How many calls the scheduler has had."""

    # Local functions, which go by value: the cluster has no module of this name.
    def keys(dask_scheduler: Any) -> int:
        log = dask_scheduler.transition_log
        return len({one[0] for one in log if str(one[0]).startswith("counted")})

    found: int = client.run_on_scheduler(keys)
    return found


def with_one(odd: Task, tasks: int = 60) -> list[Task]:
    return [Task(seed=seed) if seed != ODD else odd for seed in range(tasks)]


def test_small_tasks_share_calls_and_each_has_its_own_outcome(client: Client, bundle: Path) -> None:
    tasks = [Task("raise" if seed % 7 == 0 else None, seed=seed) for seed in range(60)]
    for seed, outcome in enumerate(
        runner.dask.map(client, bundle, tasks, return_exceptions=True, key="counted")
    ):
        if seed % 7 == 0:
            assert isinstance(outcome, RunnerError)
            assert outcome.report.code is Code.TASK_RAISED
            assert f"seed {seed} is bad" in outcome.report.summary
        else:
            assert isinstance(outcome, Result) and outcome["seed"] == str(seed).encode()
    assert calls(client) < 45


def test_one_that_hangs_does_not_keep_those_that_it_shares_a_call_with(
    two: DaskCluster, client: Client, bundle: Path
) -> None:
    tasks = with_one(Task("sleep", {"seconds": 1000}, seed=ODD))
    outcomes = runner.dask.map_unordered(client, bundle, tasks)
    found = sorted(next(outcomes)[0] for _ in range(len(tasks) - 1))
    assert found == [seed for seed in range(len(tasks)) if seed != ODD]
    assert runs_tasks(two)
    outcomes.close()
    wait_until(lambda: not runs_tasks(two))


def test_one_that_takes_longer_than_its_call_may_has_its_result(
    client: Client, bundle: Path
) -> None:
    tasks = with_one(Task("sleep", {"seconds": 2}, seed=ODD))
    found = [int(one["seed"]) for one in runner.dask.map(client, bundle, tasks)]
    assert found == list(range(len(tasks)))


def test_one_that_kills_its_child_is_the_failure(client: Client, bundle: Path) -> None:
    tasks = with_one(Task("kill", seed=ODD))
    outcomes = list(runner.dask.map(client, bundle, tasks, return_exceptions=True, retries=0))
    (failure,) = (one for one in outcomes if isinstance(one, RunnerError))
    assert outcomes.index(failure) == ODD
    assert failure.report.evidence is not None and failure.report.child is not None
    assert failure.report.child.signal == signal.SIGKILL.name


def test_one_that_kills_its_worker_takes_no_other_along(mortal: Client, bundle: Path) -> None:
    tasks = with_one(Task("kill the worker", seed=ODD))
    outcomes = list(runner.dask.map(mortal, bundle, tasks, return_exceptions=True))
    failure = outcomes.pop(ODD)
    assert isinstance(failure, RunnerError)
    assert failure.report.code is Code.WORKER_LOST and not failure.report.retryable
    seeds_of_others = [int(one["seed"]) for one in outcomes if isinstance(one, Result)]
    assert seeds_of_others == [seed for seed in range(len(tasks)) if seed != ODD]


def test_a_worker_that_dies_once_has_its_call_made_again(
    mortal: Client, bundle: Path, tmp_path: Path
) -> None:
    tasks = with_one(Task("kill the worker once", {"file": str(tmp_path / "killed")}, seed=ODD))
    found = [int(one["seed"]) for one in runner.dask.map(mortal, bundle, tasks)]
    assert found == list(range(len(tasks)))


def test_nothing_of_a_map_that_was_left_stays(client: Client, bundle: Path) -> None:
    outcomes = runner.dask.map(client, bundle, seeds(tasks=500))
    for _ in range(30):
        next(outcomes)
    outcomes.close()

    def left(dask_scheduler: Any) -> int:
        return len(dask_scheduler.tasks)

    wait_until(lambda: client.run_on_scheduler(left) == 0)


def test_a_call_has_as_many_tasks_as_its_time_and_its_bytes_are_enough_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "CALL_SECONDS", 0.1)

    async def call(_: object) -> list[Answer]:
        raise AssertionError("nothing is sent")

    def size(seconds: float, size: int, threads: int = 4) -> int:
        some = Batches(call, lambda: threads, Window([], 1, ordered=True))
        assert some.size == 1  # nothing is known yet
        some.learn(seconds, size)
        return some.size

    assert size(0.01, 10) == 10
    assert size(0.2, 10) == 1
    assert size(0.01, 1 << 19) == 2
    assert size(0.01, 50 << 20) == 1
    assert size(0.001, 10, threads=1000) == 1


def test_large_results_stay_on_their_workers_until_those_before_are_read(
    two: DaskCluster, client: Client, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "HERE_BYTES", 8 << 20)
    runner.dask.submit(client, bundle).result()
    outcomes = runner.dask.map(client, bundle, seeds("large", 16))
    assert next(outcomes)["large"][:1] == b"\0"
    # Eight are in hand: the one that is read, two of 3 MiB that may come, and those that may not.
    there = lambda: sum(map(len, client.has_what().values()))  # noqa: E731
    wait_until(lambda: there() >= 5)
    os.kill(frozen := two.workers[0].pid, signal.SIGSTOP)
    try:
        # Nor does the map wait for those that are on a worker which does not answer.
        assert [one["large"][0] for one in outcomes] == list(range(1, 16))
    finally:
        os.kill(frozen, signal.SIGCONT)
