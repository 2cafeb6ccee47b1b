"""The incident, on a live cluster: Pythons that differ, named in seconds, and the study runs.

``reference/incident-python-3.13.md``: thousands of tasks submitted, none executed, nothing said.
"""

import json
import os
import subprocess
from importlib.metadata import requires
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("distributed")

from conftest import kept_venv, need_python
from loopback import DaskCluster
from packaging.requirements import Requirement
from studies import make_bundle

import runner
from runner.doctor.observation import Observation, Verdict

ROOT = str(Path(runner.__file__).parents[1])
DASK = "2024.10.0"

EXAMINE = """\
import sys, msgspec
from runner.dask.examine.doctor import examine_cluster
sys.stdout.buffer.write(msgspec.json.encode(examine_cluster(sys.argv[1], [])))
"""

STUDY = """\
import json, sys
from distributed import Client
from runner import RunnerError, Task
import runner.dask
with Client(sys.argv[1], set_as_default=False) as client:
    taken = []
    tasks = (taken.append(seed) or Task(seed=seed) for seed in range(20))
    try:
        found = [int(one["seed"]) for one in runner.dask.map(client, sys.argv[2], tasks)]
        print(json.dumps({"found": found}))
    except RunnerError as error:
        report = error.report
        print(json.dumps({"code": report.code.value, "summary": report.summary, "taken": taken}))
"""


@pytest.fixture(scope="module")
def pythons() -> dict[str, Path]:
    """Two Pythons, each with the incident's Dask and what the runner needs."""

    def needed(version: str) -> list[str]:
        return [
            f"{one.name}{one.specifier}"
            for one in map(Requirement, requires("modelops-runner") or [])
            if one.marker is None or one.marker.evaluate({"python_version": version, "extra": ""})
        ]

    return {
        version: kept_venv(version, f"distributed=={DASK}", *needed(version))
        for version in ("3.12", "3.13")
    }


def run(python: Path, program: str, *arguments: object) -> bytes:
    done = subprocess.run(
        [python, "-c", program, *map(str, arguments)],
        capture_output=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": ROOT},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_incident_is_named_without_killing_a_worker_and_its_study_runs_to_its_end(
    pythons: dict[str, Path], tmp_path: Path
) -> None:
    with DaskCluster(2, python=pythons["3.13"]) as incident:
        seen = msgspec.json.decode(
            run(pythons["3.12"], EXAMINE, incident.address), type=list[Observation]
        )
        (problem,) = [one for one in seen if one.verdict is not Verdict.OK]
        assert problem.subject == "Python versions" and problem.verdict is Verdict.PROBLEM
        assert "kills the worker that calls it with SIGSEGV" in problem.text
        assert "all 2 workers 3.13" in problem.text
        assert [one.subject for one in seen if one.subject.startswith("canary")] == [
            "canary: an importable function"
        ]
        bundle = make_bundle(tmp_path / "model")
        done = json.loads(run(pythons["3.12"], STUDY, incident.address, bundle))
        assert done == {"found": list(range(20))}
        assert all(worker.alive for worker in incident.workers)


def test_a_bundle_runs_on_a_python_that_its_workers_do_not_run_where_one_has_it(
    pythons: dict[str, Path], tmp_path: Path
) -> None:
    need_python("3.13")
    newer = make_bundle(tmp_path / "newer")
    (newer / "requirements.txt").unlink()
    (newer / "pyproject.toml").write_text(
        '[project]\nname = "newer"\nversion = "1"\nrequires-python = ">=3.13"\n'
    )
    (tmp_path / "home").mkdir()
    nowhere = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path / "home"),
        "PYENV_ROOT": str(tmp_path / "home"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "home"),
        "MODELOPS_CACHE_DIR": str(tmp_path / "cache"),
    }
    with DaskCluster(0, python=pythons["3.12"]) as started:
        started.add_worker(environ=nowhere)
        done = json.loads(run(pythons["3.12"], STUDY, started.address, newer))
        assert done["code"] == "python-unsatisfied" and done["taken"] == []
        assert "newer wants Python >=3.13 (pyproject.toml:4)" in done["summary"]
        started.add_worker()
        done = json.loads(run(pythons["3.12"], STUDY, started.address, newer))
        assert done == {"found": list(range(20))}
