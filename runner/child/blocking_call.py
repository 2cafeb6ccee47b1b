"""A call to a child from a thread, past the event loop: what it costs is what the pipe costs."""

import math
import os
import select
import time
from contextlib import suppress

from runner.child.dialogue import Dialogue
from runner.child.messages import Response
from runner.child.state import Event, State
from runner.process.output import READ_BYTES
from runner.process.supervisor import Process

# poll(2) takes no more milliseconds than an int holds; the event loop waits for what is left.
_LONGEST_POLL = 24 * 3600 * 1000


class BlockingCall:
    """A thread's way to a child. While nobody calls, the transport is the event loop's.

    :param wake: a pipe; its write end wakes the thread that waits.
    """

    def __init__(self, dialogue: Dialogue, process: Process, wake: tuple[int, int]) -> None:
        self.interrupted = False
        """True if :meth:`interrupt` was called since :meth:`forget_interrupt`."""
        self.deadline = math.inf
        """When the task's time is over, on the monotonic clock, by whichever way it runs."""
        self.seconds = math.inf
        """How long that is."""
        self._dialogue = dialogue
        self._life = dialogue.life
        self._process = process
        self._asleep, self._awake = wake
        self._poll = select.poll()
        self._poll.register(process.stdout, select.POLLIN)
        self._poll.register(self._asleep, select.POLLIN)

    def execute(self, request: bytes, timeout: float | None) -> Response | None:
        """Send a request and wait for its answer in this thread.

        :returns: the answer; ``None`` where the event loop is to say what has become of it: the
            time ran out, the child ended, its answer is not an answer.
        """
        self.seconds = math.inf if timeout is None else timeout
        self.deadline = deadline = time.monotonic() + self.seconds
        descriptor, dialogue, life = self._process.stdout, self._dialogue, self._life
        if not life.usable:
            return None
        life.move(Event.REQUEST)
        if not self._write(request, deadline):
            return None
        life.move(Event.SENT)
        left: int | None = None
        while True:
            if timeout is not None:
                left = _milliseconds(deadline)
                if left <= 0:
                    return None
            ready = self._poll.poll(left)
            if len(ready) != 1 or ready[0][0] != descriptor:
                return None
            life.move(Event.READ)
            dialogue.feed(os.read(descriptor, READ_BYTES))
            if (response := dialogue.answer()) is not None:
                return response
            if life.state is not State.READING:
                return None
            life.move(Event.PAUSE)

    def interrupt(self) -> None:
        """Have :meth:`execute` return in the thread that waits in it, from any other."""
        self.interrupted = True
        self.wake()

    def forget_interrupt(self) -> None:
        """Forget that :meth:`interrupt` was called, once no thread calls any more."""
        if self.interrupted:
            with suppress(OSError):
                os.read(self._asleep, READ_BYTES)
            self.interrupted = False

    def wake(self) -> None:
        """Have whoever waits look again: the process has ended, or nobody is to wait any more."""
        # A full pipe wakes all the same; whatever else is refused, so does the child's own end.
        with suppress(OSError):
            os.write(self._awake, b"\0")

    def _write(self, request: bytes, deadline: float) -> bool:
        """:returns: whether it is all written."""
        stdin = self._process.stdin
        if stdin is None:
            return False
        written = 0
        while True:
            try:
                written += os.write(stdin, memoryview(request)[written:] if written else request)
                if written == len(request):
                    return True
            except BlockingIOError:
                poll = select.poll()
                poll.register(stdin, select.POLLOUT)
                poll.register(self._asleep, select.POLLIN)
                ready = poll.poll(None if deadline == math.inf else _milliseconds(deadline))
                if len(ready) != 1 or ready[0][0] != stdin:
                    return False
            except BrokenPipeError:
                self._process.stdin_broken = True
                return False


def _milliseconds(deadline: float) -> int:
    left = (deadline - time.monotonic()) * 1000
    return math.ceil(min(max(0.0, left), _LONGEST_POLL))
