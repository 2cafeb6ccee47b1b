"""Runs in a thread what takes a while and has to be done, whether or not a thread can be had."""

import logging
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


async def run_in_thread(function: Callable[[], _T]) -> _T:
    """Call a function in a thread; in this one where the system has no thread left.

    A task may have used up the threads of this worker's user or control group.
    """
    begun = False

    def run() -> _T:
        nonlocal begun
        begun = True
        return function()

    try:
        return await anyio.to_thread.run_sync(run)
    except RuntimeError as error:  # "can't start new thread"
        if begun:
            raise
        _log.warning("the event loop does it by itself: %s", error)
    return function()
