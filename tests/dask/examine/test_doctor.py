"""A cluster examined by hand: what is wrong is named in seconds, and nothing is killed by it."""

import gc
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed import Client
from distributed.diagnostics.plugin import SchedulerPlugin
from loopback import DaskCluster

from runner.dask.examine.doctor import examine_cluster
from runner.doctor.observation import Observation, Verdict

BUNDLES = Path(__file__).parents[3] / "fixtures" / "bundles"


def amiss(seen: list[Observation]) -> list[Observation]:
    return [one for one in seen if one.verdict is not Verdict.OK]


def test_a_sound_cluster_has_nothing_amiss_and_has_run_something(two: DaskCluster) -> None:
    seen = examine_cluster(two.address, [])
    assert amiss(seen) == []
    assert [one.subject for one in seen] == [
        "the client",
        "the scheduler",
        "all 2 workers",
        "canary: an importable function",
        "canary: a lambda",
    ]


def test_bundles_are_compared_with_the_workers_pythons(two: DaskCluster, tmp_path: Path) -> None:
    (tmp_path / "wire.py").write_text("def wire(entrypoint, params, seed):\n    return {}\n")
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "later"\nversion = "1"\nrequires-python = ">=3.99"\n'
    )
    seen = examine_cluster(two.address, [tmp_path])
    problem, task = amiss(seen)
    assert problem.subject == "bundle later" and ">=3.99 (pyproject.toml:4)" in problem.text
    assert problem.verdict is Verdict.PROBLEM
    assert "python-unsatisfied" in task.text


def test_a_task_of_a_bundle_is_run(two: DaskCluster, tmp_path: Path) -> None:
    (tmp_path / "wire.py").write_text(
        "def wire(entrypoint, params, seed):\n    return {'n': b'1'}\n"
    )
    (tmp_path / "requirements.txt").write_text("")
    seen = examine_cluster(two.address, [tmp_path])
    assert not amiss(seen)
    assert seen[-1].subject == f"canary: a task of {tmp_path.name}"


def test_a_bundle_whose_default_task_fails_is_only_a_warning(
    two: DaskCluster, tmp_path: Path
) -> None:
    (tmp_path / "wire.py").write_text(
        "def wire(entrypoint, params, seed):\n    return {'x': params['beta']}\n"
    )
    (tmp_path / "requirements.txt").write_text("")
    (warning,) = amiss(examine_cluster(two.address, [tmp_path]))
    assert warning.verdict is Verdict.WARNING and "'beta'" in warning.text


def test_a_bundle_that_cannot_be_read_does_not_keep_the_cluster_from_being_looked_at(
    two: DaskCluster, tmp_path: Path
) -> None:
    seen = examine_cluster(two.address, [tmp_path / "absent"])
    (problem,) = amiss(seen)
    assert problem.verdict is Verdict.PROBLEM and "absent" in problem.subject
    assert seen[-1].subject == "canary: a lambda"


def test_where_no_scheduler_listens_that_is_the_one_problem() -> None:
    (problem,) = examine_cluster("127.0.0.1:1", [])
    assert problem.subject == "scheduler 127.0.0.1:1"
    assert problem.text == "nothing listens on port 1 of 127.0.0.1"
    assert problem.hints


def test_a_cluster_without_workers_is_named() -> None:
    with DaskCluster(0) as started:
        (problem,) = amiss(examine_cluster(started.address, []))
    assert problem.verdict is Verdict.PROBLEM and "no worker has joined" in problem.text
    assert problem.hints[0].command == f"dask worker {started.address}"


def test_a_worker_that_hangs_gets_no_canary(two: DaskCluster) -> None:
    hung, sound = two.workers
    hung.process.send_signal(signal.SIGSTOP)
    seen = examine_cluster(two.address, [])
    (warning,) = amiss(seen)
    assert warning.verdict is Verdict.WARNING and hung.address in warning.subject
    assert sound.address in seen[-1].text and hung.address not in seen[-1].text
    hung.process.send_signal(signal.SIGCONT)


def cancels_as_the_next_one_connects(address: str) -> None:
    """As another client may, whose cancellation comes together with the greeting of the next."""

    # A local class, which goes by value: the cluster has no module of this name.
    class Other(SchedulerPlugin):  # type: ignore[misc]
        def add_client(self, scheduler: Any, client: str) -> None:
            told = {"op": "cancelled-keys", "keys": [], "reason": None, "msg": None}
            scheduler.loop.add_callback(scheduler.report, told)
            del scheduler.plugins["other"]

    with Client(address, set_as_default=False) as client:
        client.register_plugin(Other(), name="other")


def test_a_cluster_whose_other_clients_cancel_their_tasks_can_be_looked_at(
    two: DaskCluster,
) -> None:
    cancels_as_the_next_one_connects(two.address)
    with pytest.raises(AssertionError):
        Client(two.address, set_as_default=False)
    gc.collect()  # what is left of it, as the doctor does
    cancels_as_the_next_one_connects(two.address)
    assert amiss(examine_cluster(two.address, [])) == []


def test_dasks_own_log_and_warnings_are_not_heard(two: DaskCluster) -> None:
    program = (
        "import sys; from runner.dask.examine.doctor import examine_cluster\n"
        "for address in sys.argv[1:]: examine_cluster(address, [])"
    )
    addresses = [two.address, two.workers[0].address, "127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-c", program, *addresses], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
