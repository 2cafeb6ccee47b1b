"""Asks a client's cluster, and waits for no answer longer than it may take."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from typing import TypeVar

from distributed import Client

from runner.dask.census import Census, Refusal, Seen, Wish, census
from runner.dask.client.lost import (
    GONE,
    client_closed,
    connection_lost,
    is_closed,
    scheduler_silent,
)
from runner.dask.failures import error_of

T = TypeVar("T")

# How long the scheduler may take to say which workers it has.
LOOK_SECONDS = 5.0


def ask(client: Client, question: Callable[[], Awaitable[T]], seconds: float) -> T:
    """The answer to a question that is asked on a client's own event loop, from another thread.

    :raises RunnerError: no answer comes: the scheduler is silent or gone, or the client is closed.
    """
    check_open(client)
    assert client.loop is not None  # it is connected

    async def within() -> T:
        return await asyncio.wait_for(question(), seconds)

    with reported_gone():
        asking = asyncio.run_coroutine_threadsafe(within(), client.loop.asyncio_loop)  # type: ignore[attr-defined]
        try:
            # The client's loop may be ending: it is not waited for without a limit either.
            return asking.result(seconds + 1.0)
        except (asyncio.TimeoutError, FutureTimeoutError):
            raise error_of(scheduler_silent(seconds)) from None
        finally:
            asking.cancel()


@contextmanager
def reported_gone() -> Iterator[None]:
    """Around calls of a client's.

    :raises RunnerError: the scheduler is gone, or the client is closed.
    """
    try:
        yield
    except GONE as error:
        raise error_of(connection_lost(error)) from error


def check_open(client: Client) -> None:
    """:raises RunnerError: the client is closed."""
    if is_closed(client):
        raise error_of(client_closed())


class Watch:
    """The workers of a client's cluster, as the scheduler last told of them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._heard = time.monotonic()
        self.scheduler = getattr(client.scheduler, "address", "")
        """Its address, also once it is gone."""
        self.workers: Mapping[str, Seen] = {}
        """By their addresses."""
        self.threads = 0
        """How many they have."""
        self.unrunnable: Mapping[str, Wish] = {}
        """This client's tasks that no worker may run, by their keys."""
        self.refusals: Collection[Refusal] = ()

    @property
    def silent_seconds(self) -> float:
        """For how long the scheduler has said nothing, though it was asked."""
        return time.monotonic() - self._heard

    def begin(self) -> None:
        """It was not asked for a while."""
        self._heard = time.monotonic()

    async def look(self) -> bool:
        """Ask again, on the client's own event loop; whether there was an answer."""
        try:
            asking = self._client.run_on_scheduler(census, self._client.id)
            seen: Census = await asyncio.wait_for(asking, LOOK_SECONDS)
        # Before 3.11, asyncio's and the built-in TimeoutError are two.
        except (OSError, RuntimeError, AttributeError, CancelledError, asyncio.TimeoutError):
            return False
        self.workers, self.unrunnable = seen.workers, seen.unrunnable
        self.threads = sum(one.threads for one in seen.workers.values())
        self.refusals = seen.refusals
        self._heard = time.monotonic()
        return True
