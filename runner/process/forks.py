"""Keeps a fork elsewhere in this process from holding what is just being made for a child.

``multiprocessing`` and others fork from any thread. Such a fork has every descriptor that is open,
for as long as it lives: ``Popen`` would wait for it, because it reads the pipe that tells of a
failed exec to its end; and a child would not see its worker's end of its input close. So the forks
of this process wait until a child has been started and its descriptors are known to the hooks that
close them in a fork (:mod:`runner.process.supervisor`, :mod:`runner.process.guardian`).
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Reentrant: a signal's handler may fork in the thread that has it.
_lock = threading.RLock()


@contextmanager
def no_fork() -> Iterator[None]:
    """Let the forks of other threads wait until leaving. For milliseconds, and never an await."""
    with _lock:
        yield


def _hold() -> None:
    _lock.acquire()


def _release() -> None:
    _lock.release()


def _renew() -> None:
    global _lock
    _lock = threading.RLock()


os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_renew)
