"""The calls that threads have under way for one ``map``, which are stopped together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """Nobody wants the result any more. No Exception, which a report would be made of."""


class Calls:
    """The calls that threads have under way for one map, which are stopped together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stops: dict[int, Callable[[], object]] = {}
        self._stopped = False

    def check(self) -> None:
        """:raises Stopped: it was stopped."""
        if self._stopped:
            raise Stopped

    @contextmanager
    def under_way(self, stop: Callable[[], object]) -> Iterator[None]:
        """This thread waits for something, which ``stop`` ends.

        :raises Stopped: it was stopped, meanwhile or before.
        """
        thread = threading.get_ident()
        with self._lock:
            if self._stopped:
                raise Stopped
            self._stops[thread] = stop
        try:
            yield
        finally:
            with self._lock:
                del self._stops[thread]
                stopped = self._stopped
        if stopped:
            raise Stopped

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            for stop in self._stops.values():
                stop()
