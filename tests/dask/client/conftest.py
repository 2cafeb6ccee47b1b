"""A client of a cluster of two."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from distributed import Client
    from loopback import DaskCluster


@pytest.fixture
def client(two: "DaskCluster") -> "Iterator[Client]":
    from distributed import Client

    with Client(two.address, set_as_default=False) as connected:
        yield connected
