"""Shared memory that a task does not remove is removed with it, as at a script's end."""

import uuid
from pathlib import Path

import pytest
from children import still_running
from conftest import write_bundle

from runner import Runner, RunnerError
from runner.defaults import Isolation

SHARED = Path("/dev/shm")
WIRE = """
from multiprocessing import shared_memory


def wire(entrypoint, params, seed):
    left = shared_memory.SharedMemory(create=True, size=4096, name=f"{params['name']}-{seed}")
    left.buf[0] = 1
    return {"left": left.name.encode()}
"""


@pytest.mark.skipif(not SHARED.is_dir(), reason="no /dev/shm on this machine")
@pytest.mark.parametrize("isolation", list(Isolation))
def test_what_a_task_has_left_in_shared_memory_goes_with_it(
    isolation: Isolation, tmp_path: Path
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/wire.py").write_text(WIRE)
    (tmp_path / "m/requirements.txt").write_text("")
    name = f"modelops-test-{uuid.uuid4().hex[:12]}"
    with Runner(cache=tmp_path / "cache", isolation=isolation) as runner:
        for seed in range(3):
            result = runner.execute(tmp_path / "m", params={"name": name}, seed=seed)
            assert result["left"] == f"{name}-{seed}".encode()
            if isolation == "fork":
                assert list(SHARED.glob(f"{name}-*")) == []
    assert list(SHARED.glob(f"{name}-*")) == []


KILLED = """
import os, subprocess, sys, time
from multiprocessing import shared_memory

OTHERS = {
    "none": None,
    "impostor": "from multiprocessing.resource_tracker import main;"
                "import time; print('there', flush=True); time.sleep(999)",
    "script": "from multiprocessing.shared_memory import SharedMemory;"
              "import sys, time; left = SharedMemory(sys.argv[1], True, 4096);"
              "print('there', flush=True); time.sleep(999)",
}


def wire(entrypoint, params, seed):
    left = shared_memory.SharedMemory(params["name"], create=True, size=4096)
    code = OTHERS[params["other"]]
    if code:
        argv = [sys.executable, "-c", code, params["name"] + "-2"]
        other = subprocess.Popen(argv, stdout=subprocess.PIPE)
        other.stdout.readline()
        print("other", other.pid, flush=True)
    if params["end"] == "kill":
        os.kill(os.getpid(), 9)
    if params["end"] == "exit":
        os._exit(3)
    time.sleep(999)
"""


@pytest.mark.skipif(not SHARED.is_dir(), reason="no /dev/shm on this machine")
@pytest.mark.parametrize("isolation", list(Isolation))
@pytest.mark.parametrize(
    ("end", "other"), [("kill", "none"), ("exit", "script"), ("hang", "none"), ("kill", "impostor")]
)
def test_what_a_task_that_was_ended_has_left_in_shared_memory_goes_with_it(
    isolation: Isolation, end: str, other: str, tmp_path: Path, cache: Path
) -> None:
    bundle = write_bundle(tmp_path / "bundle", KILLED)
    name = f"modelops-test-{uuid.uuid4().hex[:12]}"
    timeout = 2 if end == "hang" else 60
    runner = Runner(cache=cache, isolation=isolation, timeout=timeout)
    with runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle, params={"name": name, "end": end, "other": other})
    assert list(SHARED.glob(f"{name}*")) == []
    report = caught.value.report
    assert "resource_tracker" not in report.summary
    if other != "none":
        assert report.evidence.stdout is not None
        pid = int(report.evidence.stdout.text.split()[1])
        assert still_running([pid]) == []
