"""Stops this process and all that it has started, as Ctrl-Z asks for, until it is told to go on."""

import math
import os
import signal
import time
from contextlib import suppress

from runner.process.guardian import MARKER, guardian
from runner.process.kill_marked import marked

_suspended_at = -math.inf
"""When this process was last told to stop or went on, on the monotonic clock."""


def suspend() -> None:
    """Stop; to be called in the main thread. Whoever waits for this process sees a SIGTSTP."""
    global _suspended_at
    guard = guardian()
    started = marked(f"{MARKER}={guard.worker}.", guard.numbers)
    _signal(started, signal.SIGSTOP)
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    # Before and after: other threads go on at the same time as this one.
    _suspended_at = time.monotonic()
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)
    _suspended_at = time.monotonic()
    _signal(started, signal.SIGCONT)


def suspended_since(moment: float) -> bool:
    """Tell whether this process was, since a moment of the monotonic clock."""
    return _suspended_at > moment


def _signal(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(OSError):  # it has ended, or is another user's now
            os.kill(pid, number)
