"""The output of a process: each of its pipes is read, and handed on, by the event loop."""

import os
import select
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

import anyio

Sink: TypeAlias = Callable[[bytes], None]
"""Takes a piece of output as it was read, and ``b""`` at the end of the stream.

Called in the event loop: it must not block or raise.
"""

READ_BYTES = 64 * 1024
# The most that a pipe holds unless root raises it (pipe(7), /proc/sys/fs/pipe-max-size): after an
# exit, whatever the dead process wrote and nobody has read is within as many bytes.
PIPE_BYTES = 1024 * 1024


class Output:
    """The pipes that a process writes to.

    :param pipes: the read ends, non-blocking, and what takes what is read.
    :param others: read ends that somebody else reads.
    """

    def __init__(self, pipes: Sequence[tuple[int, Sink]], others: Sequence[int] = ()) -> None:
        self.pipes = pipes
        self.handing_on = threading.Lock()
        """Held while something is read and goes to a sink."""
        self._poll = select.poll()
        for descriptor in (*(descriptor for descriptor, _ in pipes), *others):
            self._poll.register(descriptor, select.POLLIN)

    def unread(self) -> bool:
        """Tell whether the process has written what nobody has read yet; from any thread."""
        ready = self._poll.poll(0)
        return bool(ready) and any(events & select.POLLIN for _, events in ready)

    def wait_until_handed_on(self) -> None:
        """Wait while something that was read goes to a sink; from any thread."""
        with self.handing_on:
            pass

    def drain(self) -> None:
        """Hand on what the process has written by now, and not wait for the event loop's turn.

        Called in the event loop's thread.
        """
        with self.handing_on:
            for descriptor, sink in self.pipes:
                left = PIPE_BYTES  # not what others go on writing
                while left > 0:
                    try:
                        data = os.read(descriptor, min(left, READ_BYTES))
                    except BlockingIOError:
                        break
                    if not data:
                        break
                    left -= len(data)
                    sink(data)

    async def pump(self, descriptor: int, sink: Sink) -> None:
        """Hand on what comes through one of the pipes, to its end."""
        while True:
            await anyio.wait_readable(descriptor)
            with self.handing_on:
                try:
                    data = os.read(descriptor, READ_BYTES)
                except BlockingIOError:
                    continue
                sink(data)
            if not data:
                return
