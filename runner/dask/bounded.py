"""Waits for nothing longer than it may take."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


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
