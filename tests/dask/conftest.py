"""Clusters, and clients of them; their processes are forked from one process a session."""

import os
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from preloaded import AVAILABLE, Forked, Preloaded

import runner

if TYPE_CHECKING:
    from distributed import Client
    from loopback import DaskCluster

ROLES = ("distributed.cli.dask_scheduler", "distributed.cli.dask_worker")

# What a study has a scheduler and its workers import.
OURS = ("runner.dask.worker.work", "runner.dask.scheduler")

# Else each idle process looks fifty times a second whether its event loop is there, and a hundred
# times what that does: tests would pay for the clusters that others have left.
LESS_BUSY = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
}

_FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session", autouse=True)
def _forked_clusters() -> Iterator[None]:
    """A cluster that needs another interpreter or other variables has processes that begin anew."""
    if not AVAILABLE:
        yield
        return
    pytest.importorskip("distributed")
    import loopback

    with ExitStack() as stack:
        preloaded: list[Preloaded] = []
        begin_anew = loopback.start_process

        def start(
            command: list[str], log: int, environ: dict[str, str]
        ) -> "subprocess.Popen[bytes] | Forked":
            if not preloaded:
                path = {"PYTHONPATH": str(Path(runner.__file__).parents[1])}
                preloaded.append(Preloaded(*ROLES, *OURS, environ={**os.environ, **path}))
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
        for name, value in LESS_BUSY.items():
            patch.setenv(name, value)
        patch.setattr(loopback, "start_process", start)
        yield


class Clusters:
    """Those that one test after the other has, for as long as each leaves them whole."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._whole: dict[int, DaskCluster] = {}

    def lend(self, workers: int, test: pytest.Item) -> "Iterator[DaskCluster]":
        """Give a cluster of so many workers until the test has ended."""
        from loopback import DaskCluster

        started = self._whole.pop(workers, None) or self._stack.enter_context(DaskCluster(workers))
        own = [started.scheduler, *started.workers]
        yield started
        added = started.workers[workers:]
        for one in added:
            one.stop()
        whole = own == [started.scheduler, *started.workers[:workers]] and all(
            one.alive and psutil.Process(one.pid).status() != psutil.STATUS_STOPPED for one in own
        )
        if whole and all(one.address for one in added) and not test.stash.get(_FAILED, False):
            for one in added:
                started.scheduler.wait_for(f"Remove worker addr: {one.address} ")
            del started.workers[workers:]
            self._whole[workers] = started
        else:
            started.close()

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def clusters(_forked_clusters: None, _no_users_cache: None) -> Iterator[Clusters]:
    made = Clusters()
    yield made
    made.close()


@pytest.fixture
def one(clusters: Clusters, request: pytest.FixtureRequest) -> "Iterator[DaskCluster]":
    """A cluster of one worker, which may have run other tests."""
    yield from clusters.lend(1, request.node)


@pytest.fixture
def two(clusters: Clusters, request: pytest.FixtureRequest) -> "Iterator[DaskCluster]":
    """A cluster of two workers, which may have run other tests."""
    yield from clusters.lend(2, request.node)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from studies import make_bundle

    return make_bundle(tmp_path_factory.mktemp("bundles") / "model")


@pytest.fixture
def client(one: "DaskCluster") -> "Iterator[Client]":
    from distributed import Client

    with Client(one.address, set_as_default=False) as connected:
        yield connected
