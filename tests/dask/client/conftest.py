"""A cluster, and a client of it, for tests that leave it as it was."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from distributed import Client

    from runner.dask.examine.loopback import DaskCluster


@pytest.fixture(scope="module")
def shared_cluster(cache: Path) -> "Iterator[DaskCluster]":
    from runner.dask.examine.loopback import cluster

    with cluster(2, environ={"MODELOPS_CACHE_DIR": str(cache)}) as started:
        yield started


@pytest.fixture
def client(shared_cluster: "DaskCluster") -> "Iterator[Client]":
    from distributed import Client

    with Client(shared_cluster.address, set_as_default=False) as connected:
        yield connected
