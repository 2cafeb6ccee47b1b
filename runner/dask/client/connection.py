"""Asks a client's cluster, and waits for no answer longer than it may take."""

import asyncio
import operator
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from contextvars import Context
from typing import Any, TypeVar

from distributed import Client
from distributed import Future as DaskFuture

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


async def on_scheduler(
    client: Client, function: Callable[..., Awaitable[T]], *given: Any
) -> T | None:
    """The answer of a function of :mod:`runner.dask.scheduler`; on the client's own event loop.

    :returns: ``None``: there is no answer. Who watches the scheduler says so.
    """
    try:
        asking: Awaitable[T] = client.run_on_scheduler(function, *given)
        return await asyncio.wait_for(asking, LOOK_SECONDS)
    # Before 3.11, asyncio's and the built-in TimeoutError are two.
    except (*GONE, asyncio.TimeoutError):
        return None


def workers_of(client: Client) -> Mapping[str, int]:
    """The threads of each of a cluster's workers, by address.

    :raises RunnerError: the scheduler says nothing.
    """
    return ask(client, lambda: client.nthreads(asynchronous=True), LOOK_SECONDS)


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


def unannotated(call: Callable[[], T]) -> T:
    """Submit something of the runner's own.

    Annotations are a context variable, which Dask reads when something is submitted. Resources that
    the user's tasks need are not needed to see whether a worker answers, and not to build an
    environment; with them, Dask would never send either to a worker that has none.
    """
    return Context().run(call)


def something_to_do(client: Client) -> "DaskFuture[int]":
    """Submit what any worker may run: a cluster that adapts starts one only for a task."""
    future: DaskFuture[int] = unannotated(lambda: client.submit(operator.add, 1, 2, pure=False))
    return future


def in_thread(function: Callable[[], T], seconds: float) -> T:
    """Call a function, and wait no longer than so many seconds for it.

    :raises concurrent.futures.TimeoutError: it is still at it. Its thread keeps no process alive.
    """
    return begun_in_thread(function).result(seconds)


def begun_in_thread(function: Callable[[], T]) -> Future[T]:
    """Call a function in a thread that keeps no process alive."""
    done: Future[T] = Future()

    def call() -> None:
        try:
            done.set_result(function())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=call, daemon=True, name="modelops-runner-call").start()
    return done
