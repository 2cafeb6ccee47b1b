"""Ends a run when the terminal or the system asks for it, and shows how long it takes till then."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

_T = TypeVar("_T")

TICK_SECONDS = 0.5
# The last three are a batch system's, ahead of its time limit or at it.
_SIGNALS = (
    *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
)


async def unless_signalled(
    run: Awaitable[_T], refresh: Callable[[], None], finish: Callable[[], bool] | None = None
) -> tuple[signal.Signals | None, _T | None]:
    """Return what a run gives, or the signal that has ended it.

    :param refresh: is called every now and then, and shows how far the run is.
    :param finish: is called at the first SIGINT, and has the run end by itself, so that only the
        next one ends it at once. It returns whether there is anything to wait for.
    :returns: both, where the run has ended by itself after a signal.
    """
    finishing = False
    caught: signal.Signals | None = None
    failure: Exception | None = None
    outcome: _T | None = None
    async with anyio.create_task_group() as tasks:

        async def cancel_on_signal() -> None:
            nonlocal caught, finishing
            # What the caller ignores stays ignored: SIGHUP under nohup, SIGINT in the background.
            ends = [one for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN]
            with anyio.open_signal_receiver(*ends) as signals:
                async for number in signals:
                    caught = number
                    if number is signal.SIGINT and finish is not None and not finishing:
                        finishing = True
                        if finish():
                            continue
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
