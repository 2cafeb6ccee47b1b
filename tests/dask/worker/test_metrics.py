"""A worker's own runner, and its counts at Dask's endpoint."""

import re
from pathlib import Path
from urllib.request import urlopen

import pytest

pytest.importorskip("distributed")
pytest.importorskip("prometheus_client")

from distributed import Client
from loopback import DaskCluster
from studies import SECONDS, failing, make_bundle

import runner.dask
from runner.dask import RunnerPlugin
from runner.diagnosis.report.codes import Code
from runner.task import Task


def test_a_workers_runner_and_its_metrics(cache: Path, tmp_path: Path) -> None:
    bundle = str(make_bundle(tmp_path / "model"))

    # Functions of a user's own; local ones go by value, as the cluster has no module of this name.
    def seed(number: int) -> bytes:
        from runner.dask import runner_of_worker

        return runner_of_worker().execute(bundle, seed=number)["seed"]

    def fail() -> None:
        from runner.dask import runner_of_worker

        runner_of_worker().execute(bundle, "raise")

    with (
        DaskCluster(1, environ={"MODELOPS_CACHE_DIR": str(cache)}) as started,
        Client(started.address, set_as_default=False) as client,
    ):
        without = failing(client.submit(seed, 0).result).report
        assert "register_plugin(runner.dask.RunnerPlugin())" in without.hints[0].title
        client.register_plugin(RunnerPlugin())
        numbers = client.gather(client.map(seed, range(1, 6)))
        assert numbers == [b"1", b"2", b"3", b"4", b"5"]
        assert failing(client.submit(fail).result).report.code is Code.TASK_RAISED
        # A study has another runner, for the Python and the threads that it wants.
        assert runner.dask.submit(client, bundle, Task(seed=7)).result(SECONDS)["seed"] == b"7"

        (worker,) = client.scheduler_info()["workers"].values()
        url = f"http://127.0.0.1:{worker['services']['dashboard']}/metrics"
        with urlopen(url, timeout=SECONDS) as answer:
            text = answer.read().decode()
    found = dict(re.findall(r"^modelops_runner_(\S+) (\S+)$", text, re.MULTILINE))
    assert found["tasks_total"] == "7.0"
    assert found['failures_total{code="task-raised"}'] == "1.0"
    assert found["children"] == "1.0"
    assert float(found['phase_seconds_total{phase="execute"}']) > 0
    assert "dask_worker_" in text
