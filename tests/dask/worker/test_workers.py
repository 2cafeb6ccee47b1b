"""A worker: what it keeps, logs and is set up with."""

import gc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("distributed")

from distributed import Client
from loopback import DaskCluster
from studies import SECONDS, make_bundle, seeds, wait_until

import runner.dask
from runner.dask import RunnerPlugin
from runner.dask.worker.output_log import OutputLog
from runner.events import Output, Stream
from runner.result import Result


@pytest.fixture
def client(two: DaskCluster) -> Iterator[Client]:
    with Client(two.address, set_as_default=False) as connected:
        yield connected


def test_a_model_may_write_into_its_folder(
    two: DaskCluster, client: Client, tmp_path: Path
) -> None:
    wire = """\
import time
from pathlib import Path
def wire(entrypoint, params, seed):
    time.sleep(0.02)
    Path(f"scratch-{seed}.txt").write_text(Path("data.csv").read_text())
    return {"seed": str(seed).encode()}
"""
    model = make_bundle(tmp_path / "model", wire)
    (model / "data.csv").write_text("1,2")
    found = []
    for number, result in runner.dask.map_unordered(client, model, seeds(tasks=40)):
        assert isinstance(result, Result)
        found.append(number)
        if len(found) == 10:
            two.add_worker()
    assert sorted(found) == list(range(40))
    assert not list(model.glob("scratch-*"))


def test_an_empty_folder_of_a_bundle_is_there(client: Client, tmp_path: Path) -> None:
    wire = """\
from pathlib import Path
def wire(entrypoint, params, seed):
    Path("out", "file").write_text("x")
    return {"seed": b"0"}
"""
    model = make_bundle(tmp_path / "model", wire)
    (model / "out").mkdir()
    assert runner.dask.submit(client, model).result(SECONDS)["seed"] == b"0"


def test_a_plugin_of_the_callers_own_is_the_one(client: Client, tmp_path: Path) -> None:
    model = make_bundle(tmp_path / "model")
    for name in ("mine", "modelops-runner"):
        client.register_plugin(RunnerPlugin(isolation="warm"), name=name)
        try:
            assert runner.dask.submit(client, model).result(SECONDS).isolation == "warm"
        finally:
            client.unregister_worker_plugin(name)


def test_bundles_do_not_pile_up(client: Client, tmp_path: Path) -> None:
    edited = make_bundle(tmp_path / "edited")
    for edit in range(3):
        (edited / "edit.py").write_text(f"# {edit}\n")
        (_,) = runner.dask.map(client, edited, seeds(tasks=1))
    gc.collect()

    # Local functions, which go by value: the cluster has no module of this name.
    def kept(dask_scheduler: Any) -> int:
        return sum(name.startswith("modelops-bundle-") for name in dask_scheduler.worker_plugins)

    def in_memory(dask_worker: Any) -> list[bool]:
        plugins = dask_worker.plugins.items()
        bundles = [plugin for name, plugin in plugins if name.startswith("modelops-bundle-")]
        return [plugin.archive.data is not None for plugin in bundles]

    wait_until(lambda: client.run_on_scheduler(kept) == 1)
    # The worker that has unpacked it needs it no more; the other one may have to.
    wait_until(lambda: [False] in client.run(in_memory).values())


def test_what_a_bundle_writes_while_it_is_loaded_is_in_the_workers_log(
    two: DaskCluster, client: Client, tmp_path: Path
) -> None:
    wire = "print('loading')\ndef wire(entrypoint, params, seed):\n    return {'seed': b'0'}\n"
    model = make_bundle(tmp_path / "model", wire)
    runner.dask.submit(client, model).result(SECONDS)
    log = "".join(worker.text() for worker in two.workers)
    assert any("modelops-prepare" in line and "loading" in line for line in log.splitlines())


def test_a_character_that_is_cut_at_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    events: list[object] = []
    worker = SimpleNamespace(log_event=lambda _topic, said: events.append(said["line"]))
    log = OutputLog("key", worker)  # type: ignore[arg-type]
    log.handle(Output(Stream.STDOUT, b"caf" + "é".encode()[:1], at=0.0))
    log.close()
    assert events == ["caf\\xc3"]
