"""``modelops-runner matrix``: a bundle tried on real interpreters."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from children import command_line, still_running
from conftest import need_python
from forked_command import run_command

from runner.diagnosis.report.model import Report

SECONDS = 120

WIRE = """\
import sys, time
def wire(entrypoint, params, seed):
    if entrypoint == "hang":
        open(params["file"], "w").close()
        time.sleep(1000)
    if sys.version_info[:2] == (3, 12) and params.get("beta") is None:
        raise ValueError("not on 3.12")
    return {"n": str(seed).encode()}
"""

Matrix = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "MODELOPS_CACHE_DIR": str(tmp_path / "cache")}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "wire.py").write_text(WIRE)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "model"\nversion = "1"\nrequires-python = ">=3.10"\n'
    )
    return folder


@pytest.fixture
def matrix(bundle: Path, environ: dict[str, str]) -> Matrix:
    def run(*args: str) -> "subprocess.CompletedProcess[str]":
        return run_command(
            [sys.executable, "-m", "runner", "matrix", str(bundle), *args],
            timeout=SECONDS,
            env=environ,
        )

    return run


def test_each_python_has_its_row(matrix: Matrix) -> None:
    for version in ("3.11", "3.12", "3.13"):
        need_python(version)
    done = matrix("--python", "3.13", "--python", "3.12", "--python", "3.11")
    assert done.returncode == 1
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line[0] != " "}
    assert " ok " in rows["3.13"] and " ok " in rows["3.11"]
    assert "task-raised (execute): ValueError" in rows["3.12"] and "not on 3.12" in rows["3.12"]


def test_a_task_of_ones_own_is_run(matrix: Matrix) -> None:
    need_python("3.12")
    done = matrix("--python", "3.12", "--param", "beta=0.3", "--json")
    assert done.returncode == 0, done.stdout
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["ok"] and cell["version"].startswith("3.12.") and cell["seconds"] > 0


def test_the_seed_and_parameters_are_those_of_the_bundle_where_none_are_given(
    matrix: Matrix, bundle: Path
) -> None:
    (bundle / "wire.py").write_text(
        "def wire(e, p, s):\n    if (p, s) != ({'beta': 0.1}, 7): raise ValueError(f'{p} {s}')\n"
        "    return {'a': b''}\n"
    )
    with (bundle / "pyproject.toml").open("a") as file:
        file.write("[tool.modelops]\nseed = 7\n[tool.modelops.params]\nbeta = 0.1\n")
    done = matrix("--python", "worker")
    assert done.returncode == 0, done.stdout + done.stderr
    assert matrix("--python", "worker", "--seed", "8").returncode == 1


def test_a_python_that_the_bundle_refuses_or_that_is_not_there_has_its_code(matrix: Matrix) -> None:
    need_python("3.9")
    done = matrix("--python", "3.9", "--python", "3.99", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"]) == (1, False)
    codes = {cell["python"]: cell["report"]["code"] for cell in document["cells"]}
    assert codes == {"3.9": "python-policy-conflict", "3.99": "python-not-found"}
    assert set(document["cells"][0]["report"]) == set(Report.__struct_fields__)


@pytest.mark.parametrize(
    "args", [(), ("--python", "3.12", "--seed", "x"), ("--python", "3.12", "--params", "/none")]
)
def test_a_wrong_command_line_runs_nothing(matrix: Matrix, args: tuple[str, ...]) -> None:
    done = matrix(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_one_leaves_nothing(
    bundle: Path, environ: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    file = tmp_path / "begun"
    command = [sys.executable, "-m", "runner", "matrix", str(bundle), "hang"]
    command += ["--param", f"file={file}", "--python", f"{sys.version_info[0]}"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        own = psutil.Process(process.pid)
        while not file.exists():
            assert process.poll() is None
        children = own.children(recursive=True)
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
    assert children and not still_running(children, SECONDS)


@pytest.fixture
def quiet(bundle: Path) -> None:
    """Let its default task run on each Python."""
    (bundle / "wire.py").write_text("def wire(entrypoint, params, seed):\n    return {'n': b'1'}\n")


@pytest.mark.usefixtures("quiet")
def test_combinations_with_dask_are_tried(matrix: Matrix) -> None:
    pytest.importorskip("distributed")
    need_python("3.12")
    need_python("3.13")
    done = matrix("--python", "3.12", "--python", "3.13", "--dask", "2024.10.0", "--json")
    cells = json.loads(done.stdout)["dask"]
    if any("cannot make it" in one["text"] for cell in cells for one in cell["named"]):
        pytest.skip("the package index is out of reach")
    for cell in cells:
        same = cell["combination"]["client"] == cell["combination"]["cluster"]
        assert cell["importable"] and cell["lambdas"] == same
        assert cell["task"] and cell["examined"]
        assert [one["subject"] for one in cell["named"]] == ([] if same else ["Python versions"])
    assert len(cells) == 4 and done.returncode == 0


@pytest.mark.usefixtures("quiet")
def test_a_combination_that_cannot_be_made_is_a_failure(matrix: Matrix) -> None:
    pytest.importorskip("distributed")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    done = matrix("--python", version, "--dask", "1.99.99", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["ok"]) == (1, False)
    assert [cell["ok"] for cell in document["cells"]] == [True]
    (cell,) = document["dask"]
    assert not cell["examined"] and "1.99.99" in cell["named"][0]["text"]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_combinations_that_are_interrupted_leave_nothing(
    bundle: Path, environ: dict[str, str], number: signal.Signals
) -> None:
    distributed = pytest.importorskip("distributed")
    command = [sys.executable, "-m", "runner", "matrix", str(bundle), "--dask"]
    command += [distributed.__version__, "--python", f"{sys.version_info[0]}"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith(b"Dask "):
            assert process.poll() is None
        own = psutil.Process(process.pid)
        # uv is making the environment.
        while not any("pip" in command_line(one) for one in children_of(own)):
            if process.poll() is not None:
                pytest.skip("the package index is out of reach")
        children = children_of(own)
        process.send_signal(number)
        assert process.wait(SECONDS) == 128 + number
    assert not still_running(children, SECONDS)


def children_of(process: psutil.Process) -> list[psutil.Process]:
    """Those that live, with a command line that can be read."""
    return [child for child in process.children(recursive=True) if command_line(child)]
