"""``modelops-runner doctor``: this machine, looked at for real."""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import need_python
from forked_command import run_command

from runner import Runner
from runner.doctor import machine
from runner.doctor.observation import Verdict

SECONDS = 60

Doctor = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def doctor(tmp_path: Path) -> Doctor:
    """Runs the command with a cache of its own."""

    def run(*args: str | Path, **environ: str) -> "subprocess.CompletedProcess[str]":
        return run_command(
            [sys.executable, "-m", "runner", "doctor", "--offline", *map(str, args)],
            timeout=SECONDS,
            env={**os.environ, "MODELOPS_CACHE_DIR": str(tmp_path / "cache"), **environ},
        )

    return run


def seen(done: "subprocess.CompletedProcess[str]", subject: str) -> dict[str, Any]:
    document = json.loads(done.stdout)
    assert document["ok"] == (done.returncode == 0)
    found = next(one for one in document["observations"] if one["subject"] == subject)
    assert isinstance(found, dict)
    return found


def make_bundle(folder: Path, requires_python: str = ">=3.8") -> Path:
    folder.mkdir()
    (folder / "wire.py").write_text("def wire(entrypoint, params, seed):\n    return {'a': b'1'}\n")
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "model"\nversion = "1"\nrequires-python = "{requires_python}"\n'
    )
    return folder


def test_a_machine_that_is_fine_is_said_to_be(doctor: Doctor) -> None:
    done = doctor()
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ok       worker: ")
    assert any(line.startswith("ok       uv: uv ") for line in lines)
    assert lines[-1] == f"{len(lines) - 1} looked at, 0 problems, 0 warnings"


def test_interpreters_are_found(doctor: Doctor) -> None:
    path = need_python("3.12")
    found = seen(doctor("--json"), "interpreters")
    assert str(path.parent) in found["text"] and "CPython 3.12" in found["text"]


def test_an_interpreter_that_does_not_run_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    broken = tmp_path / "bin" / "python3.12"
    broken.write_text("#!/bin/sh\necho no >&2\nexit 3\n")
    broken.chmod(0o755)
    found = seen(
        doctor("--json", PATH=f"{broken.parent}{os.pathsep}{os.environ['PATH']}"), "interpreters"
    )
    assert found["verdict"] == "warning" and str(broken) in found["text"]


def test_a_bundle_that_can_run_says_on_what(doctor: Doctor, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "model")
    found = seen(doctor(bundle, "--json"), f"bundle {bundle}")
    assert found["verdict"] == "warning"  # without the network, what is not built may never be
    assert "wants Python >=3.8, gets CPython" in found["text"] and "not built" in found["text"]
    assert found["hints"][0]["command"] == f"modelops-runner check --build {bundle}"
    with Runner(cache=tmp_path / "cache") as runner:
        runner.check(bundle, build=True)
    found = seen(doctor(bundle, "--json"), f"bundle {bundle}")
    assert found["verdict"] == "ok" and "is built" in found["text"]


def test_a_bundle_that_no_python_here_suits_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "model", ">=3.99")
    done = doctor(bundle)
    assert done.returncode == 1
    problem = done.stdout[done.stdout.index("PROBLEM") :]
    assert "python-unsatisfied" in problem and ">=3.99 (pyproject.toml:4)" in problem
    assert "help: " in problem
    assert problem.endswith("1 problem, 0 warnings\n")


def test_what_is_no_bundle_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    found = seen(doctor(tmp_path / "none", "--json"), f"bundle {tmp_path / 'none'}")
    assert "bundle-not-found" in found["text"]


def test_a_cache_that_cannot_be_written_to_is_a_problem(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = tmp_path / "file" / "cache"
    found = seen(doctor("--json", MODELOPS_CACHE_DIR=str(cache)), "cache")
    assert found["verdict"] == "problem" and str(cache) in found["text"]


def test_uvs_cache_on_another_file_system_is_a_warning(tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system at /dev/shm")
    found = machine.cache(tmp_path / "cache", other / "uv")
    assert found.verdict is Verdict.WARNING and "another file system" in found.text
    assert machine.cache(tmp_path / "cache", tmp_path / "uv").verdict is Verdict.OK


def test_a_disk_with_little_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A full disk cannot be had for a test.
    for free, verdict in ((500 << 20, Verdict.WARNING), (1 << 20, Verdict.PROBLEM)):
        usage = shutil._ntuple_diskusage(10 << 30, (10 << 30) - free, free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, usage=usage: usage)
        assert machine.cache(tmp_path, None).verdict is verdict


def test_the_limits_of_a_control_group_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "limit").write_text(f"{1 << 30}\n")
    (tmp_path / "used").write_text(f"{(1 << 30) - (10 << 20)}\n")
    files = {"memory.max": tmp_path / "limit", "memory.current": tmp_path / "used"}
    monkeypatch.setattr(machine.cgroups, "group_files", lambda _, v2, v1: [files[v2]])
    found = machine.memory()
    assert found.verdict is Verdict.WARNING
    assert found.text.startswith("10 MiB of 1,024 MiB left in this control group")


def test_few_descriptors_are_a_warning() -> None:
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
        "from runner.doctor.machine import descriptors; one = descriptors()\n"
        "print(one.verdict.value, one.text)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.stdout == "warning 100 (200 at most): too few for many children at a time\n"


def test_without_a_limit_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.cgroups, "group_files", lambda *_: [])
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert machine.processes().text == "no limit"
    assert machine.descriptors().text == "no limit (no limit at most)"


def test_what_was_looked_at_has_nothing_that_a_terminal_would_obey(
    doctor: Doctor, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "\x1b[31mred")
    assert "\x1b" not in doctor(bundle).stdout


def test_a_cluster_that_is_not_there_is_a_problem(doctor: Doctor) -> None:
    pytest.importorskip("distributed")
    done = doctor("--scheduler", "127.0.0.1:1")
    assert done.returncode == 1
    assert "PROBLEM  scheduler 127.0.0.1:1: nothing listens on port 1" in done.stdout


def test_without_dask_a_cluster_cannot_be_looked_at() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "import importlib.util, runner.cli\n"
        "find = importlib.util.find_spec\n"
        "without = lambda name, *_: None if name == 'distributed' else find(name)\n"
        "importlib.util.find_spec = without\n"
        "sys.exit(runner.cli.main(['doctor', '--scheduler', 'tcp://127.0.0.1:1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 2 and "pip install 'modelops-runner[dask]'" in done.stderr
