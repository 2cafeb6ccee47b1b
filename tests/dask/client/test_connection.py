"""The client's connection to its scheduler."""

import asyncio
from types import SimpleNamespace
from typing import cast

import pytest

pytest.importorskip("distributed")

from distributed import Client
from studies import failing

from runner.dask.client.connection import connection_of, reported_gone
from runner.dask.client.lost import client_closed, raised
from runner.dask.failures import report_of


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


# A bare Exception: distributed 2024.8 of what is sent after the close.
@pytest.mark.parametrize(
    "error", [Exception("closed"), OSError(), AttributeError("send"), asyncio.CancelledError("key")]
)
def test_whatever_a_client_raises_that_another_thread_closes_says_that_it_is_closed(
    error: BaseException,
) -> None:
    def call(status: str) -> None:
        with reported_gone(cast("Client", SimpleNamespace(status=status))):
            raise error

    assert failing(lambda: call("closing")).report.summary == client_closed().summary
    closed = cast("Client", SimpleNamespace(status="closed"))
    assert raised(error, closed).summary == client_closed().summary
    if type(error) is Exception:
        with pytest.raises(Exception, match="closed"):
            call("running")
    else:
        assert (
            "connection to the scheduler was lost"
            in failing(lambda: call("running")).report.summary
        )


def test_the_report_of_what_befalls_many_tasks_at_once_is_each_tasks_own() -> None:
    first, second = (report_of(client_closed()) for _ in range(2))
    assert first.id != second.id and first.summary == second.summary
    first.summary = "changed by its reader"
    assert report_of(client_closed()).summary == second.summary
