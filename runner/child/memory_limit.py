"""A child's memory limit: who keeps it, and what is known once it was passed."""

import os
import signal
import time
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread

from runner.child.dialogue import Dialogue
from runner.child.facts import OverMemory
from runner.process.ending import SHOW_STACKS, STACKS_SECONDS
from runner.process.memory_cgroup import MemoryGroup
from runner.process.memory_usage import children, family, held
from runner.process.post_mortem import machine_memory
from runner.process.supervisor import Process

_UNKNOWN = 1 << 40
_PERIOD_SECONDS = 0.1
# A look at many large processes takes milliseconds; this is how much longer the pause after it is.
_REST = 10


class MemoryLimit:
    """The limit of one child."""

    def __init__(self, limit: int | None, group: MemoryGroup | None, dialogue: Dialogue) -> None:
        self._limit = limit
        self._group = group
        self._dialogue = dialogue

    @property
    def outputs(self) -> int:
        """How many bytes of outputs are taken of one task: as many as the child may hold.

        Where it has no limit, half of the machine's memory.
        """
        return self._limit or (machine_memory() or _UNKNOWN) // 2

    async def keep(self, process: Process) -> None:
        """See that the child keeps to it: by looking, where the kernel does not.

        It ends the child, or the process that it has forked for a task, with all that this has
        started. Its stacks go to stderr before, as when a task hangs.
        """
        limit = self._limit
        if limit is None or (self._group is not None and self._group.add(process.pid)):
            return
        while process.exit is None:
            began = time.monotonic()
            # In a thread: see held().
            look = partial(_look, process.pid, limit, self._dialogue.forks)
            used, tasks = await anyio.to_thread.run_sync(look)
            took = time.monotonic() - began
            if used > limit and _ask_for_stacks(process, tasks):
                # Before anybody can see the end.
                self._dialogue.over_memory(OverMemory(limit, used))
                with anyio.move_on_after(STACKS_SECONDS):
                    while _left(process, tasks) if tasks else process.exit is None:  # noqa: ASYNC110 - they are the child's to wait for
                        await anyio.sleep(_PERIOD_SECONDS / 10)
                _kill(process, tasks)
            await anyio.sleep(max(_PERIOD_SECONDS, _REST * took))

    def begin(self) -> None:
        """Forget what the task before has survived: it is not the next one's."""
        if self._group is not None:
            self._group.killed()

    def passed(self) -> bool:
        """Take the kernel's word for a kill at the limit."""
        if self._group is None or self._limit is None or not self._group.killed():
            return False
        self._dialogue.over_memory(OverMemory(self._limit, self._group.peak()))
        return True


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
        with suppress(ProcessLookupError):
            os.kill(task, signal.SIGKILL)
