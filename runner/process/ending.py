"""How a process is ended: one sequence, whoever asks for it.

It may be asked to end (:data:`SHUTDOWN_SECONDS`), then gets signals that it can answer to, each
with a grace period (:class:`Notice`), then SIGKILL goes to its group (:data:`KILL_SECONDS`). Last,
whatever else carries its marker is killed, and what nobody has reaped is reaped
(:data:`REAP_SECONDS`). A step is left out where the caller has no use for it.
"""

import logging
import signal
import subprocess
from contextlib import suppress
from typing import NamedTuple

from runner.process.guardian import MARKER, Guardian
from runner.process.kill_marked import kill_marked

_log = logging.getLogger(__name__)

# After a child's last answer: for the bundle's atexit handlers.
SHUTDOWN_SECONDS = 2.0
# A child registers its stacks for it (bundle_protocol/process.py), and ends. Not SIGABRT, for which
# faulthandler says "Fatal Python error: Aborted": nothing of the model's has aborted.
SHOW_STACKS = signal.SIGXCPU
# The stacks are written within milliseconds; a child that is stopped or deep in the kernel never
# writes any.
STACKS_SECONDS = 0.3
# A killed process is gone within milliseconds, unless it sits in the kernel (a dead NFS server):
# then waiting on would hang the worker, and the process ends whenever the kernel lets go of it.
KILL_SECONDS = 5.0
# How long one that was killed, and that nobody watches any more, is waited for.
REAP_SECONDS = 1.0


class Notice(NamedTuple):
    """Signals that a process gets before SIGKILL."""

    signals: tuple[signal.Signals, ...]
    seconds: float
    """How long it may take to end by itself then."""


def to_terminate(seconds: float) -> tuple[Notice, ...]:
    """SIGTERM and a grace period, where there is one."""
    return (Notice((signal.SIGTERM,), seconds),) if seconds > 0 else ()


def to_show_stacks(*, stopped: bool) -> Notice:
    """The signal for which a child writes the stacks of its threads.

    :param stopped: a stopped process takes no signal but SIGKILL until it is continued.
    """
    continued = (signal.SIGCONT,) if stopped else ()
    return Notice((SHOW_STACKS, *continued), STACKS_SECONDS)


def kill_descendants(
    marker: str, numbers: range, guard: Guardian, popen: "subprocess.Popen[bytes]"
) -> None:
    """Kill what a process left behind, wherever it went; itself too, if need be."""
    try:
        if not kill_marked(f"{MARKER}={marker}", numbers):
            _log.warning("descendants of an ended process keep forking; some may be left")
    except OSError as error:  # it has no descriptor left to list them with
        _log.warning("what an ended process has started may be left: %s", error)
    finally:
        guard.release()
        if popen.returncode is None:  # nobody has reaped it
            popen.kill()
            with suppress(subprocess.TimeoutExpired):
                popen.wait(REAP_SECONDS)
