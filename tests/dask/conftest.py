"""Clusters, and clients of them; their processes are forked from one process a session."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from preloaded import AVAILABLE, Forked, Preloaded

import runner

if TYPE_CHECKING:
    from distributed import Client

    from runner.dask.examine.loopback import DaskCluster

ROLES = ("distributed.cli.dask_scheduler", "distributed.cli.dask_worker")


@pytest.fixture(scope="session", autouse=True)
def _forked_clusters() -> Iterator[None]:
    """A cluster that needs another interpreter or other variables has processes that begin anew."""
    if not AVAILABLE:
        yield
        return
    pytest.importorskip("distributed")
    from runner.dask.examine import loopback

    with ExitStack() as stack:
        preloaded: list[Preloaded] = []
        begin_anew = loopback.start_process

        def start(
            command: list[str], log: int, environ: dict[str, str]
        ) -> "subprocess.Popen[bytes] | Forked":
            if not preloaded:
                path = {"PYTHONPATH": str(Path(runner.__file__).parents[1])}
                preloaded.append(Preloaded(*ROLES, environ={**os.environ, **path}))
                stack.callback(preloaded[0].close)
            if not preloaded[0].can_start(command, environ):
                return begin_anew(command, log, environ)
            with open(os.devnull) as nothing:  # noqa: PTH123
                return preloaded[0].start(
                    command,
                    environ=environ,
                    stdin=nothing.fileno(),
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(loopback, "start_process", start)
        yield


@pytest.fixture(scope="module")
def environ(cache: Path) -> dict[str, str]:
    return {"MODELOPS_CACHE_DIR": str(cache)}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from studies import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "model")


@pytest.fixture
def one(environ: dict[str, str]) -> "Iterator[DaskCluster]":
    """A cluster of one worker."""
    from runner.dask.examine.loopback import cluster

    with cluster(1, environ=environ) as started:
        yield started


@pytest.fixture
def two(environ: dict[str, str]) -> "Iterator[DaskCluster]":
    """A cluster of two workers."""
    from runner.dask.examine.loopback import cluster

    with cluster(2, environ=environ) as started:
        yield started


@pytest.fixture
def client(one: "DaskCluster") -> "Iterator[Client]":
    from distributed import Client

    with Client(one.address, set_as_default=False) as connected:
        yield connected
