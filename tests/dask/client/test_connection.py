"""The client's connection to its scheduler."""

from types import SimpleNamespace
from typing import cast

import pytest

pytest.importorskip("distributed")

from distributed import Client
from studies import failing

from runner.dask.client.connection import connection_of


class Connecting(SimpleNamespace):
    """A client that has lost its scheduler, and what becomes of it."""

    @property
    def status(self) -> str:
        return str(self.becomes.pop(0) if len(self.becomes) > 1 else self.becomes[0])


def test_what_asks_the_cluster_waits_until_the_client_is_connected() -> None:
    client = Connecting(becomes=["connecting", "connecting", "running"], scheduler_comm=3)
    assert connection_of(cast("Client", client)) == 3
    gone = Connecting(becomes=["connecting", "closed"], scheduler_comm=None)
    assert (
        "the client is closed"
        in failing(lambda: connection_of(cast("Client", gone))).report.summary
    )
