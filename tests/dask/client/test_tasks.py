"""Tasks of bundles on a real cluster: a scheduler and workers on loopback."""

import asyncio
import gc
import os
import pickle
import platform
import re
import signal
import weakref
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from children import still_running

pytest.importorskip("distributed")

import dask
import distributed
from conftest import kept_venv, write_bundle
from distributed import Client
from loopback import DaskCluster
from studies import SECONDS, WIRE, descendants, failing, make_bundle, runs_tasks, seeds, wait_until

import runner.dask
from runner import Runner, RunnerError
from runner.dask.client import in_flight, study, watch
from runner.dask.client.batches import MOST_TASKS, WINDOW
from runner.dask.worker.bundles import BUNDLE
from runner.dask.worker.output_log import TOPIC
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import TaskInfo
from runner.events import Phase
from runner.result import Result
from runner.task import Task


def test_a_study_has_the_results_of_a_local_run(client: Client, bundle: Path, cache: Path) -> None:
    tasks = seeds()
    there = [dict(one) for one in runner.dask.map(client, bundle, tasks)]  # type: ignore[call-overload]
    with Runner(cache=cache) as local:
        here = [dict(one) for one in local.map(bundle, tasks)]  # type: ignore[call-overload]
    assert there == here


CARELESS = """
import random
import numpy as np
rng = random.Random()
entropy = random.SystemRandom()
NAMES = {"ann", "bob", "cem", "dan", "eve", "fay", "gus"}
DRAWN = random.random()
def wire(entrypoint, params, seed):
    drawn = DRAWN, random.random(), np.random.random(), rng.random(), *NAMES
    drawn += np.random.default_rng().random(),
    entropy.random()
    return {"drawn": repr(drawn).encode()}
"""


def test_a_careless_model_gives_the_same_on_a_cluster_as_here(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A nanny sets a seed of hashes for its worker, which nobody has here, and a number of threads.
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    careless = make_bundle(tmp_path / "careless", CARELESS, "numpy\n")
    environ = {"MODELOPS_CACHE_DIR": str(cache)}
    with (
        DaskCluster(1, nanny=True, environ=environ) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        there = list(runner.dask.map(client, careless, seeds(tasks=6)))
    for isolation in ("warm", "fork", "fresh"):
        with Runner(cache=cache, isolation=isolation) as local:
            here = list(local.map(careless, seeds(tasks=6)))
        assert [one["drawn"] for one in here] == [one["drawn"] for one in there]
    assert len({one["drawn"] for one in there}) == 6
    # What no seed reaches is said, there too, and so is what the libraries were told.
    assert {one.notes[0].partition(":")[0] for one in there} == {"wire.py"}
    assert {one.threads for one in there} == {1}


def test_results_come_unordered_with_their_numbers(client: Client, bundle: Path) -> None:
    outcomes = dict(runner.dask.map_unordered(client, bundle, seeds()))
    assert {number: int(one["seed"]) for number, one in outcomes.items()} == {  # type: ignore[index]
        number: number for number in range(20)
    }


def test_one_task_comes_in_a_future(client: Client, bundle: Path) -> None:
    future = runner.dask.submit(client, bundle, Task("sum", {"numbers": [1, 2]}, seed=3))
    result = future.result(SECONDS)
    assert result["sum"] == b"3"
    assert result.bundle.path == str(bundle)


def bundles_at(client: Client) -> set[str]:
    """Those that the scheduler keeps, and those that a worker does."""
    kept = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
    there = client.run(lambda dask_worker: list(dask_worker.plugins))
    return {one for names in (kept, *there.values()) for one in names if one.startswith(BUNDLE)}


@pytest.mark.parametrize("killed", [False, True])
def test_a_bundle_is_kept_for_as_long_as_a_client_needs_it(
    client: Client, two: DaskCluster, tmp_path: Path, killed: bool
) -> None:
    before = bundles_at(client)
    # Content of its own, or it is the one of other tests.
    folder = make_bundle(tmp_path / f"own-{killed}", WIRE + f"# {killed}\n")
    other = Client(two.address, set_as_default=False)
    third = Client(two.address, set_as_default=False)
    try:
        for one in (other, third):
            runner.dask.submit(one, folder).result(SECONDS)
        (kept,) = bundles_at(client) - before
        other.close()
        assert runner.dask.submit(third, folder, Task(seed=2)).result(SECONDS)["seed"] == b"2"
        assert bundles_at(client) == before | {kept}
        if killed:
            third.sync(third.scheduler_comm.comm.close)  # as the kernel does for a dead process
        else:
            third.close()
        wait_until(lambda: bundles_at(client) == before)
    finally:
        other.close()
        third.close()


@pytest.mark.parametrize("entrypoint", ["seed", "raise"])
def test_a_result_goes_with_its_last_reference(
    client: Client, bundle: Path, entrypoint: str
) -> None:
    submit, gone = runner.dask.submit, []
    gc.disable()  # a cycle would stay
    try:
        for seed in range(3):
            future = submit(client, bundle, Task(entrypoint, seed=seed))
            future.exception(SECONDS)
            gone.append(weakref.ref(future))
        del future
        wait_until(lambda: not [one for one in gone if one() is not None])
    finally:
        gc.enable()


def test_a_client_holds_no_more_results_than_its_window(client: Client, bundle: Path) -> None:
    process = psutil.Process()
    tasks = [Task("large", seed=seed) for seed in range(100)]
    gc.disable()  # a cycle would stay
    try:
        before, most = process.memory_info().rss, 0
        for seed, result in enumerate(runner.dask.map(client, bundle, tasks)):
            assert result["large"][:1] == bytes([seed])
            most = max(most, process.memory_info().rss - before)
    finally:
        gc.enable()
    # All are 300 MiB; the window's are 16 at most, some of them received and decoded at the time.
    assert most < 150 << 20, most


def test_what_a_caller_says_of_its_tasks_holds_for_them_only(
    two: DaskCluster, client: Client, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    able = two.add_worker(None, "--resources", "gpu=1")
    tasks = [Task("print", seed=seed) for seed in range(70, 78)]
    with dask.annotate(resources={"gpu": 1}):
        results = list(runner.dask.map(client, bundle, tasks))
    assert [int(one["seed"]) for one in results] == list(range(70, 78))
    assert "hello 77" in able.text()
    assert not any(re.search(r"hello 7\d", one.text()) for one in two.workers[:2])
    # All were asked whether they answer, and all have the environment.
    assert not caplog.records


def test_inputs_go_along(client: Client, tmp_path: Path) -> None:
    wire = "def wire(entrypoint, params, seed):\n    return {'n': bytes(params['data'])[::-1]}\n"
    reverse = make_bundle(tmp_path / "reverse", wire)
    future = runner.dask.submit(client, reverse, Task(inputs={"data": bytearray(b"abc")}))
    assert future.result(SECONDS)["n"] == b"cba"


def test_a_task_that_fails_raises_its_report(client: Client, bundle: Path) -> None:
    error = failing(
        lambda: runner.dask.submit(client, bundle, Task("raise", seed=7)).result(SECONDS)
    )
    report = error.report
    assert report.code is Code.TASK_RAISED and "seed 7 is bad" in report.summary
    assert report.bundle is not None and report.bundle.path == str(bundle)
    assert error.report.exception is not None
    assert pickle.loads(pickle.dumps(error)).report == report


def test_the_first_failure_ends_a_map(client: Client, bundle: Path) -> None:
    error = failing(lambda: list(runner.dask.map(client, bundle, seeds("raise"))))
    assert "seed 0 is bad" in error.report.summary


def test_failures_come_in_the_results_place_where_asked_for(client: Client, bundle: Path) -> None:
    tasks = [Task("raise" if seed % 2 else None, {}, seed) for seed in range(10)]
    outcomes = list(runner.dask.map(client, bundle, tasks, return_exceptions=True))
    assert [isinstance(one, RunnerError) for one in outcomes] == [False, True] * 5


def test_what_is_no_task_is_a_type_error(client: Client, bundle: Path) -> None:
    tasks: Any = [Task(seed=1), {"seed": 2}]
    with pytest.raises(TypeError, match=r"a task is a runner\.Task, not a dict"):
        list(runner.dask.map(client, bundle, tasks, return_exceptions=True))


def test_a_seed_of_another_library_is_an_integer(client: Client, bundle: Path) -> None:
    numpy = pytest.importorskip("numpy")
    tasks = [Task(seed=seed) for seed in numpy.arange(3)]
    assert [one["seed"] for one in runner.dask.map(client, bundle, tasks)] == [b"0", b"1", b"2"]


def test_a_task_that_cannot_be_sent_is_a_failure_like_any_other(
    client: Client, bundle: Path
) -> None:
    tasks = [Task(seed=1), Task(params={"a": {1, 2}}), Task(seed=3)]
    one, refused, three = runner.dask.map(client, bundle, tasks, return_exceptions=True)
    assert isinstance(refused, RunnerError) and refused.report.code is Code.PARAMS_INVALID
    assert not isinstance(one, RunnerError) and not isinstance(three, RunnerError)
    assert (one["seed"], three["seed"]) == (b"1", b"3")
    error = failing(lambda: list(runner.dask.map(client, bundle, tasks)))
    assert error.report.code is Code.PARAMS_INVALID


def test_parameters_that_are_no_json_are_refused_at_once(client: Client, bundle: Path) -> None:
    error = failing(lambda: runner.dask.submit(client, bundle, Task(params={"a": {1, 2}})))
    assert error.report.code is Code.PARAMS_INVALID


@pytest.mark.parametrize(("entrypoint", "most"), [("large", 2 * WINDOW), (None, MOST_TASKS)])
def test_a_bounded_number_of_tasks_is_taken_ahead(
    client: Client, bundle: Path, entrypoint: str | None, most: int
) -> None:
    taken = 0

    def endless() -> Iterator[Task]:
        nonlocal taken
        for seed in count():
            taken = seed + 1
            yield Task(entrypoint, seed=seed % 256)

    outcomes = runner.dask.map(client, bundle, endless())
    for _ in range(30):
        next(outcomes)
    assert taken <= 30 + most
    outcomes.close()


def test_leaving_a_map_early_ends_its_tasks(
    client: Client, bundle: Path, two: DaskCluster, tmp_path: Path
) -> None:
    marked = [tmp_path / "0", tmp_path / "1"]
    first = Task()
    rest = [Task("mark", {"file": str(file)}) for file in marked]
    outcomes = runner.dask.map(client, bundle, [first, *rest])
    next(outcomes)
    wait_until(lambda: all(file.exists() for file in marked))
    outcomes.close()
    future = runner.dask.submit(client, bundle)
    assert future.result(SECONDS)["seed"] == b"0"
    wait_until(lambda: not runs_tasks(two))


def test_a_cancelled_future_ends_its_task(
    client: Client, bundle: Path, two: DaskCluster, tmp_path: Path
) -> None:
    future = runner.dask.submit(client, bundle, Task("mark", {"file": str(tmp_path / "begun")}))
    wait_until((tmp_path / "begun").exists)
    assert future.cancel()
    wait_until(lambda: not runs_tasks(two))


def test_other_clients_hear_nothing_of_a_task_that_is_given_up(
    client: Client, bundle: Path, two: DaskCluster, tmp_path: Path
) -> None:
    """One that was about to connect would fail by it, as its greeting is to come alone."""
    heard = []
    with Client(two.address, set_as_default=False) as other:
        other._stream_handlers["cancelled-keys"] = lambda keys, **_: heard.append(keys)
        future = runner.dask.submit(client, bundle, Task("mark", {"file": str(tmp_path / "begun")}))
        wait_until((tmp_path / "begun").exists)
        assert future.cancel()
        wait_until(lambda: not runs_tasks(two))
        # What the scheduler says comes in order.
        assert other.submit(int, "1").result(SECONDS) == 1
    assert not heard


def test_what_may_pass_by_itself_is_tried_again(
    client: Client, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "RETRY_SECONDS", 0.01)
    once = {"file": str(tmp_path / "once")}
    future = runner.dask.submit(client, bundle, Task("killed once", once, seed=5))
    assert future.result(SECONDS)["seed"] == b"5"
    again = {"file": str(tmp_path / "again")}
    future = runner.dask.submit(client, bundle, Task("killed once", again), retries=0)
    report = failing(lambda: future.result(SECONDS)).report
    assert (report.code, report.retryable) == (Code.CHILD_CRASHED, True)


def test_what_a_task_writes_is_in_the_workers_log_and_among_the_events(
    client: Client, bundle: Path, two: DaskCluster
) -> None:
    runner.dask.submit(client, bundle, Task("print", seed=41)).result(SECONDS)
    log = "".join(worker.text() for worker in two.workers)
    line = next(line for line in log.splitlines() if "hello 41" in line)
    assert "[modelops-model-" in line and "stdout | hello 41" in line
    assert "stderr | no line end" in log

    def said() -> list[object]:
        return [event.get("line") for _, event in client.get_events(TOPIC)]

    wait_until(lambda: "hello 41" in said())


def test_an_edited_bundle_is_sent_again(client: Client, tmp_path: Path) -> None:
    wire = "def wire(entrypoint, params, seed):\n    return {'n': b'1'}\n"
    edited = make_bundle(tmp_path / "edited", wire)
    assert runner.dask.submit(client, edited).result(SECONDS)["n"] == b"1"
    (edited / "wire.py").write_text(wire.replace("b'1'", "b'two'"))
    time_of = (edited / "wire.py").stat()
    os.utime(edited / "wire.py", ns=(time_of.st_atime_ns, time_of.st_mtime_ns + 1))

    def second() -> bool:  # files are looked at for a bounded share of the time
        return runner.dask.submit(client, edited).result(SECONDS)["n"] == b"two"

    wait_until(second)


@pytest.mark.parametrize(
    ("requirements", "codes", "phase"),
    [
        (
            "no-such-package-of-modelops==1\n",
            {Code.DEPENDENCY_NOT_FOUND, Code.INDEX_UNREACHABLE},
            Phase.ENVIRONMENT,
        ),
        ("--not-an-option\n", {Code.ENVIRONMENT_FAILED}, Phase.ENVIRONMENT),
    ],
)
def test_a_study_that_cannot_run_has_one_report(
    client: Client, tmp_path: Path, requirements: str, codes: set[Code], phase: Phase
) -> None:
    broken = make_bundle(tmp_path / "broken", requirements=requirements)
    taken = []

    def tasks() -> Iterator[Task]:
        for seed in range(100):
            taken.append(seed)
            yield Task(seed=seed)

    outcomes = runner.dask.map(client, broken, tasks(), return_exceptions=True)
    report = failing(lambda: list(outcomes)).report
    assert report.phase is phase and report.code in codes
    assert not taken
    assert report.bundle is not None and report.bundle.path == str(broken)


def test_a_python_that_no_worker_has_is_one_report(client: Client, tmp_path: Path) -> None:
    future = make_bundle(tmp_path / "future")
    (future / "requirements.txt").unlink()
    (future / "pyproject.toml").write_text(
        '[project]\nname = "future"\nversion = "1"\nrequires-python = ">=3.99"\n'
    )
    report = failing(lambda: list(runner.dask.map(client, future, seeds()))).report
    assert report.code is Code.PYTHON_UNSATISFIED
    assert "pyproject.toml:4" in report.summary


def test_a_folder_that_is_no_bundle_is_named_before_anything_is_sent(
    client: Client, tmp_path: Path
) -> None:
    report = failing(lambda: runner.dask.submit(client, tmp_path / "none")).report
    assert report.code is Code.BUNDLE_NOT_FOUND


def test_large_outputs_go_through_the_shared_folder_and_leave_nothing_there(
    two: DaskCluster, bundle: Path, tmp_path: Path
) -> None:
    abandoned, others = tmp_path / "outputs" / "abandoned", tmp_path / "outputs" / "others"
    for folder in (abandoned, others):
        folder.mkdir(parents=True)
        (folder / "large").write_bytes(b"of another client")
    (abandoned / "abandoned").touch()  # as the client before has found
    os.utime(abandoned, (0, 0))
    client = Client(two.address, set_as_default=False)
    outcomes = runner.dask.map(client, bundle, seeds("large", 3), shared=tmp_path)
    results = [one for one in outcomes if isinstance(one, Result)]
    assert [one.buffer("large")[-1] for one in results] == [0, 1, 2]
    assert all(one["large"] == bytes([seed]) * (3 << 20) for seed, one in enumerate(results))
    assert all(one["small"] == b"s" for one in results)
    assert not list(tmp_path.glob(".modelops-*"))
    (mine,) = set((tmp_path / "outputs").iterdir()) - {abandoned, others}
    assert not list(mine.iterdir())  # each was removed once it was mapped
    client.close()
    del client
    gc.collect()  # the client is in cycles of Dask's own
    assert list((tmp_path / "outputs").iterdir()) == [others]
    assert results[2]["large"] == bytes([2]) * (3 << 20)


@pytest.mark.parametrize("killed", [False, True])
def test_outputs_that_nobody_has_come_for_go_with_their_client(
    two: DaskCluster, bundle: Path, tmp_path: Path, killed: bool
) -> None:
    other = Client(two.address, set_as_default=False)
    try:
        large = seeds("large", 2)
        assert len(list(runner.dask.map(other, bundle, large, shared=tmp_path))) == 2
        (mine,) = (tmp_path / "outputs").iterdir()
        (mine / "left").touch()  # as by a task whose result was on its way
        if killed:
            other.sync(other.scheduler_comm.comm.close)  # as the kernel does for a dead process
        else:
            other.close()
        wait_until(lambda: not mine.exists())
    finally:
        other.close()


def test_a_bundle_that_is_too_large_for_the_scheduler_goes_through_the_shared_folder(
    client: Client, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_bundle(tmp_path / "large")
    monkeypatch.setattr(study, "MAX_ARCHIVE_BYTES", 10)
    report = failing(lambda: runner.dask.submit(client, large)).report
    assert report.code is Code.CLUSTER_UNFIT and "shared" in report.hints[0].title
    (tmp_path / "shared").mkdir()
    future = runner.dask.submit(client, large, Task(seed=9), shared=tmp_path / "shared")
    assert future.result(SECONDS)["seed"] == b"9"


def test_a_folder_that_is_not_shared_is_named(client: Client, bundle: Path, tmp_path: Path) -> None:
    missing = tmp_path / "file" / "folder"
    (tmp_path / "file").write_text("")
    report = failing(lambda: runner.dask.submit(client, bundle, shared=missing)).report
    assert report.code is Code.CLUSTER_UNFIT and str(missing) in report.summary


def test_a_cache_that_cannot_be_written_to_does_for_a_bundle_that_was_prepared(
    bundle: Path, tmp_path: Path
) -> None:
    prepared = tmp_path / "cache"
    with Runner(cache=prepared) as local:
        local.check(bundle, build=True)
    (prepared / "bundles").write_text("a file where the folder should be")
    environ = {"MODELOPS_CACHE_DIR": str(prepared), "DASK_MODELOPS_RUNNER__OFFLINE": "true"}
    with (
        DaskCluster(1, environ=environ) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        assert runner.dask.submit(client, bundle).result(SECONDS)["seed"] == b"0"


def test_a_worker_with_wrong_settings_refuses_tasks(bundle: Path) -> None:
    with (
        DaskCluster(1, environ={"DASK_MODELOPS_RUNNER__TIMEOUT": "soon"}) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        report = failing(lambda: runner.dask.submit(client, bundle)).report
        assert report.code is Code.CLUSTER_UNFIT
        assert "timeout" in report.summary and started.workers[0].address in report.summary
        assert "this worker refuses tasks" in started.workers[0].text()


def test_each_task_completes_once_when_a_worker_is_killed(
    two: DaskCluster, client: Client, bundle: Path
) -> None:
    left = []
    results = []
    tasks = seeds("sleep", 30, seconds=0.02)
    for number, result in runner.dask.map_unordered(client, bundle, tasks):
        results.append(number)
        assert int(result["seed"]) == number  # type: ignore[index]
        if len(results) == 10:
            left = psutil.Process(two.workers[0].pid).children(recursive=True)
            os.kill(two.workers[0].pid, signal.SIGKILL)
    assert sorted(results) == list(range(30))
    assert left and not still_running(left, SECONDS)


def test_a_task_that_kills_its_workers_is_a_failure_and_the_others_go_on(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    tasks = [Task("kill the worker", {"beta": 7}), *seeds(tasks=20)]

    def run() -> list[Result | RunnerError]:
        options: Any = {"return_exceptions": True, "output": tmp_path / "results"}
        return list(runner.dask.map(client, bundle, tasks, **options))

    # All tasks that wait on the one worker die with it as often as the one that kills it.
    with (
        DaskCluster(
            1, nanny=True, environ={"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
        ) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        failure, *others = run()
        assert isinstance(failure, RunnerError)
        report = failure.report
        assert report.code is Code.WORKER_LOST and not report.retryable
        assert report.bundle is not None and report.bundle.path == str(bundle)
        assert isinstance(report.task, TaskInfo) and report.task.params == '{"beta": 7}'
        assert [int(one["seed"]) for one in others if isinstance(one, Result)] == [*range(20)]
        workers = list(client.nthreads())
        again, *_ = run()
        assert isinstance(again, RunnerError) and again.report.summary == report.summary
        assert list(client.nthreads()) == workers


def test_a_scheduler_that_is_killed_is_an_error_and_leaves_no_child(
    two: DaskCluster, bundle: Path, tmp_path: Path
) -> None:
    # For so long, the client looks for another one in its place.
    with Client(two.address, set_as_default=False, timeout=3) as client:
        outcomes = runner.dask.map(client, bundle, seeds("sleep", 1000, seconds=0.01))
        next(outcomes)
        begun = tmp_path / "begun"
        future = runner.dask.submit(client, bundle, Task("mark", {"file": str(begun)}), priority=1)
        wait_until(begun.exists)
        children = descendants(two)
        os.kill(two.scheduler.pid, signal.SIGKILL)
        report = failing(lambda: future.result(SECONDS)).report
        assert report.code is Code.WORKER_LOST and "scheduler" in report.summary
        assert failing(lambda: list(outcomes)).report.code is Code.WORKER_LOST
    assert children and not still_running(children, SECONDS)


def test_a_cluster_that_is_told_to_end_ends_its_children(
    two: DaskCluster, bundle: Path, tmp_path: Path
) -> None:
    with Client(two.address, set_as_default=False, timeout=3) as client:
        begun = tmp_path / "begun"
        future = runner.dask.submit(client, bundle, Task("mark", {"file": str(begun)}))
        wait_until(begun.exists)
        children = descendants(two)
        for process in (two.scheduler, *two.workers):
            os.kill(process.pid, signal.SIGTERM)
        assert failing(lambda: future.result(SECONDS)).report.code is Code.WORKER_LOST
    # The worker's own process may stay for ever, with or without us: Dask waits for the
    # scheduler that was told to end with it.
    assert children and not still_running(children, SECONDS)


def test_an_asynchronous_client_is_refused(two: DaskCluster, bundle: Path) -> None:
    async def call() -> None:
        async with Client(two.address, asynchronous=True) as client:
            runner.dask.submit(client, bundle)

    with pytest.raises(TypeError, match="asynchronous"):
        asyncio.run(call())


# Dask's own, of the packages that came out since uv.lock was written.
@pytest.mark.filterwarnings("ignore::distributed.versions.VersionMismatchWarning")
def test_a_cluster_without_the_runner_is_named_before_anything_is_sent(bundle: Path) -> None:
    version = ".".join(platform.python_version_tuple()[:2])
    bare = kept_venv(version, f"distributed=={distributed.__version__}")
    with (
        DaskCluster(1, python=bare, environ={"PYTHONPATH": ""}) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        report = failing(lambda: runner.dask.submit(client, bundle)).report
        assert report.code is Code.CLUSTER_UNFIT
        assert "modelops-runner" in report.summary and "has none" in report.summary


def test_a_closed_client_ends_a_map(bundle: Path, two: DaskCluster) -> None:
    client = Client(two.address, set_as_default=False)
    outcomes = runner.dask.map(client, bundle, [Task(), Task("sleep", {"seconds": 1000})])
    next(outcomes)
    client.close()
    report = failing(lambda: next(outcomes)).report
    assert report.code is Code.WORKER_LOST and report.summary.startswith("the client is closed")


def test_each_task_has_a_working_folder_and_what_it_leaves_comes_back(
    client: Client, tmp_path: Path
) -> None:
    bundle = write_bundle(
        tmp_path / "writing",
        "def wire(entrypoint, params, seed):\n"
        "    with open('out.csv', 'a') as file: file.write(str(seed))\n"
        "    return {'read': open('out.csv', 'rb').read()}\n",
    )
    tasks = (Task(None, {}, seed) for seed in range(8))
    for seed, result in runner.dask.map_unordered(client, bundle, tasks):
        assert result["read"] == str(seed).encode()
        assert dict(result.files) == {"out.csv": str(seed).encode()}
