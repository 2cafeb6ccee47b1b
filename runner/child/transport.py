"""The pipes that carry a child's messages, as the event loop uses them.

Between two steps of a :class:`runner.child.blocking_call.BlockingCall` they are the event loop's.
"""

import os
from contextlib import suppress

import anyio

from runner.child.dialogue import Dialogue
from runner.child.facts import Requested, TimedOut
from runner.child.memory_limit import MemoryLimit
from runner.child.messages import Message
from runner.child.state import State
from runner.events import Origin, Phase
from runner.process.output import PIPE_BYTES, READ_BYTES
from runner.process.supervisor import Process

# A child that has closed an end of the transport is about to die, unless the bundle's code
# closed it.
CLOSED_SECONDS = 1.0


class Transport:
    """The event loop's side."""

    def __init__(self, dialogue: Dialogue, process: Process, memory: MemoryLimit) -> None:
        self._dialogue = dialogue
        self._process = process
        self._memory = memory

    async def send(self, request: bytes) -> None:
        """Send the request that was made last. A child that can take none is told by its end."""
        self.read()  # What is here already answers nothing.
        if not self._dialogue.life.usable:
            return
        self._dialogue.case.journal.fact(Origin.REQUEST, Requested())
        self._dialogue.sending()
        if await self._process.write(request):
            self._dialogue.sent()

    async def receive(self, phase: Phase) -> Message:
        """The next message.

        :raises Failure: none can come.
        """
        dialogue, process = self._dialogue, self._process
        while (message := dialogue.take(phase)) is None:
            closed = dialogue.life.state is State.CLOSED or process.stdin_broken
            if closed and process.exit is None:
                with anyio.move_on_after(CLOSED_SECONDS):
                    await process.wait()
                    continue
                out = TimedOut(CLOSED_SECONDS, wire_closed=True)
                dialogue.case.journal.fact(Origin.TIMEOUT, out)
                raise dialogue.timed_out(phase, out)
            await self.more()
            if dialogue.exit is not None:
                await self.look_at_stacks()
        return message

    async def look_at_stacks(self) -> None:
        """Learn the lines of the bundle that the child's stacks name, if it has written any."""
        from runner.child.stack_lines import look_at_stacks  # only a failure is worth it

        await look_at_stacks(self._dialogue)

    async def more(self) -> None:
        """Wait until something comes, or the process has ended, and take it."""
        if self._process.exit is None:
            # The end of the process wakes it up.
            with suppress(anyio.ClosedResourceError):
                await anyio.wait_readable(self._process.stdout)
        self.read()

    def read(self) -> None:
        """Take what is here, and that the process has ended after all that it wrote."""
        dialogue = self._dialogue
        ended = self._process.exit
        left = PIPE_BYTES
        while left > 0 and dialogue.life.usable:
            try:
                data = os.read(self._process.stdout, READ_BYTES)
            except BlockingIOError:
                break
            left -= len(data)
            dialogue.feed(data)
        if ended is not None and dialogue.exit is None:
            self._memory.passed()
            dialogue.end(ended)
