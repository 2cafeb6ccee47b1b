"""A cluster in trouble under a study: what hangs, dies, joins or leaves, and what is said of it."""

import os
import re
import signal
import threading
from pathlib import Path

import pytest

pytest.importorskip("distributed")

import dask
from distributed import Client, LocalCluster
from loopback import DaskCluster
from studies import SECONDS, failing, make_bundle, seeds, wait_until

import runner.dask
from runner import RunnerError
from runner.dask import RunnerPlugin
from runner.dask.client import connection, in_flight, preflight, sending, study_scheduler, watch
from runner.dask.client.study import studies_of
from runner.dask.scheduler import census, held
from runner.diagnosis.report.codes import Code
from runner.result import Result
from runner.task import Task


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.5)
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(watch, "NO_WORKERS_SECONDS", 1.0)
    monkeypatch.setattr(watch, "LEFT_SECONDS", 1.0)
    monkeypatch.setattr(watch, "SILENT_SECONDS", 2.0)


def numbers(outcomes: object) -> list[int]:
    """The results of a study over seeds, in order."""
    found = []
    for one in outcomes:  # type: ignore[attr-defined]
        assert isinstance(one, Result)
        found.append(int(one["seed"]))
    return found


# No workers.


@pytest.mark.usefixtures("impatient")
def test_a_study_on_a_cluster_without_workers_is_a_report_and_not_nothing(
    one: DaskCluster, client: Client, bundle: Path
) -> None:
    assert numbers(runner.dask.map(client, bundle, seeds(tasks=3))) == [0, 1, 2]
    os.kill(one.workers[0].pid, signal.SIGKILL)
    wait_until(lambda: not client.nthreads())
    report = failing(lambda: list(runner.dask.map(client, bundle, seeds(tasks=3)))).report
    assert report.code is Code.WORKER_LOST and report.summary.endswith("for 1 s")


def test_a_study_waits_for_the_first_worker_and_not_for_ever(bundle: Path) -> None:
    with DaskCluster(0) as started, Client(started.address, set_as_default=False) as client:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(preflight, "FIRST_WORKER_SECONDS", 1.0)
            report = failing(lambda: runner.dask.submit(client, bundle)).report
        assert report.code is Code.CLUSTER_UNFIT and "has no workers" in report.summary
        wait_until(lambda: not client.futures)
        joining = threading.Thread(target=started.add_worker)
        joining.start()
        assert numbers(runner.dask.map(client, bundle, seeds(tasks=3))) == [0, 1, 2]
        joining.join()


def test_a_cluster_that_adapts_grows_for_a_study(bundle: Path) -> None:
    with (
        LocalCluster(
            n_workers=0,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            dashboard_address=None,
        ) as local,
        Client(local.scheduler_address, set_as_default=False) as client,
    ):
        local.adapt(minimum=0, maximum=2, interval="300ms", wait_count=3)
        assert numbers(runner.dask.map(client, bundle, seeds(tasks=5))) == list(range(5))
        # It shrinks again when there is nothing to do, and grows for the next.
        wait_until(lambda: not client.nthreads())
        assert numbers(runner.dask.map(client, bundle, seeds(tasks=5))) == list(range(5))
        # Also where tasks go to those only that are known to run them, as one was that does not.
        studies_of(client).study(bundle, None).eligibility.left("tcp://127.0.0.1:1")
        wait_until(lambda: not client.nthreads())
        assert numbers(runner.dask.map(client, bundle, seeds(tasks=5))) == list(range(5))
        wait_until(lambda: not client.nthreads())
        kept = runner.dask.map(client, bundle, seeds(tasks=2), keep=True)
        assert numbers(client.gather(kept)) == [0, 1]


def test_a_study_goes_on_where_somebody_restarts_the_cluster(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(study_scheduler, "_NOTICE_SECONDS", 0.2)
    with (
        DaskCluster(1, nanny=True) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        outcomes = runner.dask.map(client, bundle, seeds("sleep", 30, seconds=0.1))
        found = numbers([next(outcomes)])
        with Client(started.address, set_as_default=False) as other:
            other.restart(timeout=SECONDS)
        assert found + numbers(outcomes) == list(range(30))
        assert "the scheduler has let go of the task; again in 1 s" in caplog.text


# What a task asks for, and no worker is.


def test_a_resource_that_no_worker_offers_is_a_report(
    one: DaskCluster,
    client: Client,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(watch, "UNOFFERED_SECONDS", 1.0)
    small = one.add_worker(None, "--resources", "gpu=1 disk=5").address
    with dask.annotate(resources={"gpu": 2}):
        report = failing(lambda: list(runner.dask.map(client, bundle, seeds(tasks=3)))).report
    assert report.code is Code.CLUSTER_UNFIT
    assert report.summary == "no worker offers what the task asks for: gpu=2"
    assert f"gpu=1, disk=5: {small}" in report.explanation
    assert f"nothing: {one.workers[0].address}" in report.explanation
    assert report.hints[0].command == "dask worker ADDRESS --resources 'gpu=2'"
    # How many have been sent when it is seen first depends on how fast they are sent.
    assert re.search(
        r"[123] tasks wait: no worker offers what the task asks for: gpu=2", caplog.text
    )
    with dask.annotate(resources={"gpu": 3}):
        kept = runner.dask.map(client, bundle, seeds(tasks=3), keep=True)
    needs_them = client.submit(len, kept)
    for future in (*kept, needs_them):
        report = failing(lambda: future.result(SECONDS)).report  # noqa: B023 - called at once
        assert report.code is Code.CLUSTER_UNFIT and report.summary.endswith("asks for: gpu=3")
    assert re.search(
        r"[123] tasks wait: no worker offers what the task asks for: gpu=3", caplog.text
    )
    own = runner.dask.map(client, bundle, seeds(tasks=3), resources={"tpu": 1}, key="mine")
    assert failing(lambda: list(own)).report.summary.endswith("asks for: tpu=1")
    with dask.annotate(workers=["tcp://127.0.0.1:1"]):
        report = failing(lambda: list(runner.dask.map(client, bundle, seeds(tasks=3)))).report
    assert report.code is Code.CLUSTER_UNFIT and "tcp://127.0.0.1:1" in report.summary
    # Nothing of it is left at the scheduler.
    wait_until(lambda: not client.run_on_scheduler(census, client.id).unrunnable)


def test_a_worker_that_joins_with_the_resource_is_waited_for(
    one: DaskCluster,
    client: Client,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    # From here on, no worker gets a task unasked.
    odd_worker(one)
    with dask.annotate(resources={"gpu": 1}):
        futures = [runner.dask.submit(client, bundle, task) for task in seeds(tasks=3)]
    wait_until(lambda: "no worker offers what the task asks for: gpu=1" in caplog.text)
    one.add_worker(None, "--resources", "gpu=1")
    assert [int(future.result(SECONDS)["seed"]) for future in futures] == [0, 1, 2]


# What hangs.


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_that_hangs_under_a_study_is_named(
    one: DaskCluster, client: Client, bundle: Path
) -> None:
    outcomes = runner.dask.map(client, bundle, seeds("sleep", 1000, seconds=0.01))
    next(outcomes)
    os.kill(one.scheduler.pid, signal.SIGSTOP)
    report = failing(lambda: list(outcomes)).report
    assert report.code is Code.WORKER_LOST and "the scheduler does not answer" in report.summary
    os.kill(one.scheduler.pid, signal.SIGCONT)


@pytest.mark.usefixtures("impatient")
def test_a_scheduler_that_hangs_is_named_before_a_study_is_sent(
    one: DaskCluster, client: Client, bundle: Path
) -> None:
    os.kill(one.scheduler.pid, signal.SIGSTOP)
    report = failing(lambda: runner.dask.submit(client, bundle)).report
    assert report.code is Code.CLUSTER_UNFIT and "a scheduler that hangs" in report.summary
    os.kill(one.scheduler.pid, signal.SIGCONT)


def test_a_worker_that_hangs_keeps_no_study_from_running(
    two: DaskCluster, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Client(two.address, set_as_default=False) as client:
        hung, _ = two.workers
        os.kill(hung.pid, signal.SIGSTOP)
        assert numbers(runner.dask.map(client, bundle, seeds())) == list(range(20))
        assert f"{hung.address} gets no tasks" in caplog.text
        assert f"the worker {hung.address} does not answer" in caplog.text
        os.kill(hung.pid, signal.SIGCONT)
        # Once it answers, it is one of them again.
        (slot,) = vars(client)["_modelops_runner"]._slots.values()
        wait_until(lambda: not slot.study.eligibility.unable)
        futures = [
            runner.dask.submit(client, bundle, Task("sleep", {"seconds": 2})) for _ in range(2)
        ]
        wait_until(lambda: all(client.processing().values()))
        assert all(future.result(SECONDS) for future in futures)


def test_a_worker_that_hangs_in_the_midst_keeps_no_task(
    two: DaskCluster,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    monkeypatch.setattr(watch, "WORKER_SILENT_SECONDS", 1.0)
    monkeypatch.setattr(sending, "ANSWER_SECONDS", 1.0)
    with Client(two.address, set_as_default=False) as client:
        hung = two.workers[0]
        study = runner.dask.map(client, bundle, seeds("sleep", 40, seconds=0.05))
        found = [next(study)]
        wait_until(lambda: bool(client.processing().get(hung.address)))
        os.kill(hung.pid, signal.SIGSTOP)
        found += study
        assert numbers(found) == list(range(40))
        said = rf"{re.escape(hung.address)} does not answer: what it was given goes to others: "
        (keys,) = re.findall(rf"{said}(.*)", caplog.text)
        assert keys.startswith("modelops-model-")
        os.kill(hung.pid, signal.SIGCONT)
        # Once it answers, it is one of them again.
        outcomes = runner.dask.map_unordered(client, bundle, seeds("sleep", 1000, seconds=0.05))
        while not client.processing()[hung.address]:
            next(outcomes)
        outcomes.close()


def test_a_worker_that_hangs_alone_is_the_report(
    one: DaskCluster, client: Client, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SEND_SECONDS", 2.0)
    os.kill(one.workers[0].pid, signal.SIGSTOP)
    report = failing(lambda: runner.dask.submit(client, bundle)).report
    assert report.code is Code.CLUSTER_UNFIT and one.workers[0].address in report.hints[0].title + (
        report.summary + report.explanation
    )
    os.kill(one.workers[0].pid, signal.SIGCONT)


def test_a_cluster_that_only_the_client_reaches_is_not_asked_without_it(
    one: DaskCluster, client: Client, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As behind a gateway, whose addresses begin with gateway://.
    monkeypatch.setattr(preflight, "_REACHABLE", ())
    monkeypatch.setattr(preflight, "gather", None)
    assert numbers(runner.dask.map(client, bundle, seeds(tasks=3))) == [0, 1, 2]


# What is closed or killed.


def test_nothing_is_sent_by_a_client_that_is_closed(one: DaskCluster, bundle: Path) -> None:
    client = Client(one.address, set_as_default=False)
    runner.dask.submit(client, bundle).result(SECONDS)
    client.close()
    for call in (
        lambda: runner.dask.submit(client, bundle),
        lambda: list(runner.dask.map(client, bundle, [Task()])),
    ):
        report = failing(call).report
        assert report.code is Code.WORKER_LOST and "the client is closed" in report.summary


def test_a_scheduler_that_takes_a_dead_ones_place_is_sent_the_bundle(
    one: DaskCluster, client: Client, bundle: Path
) -> None:
    assert numbers(runner.dask.map(client, bundle, seeds(tasks=3))) == [0, 1, 2]
    one.replace_scheduler()
    one.add_worker()
    wait_until(lambda: client.status == "running")
    assert numbers(runner.dask.map(client, bundle, seeds(tasks=3))) == [0, 1, 2]
    assert runner.dask.submit(client, bundle, Task(seed=4)).result(SECONDS)["seed"] == b"4"


@pytest.mark.parametrize("ordered", [True, False])
def test_a_scheduler_that_is_replaced_under_a_study_is_sent_the_bundle_and_what_is_left(
    one: DaskCluster, client: Client, bundle: Path, ordered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = seeds("sleep", 40, seconds=0.02)
    found = []
    if ordered:
        outcomes = enumerate(runner.dask.map(client, bundle, tasks))
    else:
        outcomes = runner.dask.map_unordered(client, bundle, tasks)  # type: ignore[assignment]
    for number, result in outcomes:
        assert int(result["seed"]) == number
        found.append(number)
        if len(found) == 5:
            alone = runner.dask.submit(client, bundle, Task("sleep", {"seconds": 0.1}, seed=4))
            one.replace_scheduler()
            if ordered:  # the first that joins is of no use
                odd_worker(one)
                wait_until(lambda: "the study is not there yet: the settings" in caplog.text)
            one.add_worker()
    assert sorted(found) == list(range(40))
    assert alone.result(SECONDS)["seed"] == b"4"


def test_a_study_whose_bundle_was_edited_does_not_go_on_at_another_scheduler(
    one: DaskCluster, client: Client, tmp_path: Path
) -> None:
    model = make_bundle(tmp_path / "model")
    outcomes = runner.dask.map(client, model, seeds("sleep", 1000, seconds=0.02))
    next(outcomes)
    (model / "edit.py").write_text("")
    one.replace_scheduler()
    one.add_worker()
    report = failing(lambda: list(outcomes)).report
    assert report.code is Code.WORKER_LOST and "edited" in report.summary


def test_a_worker_that_its_nanny_starts_again_is_found_by_a_study_that_avoids_others(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with (
        DaskCluster(1, nanny=True, environ=allowed) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        odd_worker(started, "--no-nanny")
        killing = Task("kill the worker once", {"file": str(tmp_path / "killed")}, seed=4)
        assert runner.dask.submit(client, bundle, killing).result(SECONDS)["seed"] == b"4"
        outcomes = runner.dask.map(
            client, bundle, [Task("kill the worker")], return_exceptions=True
        )
        (failure,) = outcomes
        assert isinstance(failure, RunnerError) and not failure.report.retryable
        assert failure.report.summary.startswith("workers die of the task")
        # The cluster goes on.
        assert numbers(runner.dask.map(client, bundle, seeds(tasks=5))) == list(range(5))


@pytest.mark.usefixtures("impatient")
def test_a_bundle_that_kills_the_last_worker_is_not_tried_again(
    client: Client, bundle: Path
) -> None:
    report = failing(runner.dask.submit(client, bundle, Task("kill the worker")).result).report
    assert report.code is Code.WORKER_LOST and not report.retryable
    assert "left the cluster while it was there" in report.summary


# What joins, or changes.


def odd_worker(started: DaskCluster, *arguments: str) -> str:
    """The address of one more, which runs no tasks."""
    soon = {"DASK_MODELOPS_RUNNER__TIMEOUT": "soon"}
    return started.add_worker(None, *arguments, environ=soon).address


def test_a_worker_that_joins_gets_tasks(one: DaskCluster, client: Client, bundle: Path) -> None:
    outcomes = runner.dask.map_unordered(client, bundle, seeds("sleep", 1000, seconds=0.05))
    next(outcomes)
    joined = one.add_worker().address
    while not client.has_what()[joined] and not client.processing()[joined]:
        next(outcomes)
    outcomes.close()


def test_a_worker_that_joins_and_cannot_run_the_bundle_ends_no_study(
    one: DaskCluster, client: Client, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks = seeds("sleep", 40, seconds=0.05)
    found = []
    for number, result in runner.dask.map_unordered(client, bundle, tasks):
        assert isinstance(result, Result)
        found.append(number)
        if len(found) == 5:
            bad = odd_worker(one)
    assert sorted(found) == list(range(40))
    # A task may have come to it before it was asked.
    assert len(re.findall(rf"{re.escape(bad)} gets no (?:more )?tasks", caplog.text)) == 1


def test_a_worker_that_joins_and_cannot_run_the_bundle_fails_no_kept_task(
    one: DaskCluster, client: Client, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = runner.dask.map(client, bundle, seeds("sleep", 40, seconds=0.1), keep=True)
    # A task may come to it before it is asked.
    bad = odd_worker(one)
    assert numbers(client.gather(kept)) == list(range(40))
    assert re.findall(rf"{re.escape(bad)} gets no (?:more )?tasks", caplog.text)


def test_a_worker_without_the_runner_that_joins_ends_no_study(
    one: DaskCluster, client: Client, bundle: Path, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['runner'] = None")
    without = {"PYTHONPATH": str(tmp_path)}
    found = []
    tasks = seeds("sleep", 40, seconds=0.05)
    for number, result in runner.dask.map_unordered(client, bundle, tasks):
        assert isinstance(result, Result)
        found.append(number)
        if len(found) == 5:
            odd = one.start_worker(None, "--nanny", environ=without)
        if len(found) == 20:
            odd.wait_for("No module named .runner")
    assert sorted(found) == list(range(40))


def test_a_worker_of_another_version_of_the_runner_that_joins_gets_no_tasks(
    one: DaskCluster, client: Client, bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # The same code, which calls itself another version.
    metadata = "Metadata-Version: 2.1\nName: modelops-runner\nVersion: 0.0.9\n"
    (there := tmp_path / "modelops_runner-0.0.9.dist-info").mkdir()
    (there / "METADATA").write_text(metadata)
    root = Path(runner.__file__).parents[1]
    found = []
    for number, result in runner.dask.map_unordered(
        client, bundle, seeds("sleep", 40, seconds=0.05)
    ):
        assert isinstance(result, Result) and result.worker.runner_version == runner.__version__
        found.append(number)
        if len(found) == 5:
            path = os.pathsep.join((str(tmp_path), str(root)))
            odd = one.add_worker(environ={"PYTHONPATH": path})
    assert sorted(found) == list(range(40))
    assert f"the worker {odd.address} 0.0.9" in caplog.text


def test_a_worker_that_joins_and_hangs_keeps_no_task(
    one: DaskCluster,
    client: Client,
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sending, "ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(watch, "WATCH_SECONDS", 0.1)
    found = []
    outcomes = runner.dask.map_unordered(client, bundle, seeds("sleep", 40, seconds=0.05))
    for number, result in outcomes:
        assert isinstance(result, Result)
        found.append(number)
        if len(found) == 5:
            joined = one.add_worker()
            os.kill(joined.pid, signal.SIGSTOP)
    assert sorted(found) == list(range(40))
    assert f"{joined.address} does not answer" in caplog.text


def test_a_worker_of_the_same_machine_with_other_settings_is_tried_by_itself(
    one: DaskCluster, client: Client, bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    odd = one.add_worker(environ={"DASK_MODELOPS_RUNNER__PYTHON": "3.99"}).address
    assert numbers(runner.dask.map(client, bundle, seeds("sleep", 12, seconds=0.05))) == list(
        range(12)
    )
    assert re.findall(rf"{re.escape(odd)} gets no tasks of .*3\.99", caplog.text)


def test_a_worker_that_has_left_has_no_tasks(one: DaskCluster, client: Client) -> None:
    # One that was named as unfit may leave before it is asked for what it was given.
    blocking = client.submit(signal.sigtimedwait, [signal.SIGUSR1], SECONDS)
    there = one.workers[0].address

    def given() -> dict[str, str]:
        return client.run_on_scheduler(held, [there, "tcp://127.0.0.1:1"])  # type: ignore[no-any-return]

    wait_until(lambda: given() == {blocking.key: there})
    one.workers[0].stop()


@pytest.mark.usefixtures("impatient")
def test_where_none_is_left_that_can_run_the_bundle_what_the_others_say_is_the_report(
    one: DaskCluster, client: Client, bundle: Path
) -> None:
    runner.dask.submit(client, bundle).result(SECONDS)
    odd_worker(one)
    os.kill(one.workers[0].pid, signal.SIGKILL)
    wait_until(lambda: len(client.nthreads()) == 1)
    report = failing(lambda: runner.dask.submit(client, bundle).result(SECONDS)).report
    assert report.code is Code.CLUSTER_UNFIT and "timeout" in report.summary


def test_a_study_is_not_opened_again_because_a_worker_is_unfit(
    one: DaskCluster, client: Client, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_worker(one)
    runner.dask.submit(client, bundle).result(SECONDS)
    monkeypatch.setattr("runner.dask.client.study.open_study", None)
    assert runner.dask.submit(client, bundle, Task(seed=3)).result(SECONDS)["seed"] == b"3"


def test_a_plugin_that_is_registered_meanwhile_ends_no_study(
    one: DaskCluster, client: Client, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "RETRY_SECONDS", 0.1)
    found = []
    with Client(one.address, set_as_default=False) as other:
        for number, result in runner.dask.map_unordered(
            client, bundle, seeds("sleep", 40, seconds=0.1)
        ):
            assert isinstance(result, Result)
            found.append(number)
            if len(found) == 5:
                other.register_plugin(RunnerPlugin(isolation="warm"))
    client.unregister_worker_plugin(RunnerPlugin.name)
    assert sorted(found) == list(range(40))


# More than one study.


def test_a_study_goes_on_while_another_is_opened(
    one: DaskCluster, client: Client, bundle: Path, tmp_path: Path
) -> None:
    runner.dask.submit(client, bundle).result(SECONDS)
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    slow = make_bundle(
        tmp_path / "slow",
        "import time\nfrom pathlib import Path\n"
        f"Path({str(begun)!r}).touch()\n"
        f"while not Path({str(go_on)!r}).exists(): time.sleep(0.02)\n"
        "def wire(entrypoint, params, seed):\n    return {'seed': b'0'}\n",
    )
    opened: list[object] = []
    opening = threading.Thread(target=lambda: opened.append(runner.dask.submit(client, slow)))
    opening.start()
    wait_until(begun.exists)
    runner.dask.submit(client, bundle)
    assert not opened
    go_on.touch()
    opening.join(SECONDS)
    assert opened


def test_two_bundles_run_at_once(client: Client, bundle: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / "other")
    first = runner.dask.map(client, bundle, seeds(tasks=10))
    second = runner.dask.map(client, other, seeds(tasks=10))
    for number, pair in enumerate(zip(first, second, strict=True)):
        assert [int(one["seed"]) for one in pair] == [number] * 2  # type: ignore[index]


def test_an_interrupted_open_ends_the_build_on_the_cluster(client: Client, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    slow = make_bundle(
        tmp_path / "slow",
        f"import time\nfrom pathlib import Path\nPath({str(begun)!r}).touch()\ntime.sleep(1000)\n",
    )

    def interrupt() -> None:
        wait_until(begun.exists)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        runner.dask.submit(client, slow)
    interrupting.join()
    wait_until(lambda: not any(client.processing().values()))
