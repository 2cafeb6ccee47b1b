"""Ends a run when the terminal or the system asks for it, and shows how long it takes till then."""

import signal
from collections.abc import Awaitable
from typing import TypeVar

import anyio

from runner.cli.live import Live

_T = TypeVar("_T")

TICK_SECONDS = 0.5
# The last three are a batch system's, ahead of its time limit or at it.
_SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
)


async def unless_signalled(
    run: Awaitable[_T], live: Live
) -> tuple[signal.Signals | None, _T | None]:
    """Return what a run gives, or the signal that has ended it."""
    caught: signal.Signals | None = None
    outcome: _T | None = None
    async with anyio.create_task_group() as tasks:

        async def cancel_on_signal() -> None:
            nonlocal caught
            # What the caller ignores stays ignored: SIGHUP under nohup, SIGINT in the background.
            ends = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
            with anyio.open_signal_receiver(*ends) as signals:
                async for number in signals:
                    caught = number
                    tasks.cancel_scope.cancel()
                    return

        async def tick() -> None:
            while True:
                await anyio.sleep(TICK_SECONDS)
                live.tick()

        tasks.start_soon(cancel_on_signal)
        if live.on_terminal:
            tasks.start_soon(tick)
        outcome = await run
        tasks.cancel_scope.cancel()
    return caught, outcome
