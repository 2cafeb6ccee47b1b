"""The calls that a worker's threads have under way, which end early when nobody wants them."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from threading import Lock
from typing import TypeVar

from runner.execution.bounded_map import Calls as Stops
from runner.execution.bounded_map import Stopped

T = TypeVar("T")


class Calls:
    """By the key of the task that each is for.

    Dask may let go of a task before the thread that it was given to has begun with it: that is
    kept, under the lock that a call begins with, until Dask is done with the task.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._under_way: dict[str, Stops] = {}
        self._unwanted: set[str] = set()
        self._closed = False

    def run(self, key: str, call: Callable[[Stops], T]) -> T:
        """Return what a call gives, which is stopped by what it is handed.

        :raises concurrent.futures.CancelledError: it was, or could not begin any more.
        """
        with self._lock:
            if self._closed or key in self._unwanted:
                raise CancelledError
            stops = self._under_way[key] = Stops()
        try:
            return call(stops)
        except Stopped:
            raise CancelledError from None
        except RuntimeError:
            if self._closed:  # the runner was, before it came to this call
                raise CancelledError from None
            raise
        finally:
            with self._lock:
                del self._under_way[key]

    def cancel(self, key: str) -> None:
        """Nobody wants what this task gives, whether or not its call has begun."""
        with self._lock:
            self._unwanted.add(key)
            stops = self._under_way.get(key)
        if stops is not None:
            stops.stop()

    def forget(self, key: str) -> None:
        """The task has ended, or is wanted again."""
        with self._lock:
            self._unwanted.discard(key)

    def close(self) -> None:
        """End every call, and let none begin."""
        with self._lock:
            self._closed = True
            left = list(self._under_way.values())
        for stops in left:
            stops.stop()
