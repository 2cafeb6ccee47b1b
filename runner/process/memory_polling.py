"""A child's memory limit, kept by looking: where the kernel keeps none."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.to_thread

from runner.process.ending import SHOW_STACKS, STACKS_SECONDS
from runner.process.memory_usage import children, family, held
from runner.process.supervisor import Process

PERIOD_SECONDS = 0.1
# A look at many large processes takes milliseconds; this is how much longer the pause after it is.
_REST = 10


async def watch_memory(
    process: Process, limit: int, *, forks: Callable[[], bool], over: Callable[[int], None]
) -> None:
    """End a child, or the process that it has forked for a task, when it holds too much memory.

    With all that it has started. Its stacks go to stderr before, as when a task hangs.

    :param over: called with the bytes held, before anybody can see the end.
    """
    while process.exit is None:
        began = time.monotonic()
        # In a thread: see held().
        used, tasks = await anyio.to_thread.run_sync(_look, process.pid, limit, forks())
        took = time.monotonic() - began
        if used > limit and _ask_for_stacks(process, tasks):
            over(used)
            with anyio.move_on_after(STACKS_SECONDS):
                while _left(process, tasks) if tasks else process.exit is None:  # noqa: ASYNC110 - they are the child's to wait for
                    await anyio.sleep(PERIOD_SECONDS / 10)
            _kill(process, tasks)
        await anyio.sleep(max(PERIOD_SECONDS, _REST * took))


def _look(pid: int, limit: int, forks: bool) -> tuple[int, list[int]]:
    """How much is held, and by which of the child's forks; by the child itself, if by none."""
    if not forks:
        return held(family(pid), limit), []
    # What a fork shares with the child is counted in it.
    tasks = children(pid)
    used = held([member for task in tasks for member in family(task)], limit) if tasks else 0
    return (used, tasks) if used > limit else (held([pid], limit), [])


def _ask_for_stacks(process: Process, tasks: list[int]) -> bool:
    """:returns: whether anybody was there."""
    if not tasks:
        process.send_signal(SHOW_STACKS)
        return True
    there = False
    for task in tasks:
        with suppress(ProcessLookupError):
            os.kill(task, SHOW_STACKS)
            there = True
    return there


def _left(process: Process, tasks: list[int]) -> set[int]:
    return set(tasks).intersection(children(process.pid))


def _kill(process: Process, tasks: list[int]) -> None:
    if not tasks:
        process.send_signal(signal.SIGKILL)
    for task in _left(process, tasks):
        for kill in (os.killpg, os.kill):  # it may not have a group of its own
            with suppress(ProcessLookupError):
                kill(task, signal.SIGKILL)
