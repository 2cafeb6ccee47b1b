"""Ends a run when the terminal or the system asks for it, and shows how long it takes till then."""

import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from types import FrameType
from typing import NoReturn, TypeVar

import anyio

from runner.diagnosis.case import Finding
from runner.diagnosis.report.text import printable
from runner.events import Phase
from runner.process.guardian import MARKER, guardian
from runner.process.kill_marked import kill_marked
from runner.process.suspension import suspend
from runner.study.writing import write_at_once

_T = TypeVar("_T")

TICK_SECONDS = 0.5
# The last three are a batch system's, ahead of its time limit or at it.
_SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
)
# timeout(1) sends it to a process and then to its group; `uv run` hands on a terminal's, too.
_SAME_SECONDS = 0.3
_SHOW_CURSOR = b"\x1b[?25h"  # DECTCEM
_CLEAR_LINE_AND_SHOW_CURSOR = b"\r\x1b[K" + _SHOW_CURSOR  # ECMA-48 EL


class _Signals:
    """Takes signals as they come: each wakes the event loop, but the one that ends it at once."""

    def __init__(self, end: Callable[[str], Finding] | None) -> None:
        self._ended_by: tuple[signal.Signals, float] | None = None
        """The signal by which the run is being ended, and since when."""
        self._end = end
        self._reading, self._writing = socket.socketpair()
        for one in (self._reading, self._writing):
            one.setblocking(False)
        # What the caller ignores stays ignored: SIGHUP under nohup, SIGINT in the background.
        ends = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
        self._before = {one: signal.signal(one, self._take) for one in ends}
        if signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, _suspend)

    def _take(self, number: int, _: FrameType | None) -> None:
        if self._ended_by is not None:
            first, since = self._ended_by
            if number != first or time.monotonic() - since > _SAME_SECONDS:
                _leave(signal.Signals(number), self._end)
            return
        with suppress(OSError):  # so many have come that one more says nothing
            self._writing.send(bytes((number,)))

    def ends(self, number: signal.Signals) -> None:
        """The run is ended by it: the next one ends this process."""
        self._ended_by = number, time.monotonic()

    async def next(self) -> signal.Signals:
        while True:
            await anyio.wait_readable(self._reading)
            with suppress(BlockingIOError):
                return signal.Signals(self._reading.recv(1)[0])

    def close(self) -> None:
        """Handle them as before, unless the run was ended: what is still said of it may be cut."""
        if self._ended_by is None:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        self._reading.close()
        self._writing.close()


def _suspend(_: int, __: FrameType | None) -> None:
    if os.isatty(2):  # the shell does not bring back what a display has hidden
        with suppress(OSError):
            write_at_once(2, _SHOW_CURSOR, 0)
    suspend()


def _leave(number: signal.Signals, end: Callable[[str], Finding] | None) -> NoReturn:
    """End this process at once, with what it has started; say what is left, and how to go on."""
    guard = guardian()
    with suppress(OSError):  # it has no descriptor left; the guardian does it then
        kill_marked(f"{MARKER}={guard.worker}.", guard.numbers)
    said = f"{number.name} ended it"
    how_to_go_on = ""
    if end is not None:
        finding = end(number.name)
        said = finding.summary
        if finding.phase is Phase.ENVIRONMENT:
            how_to_go_on = "; the next run removes what was half built"
        for hint in finding.hints[:1]:
            how_to_go_on += f"; {hint.title}" + (f": {hint.command}" if hint.command else "")
    said += f" (at once, without a report){how_to_go_on}"
    line = f"modelops-runner: {printable(said)}\n".encode("utf-8", "backslashreplace")
    with suppress(OSError):  # nobody takes it, or it is closed
        write_at_once(2, (_CLEAR_LINE_AND_SHOW_CURSOR if os.isatty(2) else b"") + line, 0)
    os._exit(128 + number)


async def unless_signalled(
    run: Awaitable[_T],
    refresh: Callable[[], None],
    finish: Callable[[], bool] | None = None,
    end: Callable[[str], Finding] | None = None,
) -> tuple[signal.Signals | None, _T | None]:
    """Return what a run gives, or the signal that has ended it.

    A signal that comes while the run is being ended ends this process at once.

    :param refresh: is called every now and then, and shows how far the run is.
    :param finish: is called at the first SIGINT, and has the run end by itself, so that only the
        next one ends it. It returns whether there is anything to wait for.
    :param end: gives the finding that a signal of this name has ended the run.
    :returns: both, where the run has ended by itself after a signal.
    """
    finishing = False
    caught: signal.Signals | None = None
    failure: Exception | None = None
    outcome: _T | None = None
    with closing(_Signals(end)) as signals:
        async with anyio.create_task_group() as tasks:

            async def cancel_on_signal() -> None:
                nonlocal caught, finishing
                while True:
                    caught = await signals.next()
                    if caught is signal.SIGINT and finish is not None and not finishing:
                        finishing = True
                        if finish():
                            continue
                    signals.ends(caught)
                    tasks.cancel_scope.cancel()
                    return

            async def tick() -> None:
                while True:
                    await anyio.sleep(TICK_SECONDS)
                    refresh()

            tasks.start_soon(cancel_on_signal)
            tasks.start_soon(tick)
            try:
                outcome = await run
            except Exception as error:  # noqa: BLE001 - raised below, where no group wraps it
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return caught, outcome
