"""Results that stay on the workers of a real cluster, and tasks that take them from there."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import still_running

pytest.importorskip("distributed")

import dask
import distributed
from distributed import Client, as_completed, wait
from loopback import DaskCluster
from studies import SECONDS, WIRE, failing, make_bundle, seeds, wait_until

import runner.dask
from runner import Runner, RunnerError, Task
from runner.dask.scheduler import NOWHERE
from runner.dask.worker.bundles import BUNDLE
from runner.diagnosis.report.codes import Code

FUNCTIONS = """
def total(entrypoint, params, seed):
    given = params.values()
    buffers = [one for some in given for one in (some.values() if type(some) is dict else [some])]
    return {"total": str(sum(map(len, buffers))).encode(), "names": repr(sorted(params)).encode()}
def pid(entrypoint, params, seed):
    Path(params["file"]).write_text(str(os.getpid()))
    time.sleep(1000)
"""
PYPROJECT = '[tool.modelops]\nfunctions = {total = "wire:total", pid = "wire:pid"}\n'
LARGE = 3 << 20


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_bundle(tmp_path_factory.mktemp("bundles") / "model", WIRE + FUNCTIONS)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    return folder


@pytest.fixture
def client(two: DaskCluster) -> Iterator[Client]:
    with Client(two.address) as connected:
        yield connected


def test_kept_results_are_futures_of_the_client_and_the_same_as_here(
    client: Client, bundle: Path, cache: Path
) -> None:
    kept = runner.dask.map(client, bundle, seeds("large", 4), keep=True)
    assert {type(one) for one in kept} == {distributed.Future}
    assert wait(kept, timeout=SECONDS).not_done == set()
    assert {one.key for one in as_completed(kept, timeout=SECONDS)} == {one.key for one in kept}
    # By that the scheduler decides where what needs them runs.
    assert min(client.nbytes([one.key for one in kept], summary=False).values()) > LARGE
    seed = client.submit(lambda result: result["large"][:1], kept[2], pure=False)
    assert seed.result(SECONDS) == b"\2"
    size = dask.delayed(lambda result: len(result["large"]))(kept[3])  # type: ignore[attr-defined]
    assert client.compute(size).result(SECONDS) == LARGE
    there = client.gather(kept)
    with Runner(cache=cache) as local:
        here = list(local.map(bundle, seeds("large", 4)))
    assert [dict(one) for one in there] == [dict(one) for one in here]
    assert {one.bundle.path for one in there} == {str(bundle)}


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_task_takes_from_the_cluster_does_not_come_here(
    keep: bool, client: Client, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []
    unpickled = runner.result._unpickled

    def count(values: Any, rest: Any) -> Any:
        came.append(sum(map(len, values.values())))
        return unpickled(values, rest)

    monkeypatch.setattr(runner.result, "_unpickled", count)
    kept = runner.dask.map(client, bundle, seeds("large", 3), keep=True)
    plain = client.submit(bytes, 7, pure=False)
    inputs = {**{str(seed): one for seed, one in enumerate(kept)}, "plain": plain, "own": b"12"}
    task = Task(function="total", inputs=inputs)
    future = runner.dask.submit(client, bundle, task, keep=keep)  # type: ignore[call-overload]
    assert future.result(SECONDS)["total"] == str(3 * (LARGE + 1) + 7 + 2).encode()
    assert future.result()["names"] == b"['0', '1', '2', 'own', 'plain']"
    assert max(came) < 1000


def test_where_tasks_run_and_what_they_are_called_is_the_callers(
    two: DaskCluster, client: Client, bundle: Path
) -> None:
    able = two.add_worker(None, "--resources", "GPU=1")
    first = two.workers[0]
    tasks = seeds("print", 4)
    kept = runner.dask.map(
        client, bundle, tasks, keep=True, key="beta=0.3", priority=2, resources={"GPU": 1}
    )
    wait(kept, timeout=SECONDS)
    assert {one.key.partition("-")[0] for one in kept} == {"beta=0.3"}
    assert set(client.who_has(kept).values()) == {(able.address,)}
    named = runner.dask.map(client, bundle, tasks, keep=True, workers=first.address)
    wait(named, timeout=SECONDS)
    assert set(client.who_has(named).values()) == {(first.address,)}
    priorities = client.run_on_scheduler(
        lambda dask_scheduler: [task.annotations for task in dask_scheduler.tasks.values()]
    )
    assert {"priority": 2} in [{"priority": one.get("priority")} for one in priorities if one]
    for where, worker in (
        ({"workers": [first.address], "key": "there"}, first),
        ({"resources": {"GPU": 1}, "key": "able"}, able),
    ):
        assert len(list(runner.dask.map(client, bundle, tasks, **where))) == 4  # type: ignore[arg-type]
        worker.wait_for(rf"\[{where['key']}-\w+\] stdout \| hello 3")


def test_a_kept_task_that_fails_raises_its_report_and_so_does_what_needs_it(
    client: Client, bundle: Path
) -> None:
    (bad,) = runner.dask.map(client, bundle, [Task("raise", seed=3)], keep=True)
    error = failing(lambda: bad.result(SECONDS))
    assert (error.report.code, error.report.bundle and error.report.bundle.path) == (
        Code.TASK_RAISED,
        str(bundle),
    )
    task = Task(function="total", inputs={"x": bad})
    for keep in (False, True):
        future = runner.dask.submit(client, bundle, task, keep=keep)  # type: ignore[call-overload]
        again = failing(lambda: future.result(SECONDS))  # noqa: B023 - called at once
        assert (again.report.code, again.report.summary) == (Code.TASK_RAISED, error.report.summary)


def test_a_report_names_the_files_of_the_bundle_also_where_results_were_kept(
    client: Client, bundle: Path
) -> None:
    wait(runner.dask.map(client, bundle, seeds(tasks=8), keep=True), timeout=SECONDS)
    errors = runner.dask.map(client, bundle, seeds("raise", 4), return_exceptions=True)
    for error in errors:
        assert isinstance(error, RunnerError)
        assert error.report.summary.startswith("ValueError in wire.py:")


def test_where_all_workers_are_new_kept_tasks_wait_until_these_are_known(
    two: DaskCluster, client: Client, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wait(runner.dask.map(client, bundle, seeds(tasks=2), keep=True), timeout=SECONDS)
    for one in two.workers[:]:
        one.stop()
    new = two.add_worker()
    wait_until(lambda: set(client.nthreads()) == {new.address})
    kept = runner.dask.map(client, bundle, seeds(tasks=4), keep=True)
    assert [one["seed"] for one in client.gather(kept)] == [b"0", b"1", b"2", b"3"]
    assert NOWHERE not in caplog.text


def test_an_input_that_is_not_there_or_none_is_named(client: Client, bundle: Path) -> None:
    gone = client.submit(bytes, 3, pure=False)
    gone.cancel()
    broken = client.submit(int, "x", pure=False)
    for future, summary in (
        (gone, "the input 'x' is not there: its future was cancelled"),
        (broken, "the input 'x' failed: ValueError: invalid literal for int() with base 10: 'x'"),
        (client.submit(list, pure=False), "the input 'x' is a list, not a buffer such as bytes"),
    ):
        task = Task(function="total", inputs={"x": future})
        error = failing(lambda: runner.dask.submit(client, bundle, task).result(SECONDS))  # noqa: B023
        assert error.report.code is Code.PARAMS_INVALID
        assert error.report.summary.startswith(summary)


def test_a_function_that_is_not_there_is_told_before_anything_is_sent(
    client: Client, bundle: Path
) -> None:
    wrong = Task(function="totel")
    for send in (
        lambda: runner.dask.submit(client, bundle, wrong),
        lambda: runner.dask.submit(client, bundle, wrong, keep=True),
        lambda: list(runner.dask.map(client, bundle, [wrong])),
    ):
        report = failing(send).report
        assert report.code is Code.WIRE_NOT_FOUND
        assert "did you mean 'total'?" in report.summary


def test_a_cancelled_kept_task_ends_in_its_child(
    client: Client, bundle: Path, tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    task = Task(params={"file": str(file)}, function="pid")
    future = runner.dask.submit(client, bundle, task, keep=True)
    wait_until(lambda: file.exists() and file.read_text() != "")
    future.cancel()
    assert not still_running([int(file.read_text())])


def test_what_may_pass_by_itself_is_tried_again_where_it_was(
    client: Client, bundle: Path, tmp_path: Path
) -> None:
    for name, retries in (("one", 1), ("none", 0)):
        task = Task("killed once", {"file": str(tmp_path / name)}, 5)
        future = runner.dask.submit(client, bundle, task, keep=True, retries=retries)
        if retries:
            assert future.result(SECONDS)["seed"] == b"5"
        else:
            assert failing(lambda: future.result(SECONDS)).report.retryable  # noqa: B023


def test_results_that_a_dead_worker_had_are_made_again(
    two: DaskCluster, client: Client, bundle: Path
) -> None:
    kept = runner.dask.map(client, bundle, seeds("large", 6), keep=True)
    wait(kept, timeout=SECONDS)
    (dead,) = client.who_has(kept)[kept[0].key]
    os.kill(next(one.pid for one in two.workers if one.address == dead), 9)
    task = Task(function="total", inputs={str(n): one for n, one in enumerate(kept)})
    done = runner.dask.submit(client, bundle, task).result(SECONDS)
    assert done["total"] == str(6 * (LARGE + 1)).encode()
    assert {dead} & {at for some in client.who_has(kept).values() for at in some} == set()


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_paused_worker_has_not_begun_goes_to_others(
    keep: bool, two: DaskCluster, client: Client, bundle: Path
) -> None:
    first, second = (one.address for one in two.workers[:2])
    runner.dask.submit(client, bundle).result(SECONDS)

    def pause(share: float) -> None:
        def set_share(dask_worker: Any) -> None:
            dask_worker.memory_manager.memory_pause_fraction = share

        client.run(set_share, workers=[first])

    # Named as a study names them that has met a worker which is unfit: Dask steals none of them.
    tasks = seeds("sleep", 8, seconds=0.5)
    if keep:
        kept = runner.dask.map(client, bundle, tasks, keep=True, workers=[first, second])
        ended = lambda: [one.result(SECONDS) for one in kept]  # noqa: E731
    else:
        sent = [runner.dask.submit(client, bundle, one, workers=[first, second]) for one in tasks]
        ended = lambda: [one.result(SECONDS) for one in sent]  # noqa: E731
    wait_until(lambda: sum(map(len, client.processing([first]).values())) > 1)
    pause(1e-6)
    try:
        assert [one["seed"] for one in ended()] == [str(seed).encode() for seed in range(8)]
    finally:
        pause(0.8)
        wait_until(lambda: client.scheduler_info()["workers"][first]["status"] == "running")


def test_the_workers_have_a_bundle_for_as_long_as_its_results_are_kept(
    client: Client, tmp_path: Path
) -> None:
    def there() -> int:
        names = client.run_on_scheduler(
            lambda dask_scheduler: list(dask_scheduler.worker_plugins)  # type: ignore[attr-defined]
        )
        return sum(one.startswith(BUNDLE) for one in names)

    before = there()
    folder = make_bundle(tmp_path / "edited", f"{WIRE}# {tmp_path}\n")
    (kept,) = runner.dask.map(client, folder, [Task(seed=1)], keep=True)
    assert kept.result(SECONDS)["seed"] == b"1"
    (folder / "wire.py").write_text("def wire(e, p, s):\n    return {'seed': b'edited'}\n")
    edited = runner.dask.submit(client, folder, Task(seed=1)).result(SECONDS)
    assert edited["seed"] == b"edited"
    assert there() == before + 2
    del kept
    wait_until(lambda: there() == before + 1)


def test_what_cannot_be_asked_for_is_refused(client: Client, bundle: Path) -> None:
    def submit(**options: Any) -> object:
        return runner.dask.submit(client, bundle, **options)

    with pytest.raises(ValueError, match="'alice' is not a worker's address"):
        submit(workers="alice")
    with pytest.raises(ValueError, match="cannot be empty"):
        submit(key="")
    with pytest.raises(TypeError, match="fifo"):
        submit(fifo_timeout="1s")
    with pytest.raises(ValueError, match="each future has its own exception"):
        runner.dask.map(client, bundle, [], keep=True, return_exceptions=True)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"a task is a runner\.Task, not a str"):
        runner.dask.map(client, bundle, ["x"], keep=True)  # type: ignore[list-item]
    assert runner.dask.map(client, bundle, [], keep=True) == []
    with pytest.raises(RunnerError, match="no worker that may run the task"):
        submit(workers="tcp://127.0.0.1:1", keep=True)
    with Runner() as local, pytest.raises(RunnerError) as caught:
        local.execute(bundle, inputs={"x": client.submit(bytes, 1)})
    assert "runner.dask.submit(..., keep=True)" in caught.value.report.hints[0].title
