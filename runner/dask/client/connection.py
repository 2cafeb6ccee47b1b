"""Asks a client's cluster, and waits for no answer longer than it may take."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import TypeVar

from distributed import Client

from runner.dask.client.lost import (
    GONE,
    client_closed,
    connection_lost,
    is_closed,
    scheduler_silent,
)
from runner.dask.failures import error_of
from runner.diagnosis.errors import RunnerError

T = TypeVar("T")

# How long the scheduler may take to say which workers it has.
LOOK_SECONDS = 5.0

_POLL_SECONDS = 0.1


def ask(client: Client, question: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The answer to a question that is asked on a client's own event loop, from another thread.

    :raises RunnerError: no answer comes: the scheduler is silent or gone, or the client is closed.
    """
    check_open(client)
    assert client.loop is not None  # it is connected

    async def within() -> T:
        return await asyncio.wait_for(question(), seconds)

    with reported_gone(client):
        asking = asyncio.run_coroutine_threadsafe(within(), client.loop.asyncio_loop)  # type: ignore[attr-defined]
        try:
            # The client's loop may be ending: it is not waited for without a limit either.
            return asking.result(seconds + 1.0)
        except (asyncio.TimeoutError, FutureTimeoutError):
            raise error_of(scheduler_silent(seconds)) from None
        finally:
            asking.cancel()


@contextmanager
def reported_gone(client: Client) -> Iterator[None]:
    """Around calls of a client's, which another thread may close.

    :raises RunnerError: the scheduler is gone, or the client is closed.
    """
    try:
        yield
    # A closed client raises what it likes: a bare Exception, or a class of its own.
    except (Exception, asyncio.CancelledError) as error:
        if isinstance(error, RunnerError):
            raise
        check_open(client)
        if not isinstance(error, GONE):
            raise
        raise error_of(connection_lost(error)) from error


def connection_of(client: Client) -> object:
    """The client's connection, once it looks for no other scheduler in a lost one's place.

    Meanwhile, what asks the scheduler is answered by the new one, and what is submitted waits.

    :raises RunnerError: the client is closed.
    """
    while client.status == "connecting":
        time.sleep(_POLL_SECONDS)
    check_open(client)
    return client.scheduler_comm


def check_open(client: Client) -> None:
    """:raises RunnerError: the client is closed."""
    if is_closed(client):
        raise error_of(client_closed())
