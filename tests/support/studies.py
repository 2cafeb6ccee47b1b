"""Shared by the tests of studies on a cluster: a bundle, and ways to wait and to look."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from loopback import DaskCluster

from runner import RunnerError
from runner.task import Task

SECONDS = 60.0

WIRE = """\
import os, signal, sys, time
from pathlib import Path
def worker():
    # With a nanny, Dask's worker is a process that multiprocessing has spawned.
    pid = os.getpid()
    while not any(one in Path(f"/proc/{pid}/cmdline").read_text() for one in DASK):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid
DASK = ("distributed.cli", "spawn_main")
def wire(entrypoint, params, seed):
    if entrypoint == "raise":
        raise ValueError(f"seed {seed} is bad")
    if entrypoint == "print":
        print("hello", seed)
        sys.stderr.write("no line end")
    if entrypoint == "large":
        return {"large": bytes([seed]) * (3 << 20), "small": b"s"}
    if entrypoint == "sum":
        return {"sum": str(sum(params["numbers"])).encode()}
    if entrypoint == "sleep":
        time.sleep(params["seconds"])
    if entrypoint == "mark":
        Path(params["file"]).touch()
        time.sleep(1000)
    if entrypoint == "kill":
        signal.raise_signal(signal.SIGKILL)
    if entrypoint == "killed once" and not Path(params["file"]).exists():
        Path(params["file"]).touch()
        signal.raise_signal(signal.SIGKILL)
    if entrypoint == "kill the worker" or (
        entrypoint == "kill the worker once" and not Path(params["file"]).exists()
    ):
        if "file" in params:
            Path(params["file"]).touch()
        os.kill(worker(), signal.SIGKILL)
        time.sleep(1000)
    return {"seed": str(seed).encode()}
"""


def make_bundle(folder: Path, wire: str = WIRE, requirements: str = "") -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text(requirements)
    (folder / "wire.py").write_text(wire)
    return folder


def seeds(entrypoint: str | None = None, tasks: int = 20, **params: object) -> list[Task]:
    return [Task(entrypoint, params, seed) for seed in range(tasks)]


def failing(run: Callable[[], object]) -> RunnerError:
    with pytest.raises(RunnerError) as raised:
        run()
    return raised.value


def wait_until(what: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def descendants(started: DaskCluster) -> list[psutil.Process]:
    """The processes that the workers have started, to look at when they are gone."""
    return [
        child
        for worker in started.workers
        for child in psutil.Process(worker.pid).children(recursive=True)
    ]


def runs_tasks(started: DaskCluster) -> bool:
    """Tell whether a child of a worker has forked for a task; the guardian is two shells."""
    for child in descendants(started):
        with suppress(psutil.NoSuchProcess):
            if child.children() and "modelops-runner-guardian" not in child.cmdline():
                return True
    return False
