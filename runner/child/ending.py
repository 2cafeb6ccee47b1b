"""How a child, or the process that it has forked for a task, is ended.

A child that is idle is asked to (``shutdown``). One that hangs shows its stacks first, and ends
by that. All end by :meth:`runner.process.supervisor.Process.end`.
"""

import signal
import time
from functools import partial

import anyio
import anyio.to_thread

from runner.child.dialogue import Dialogue
from runner.child.state import Event
from runner.child.transport import Transport
from runner.process.ending import KILL_SECONDS, SHUTDOWN_SECONDS, Notice, to_show_stacks
from runner.process.memory_usage import children
from runner.process.signals import idle, stopped
from runner.process.supervisor import Process
from runner.process.threads import run_in_thread

# A task's process that is to be killed may still have to be forked.
_AGAIN = Notice((signal.SIGKILL,), 0.05)
# On a busy machine it takes numba or matplotlib more than SHUTDOWN_SECONDS to end.
_COMPUTING_SECONDS = 10.0


class Ending:
    """The ways in which one child ends; in the event loop."""

    def __init__(self, dialogue: Dialogue, process: Process, transport: Transport) -> None:
        self._dialogue = dialogue
        self._life = dialogue.life
        self._process = process
        self._transport = transport

    async def shutdown(self) -> None:
        """Let an idle child end by itself; one that does not is killed, and the journal says so."""
        if not self._life.settled:
            return  # Nothing that it would say can be understood: it is killed.
        began = time.monotonic()
        with anyio.move_on_after(SHUTDOWN_SECONDS):
            await self._transport.send(self._dialogue.shutdown())
            self._process.close_stdin()
            await self._process.wait()
        while self._process.exit is None and time.monotonic() < began + _COMPUTING_SECONDS:
            if await run_in_thread(partial(idle, [self._process.pid])):
                break
            with anyio.move_on_after(SHUTDOWN_SECONDS):
                await self._process.wait()
        if self._process.exit is not None:
            self._transport.read()
            return
        self._dialogue.case.journal.note(
            f"the child had answered, and its end was not done {time.monotonic() - began:.0f} s"
            " later (what is registered with atexit, other threads); ended it"
        )

    async def kill(self) -> None:
        self._life.finish(Event.ABANDON)
        await self._process.end()

    async def settle(self) -> None:
        """End the task that is under way: that process alone, where the child has forked it."""
        self._transport.read()
        life = self._life
        forked = life.waiting and not life.reading and self._dialogue.forks
        if (life.half_sent or life.waiting) and not (forked and await self._end_fork()):
            await self.kill()
        self._dialogue.forget_answer()

    async def end_hung(self, *, stopped: bool) -> None:
        """End what does not answer, and let it say first where it stands."""
        notice = to_show_stacks(stopped=stopped)
        with anyio.CancelScope(shield=True):
            # One that has not read the request whole has not forked for it.
            forks = self._dialogue.forks and not self._life.half_sent
            if forks and await self._end_fork(notice):
                return
            await self._process.end(notice)
            self._transport.read()
            self._life.finish(Event.ABANDON)

    def continue_stopped(self, *, request_unread: bool) -> None:
        """Let the child go on where something else than its task has stopped it.

        While a call waits for it. A task that is under way in the child itself may have stopped
        itself: that is for its time limit to end.
        """
        dialogue = self._dialogue
        if (dialogue.forks or request_unread) and stopped([self._process.pid]):
            dialogue.case.journal.note("a signal (SIGSTOP) had stopped the child; continued it")
            self._process.send_signal(signal.SIGCONT)

    def task_stopped(self) -> bool:
        """Tell whether a signal has stopped the task. Looking takes a while: in a thread."""
        pid = self._process.pid
        return stopped(children(pid) if self._dialogue.forks else [pid])

    def task_idle(self) -> bool:
        """Tell whether no thread of the task computes. Looking takes a while: in a thread."""
        pid = self._process.pid
        return idle(children(pid) if self._dialogue.forks else [pid])

    async def _end_fork(self, notice: Notice = _AGAIN) -> bool:
        """End the process that the child forked for a task, and take the child's word for it."""
        give_up = time.monotonic() + KILL_SECONDS
        if stopped([self._process.pid]):
            self._process.send_signal(signal.SIGCONT)  # else it cannot say that the task has ended
        while time.monotonic() < give_up:
            # Again and again: it may not have forked yet.
            for number in notice.signals:
                await run_in_thread(partial(self._process.signal_forks, number))
            with anyio.move_on_after(notice.seconds):
                while self._life.usable and self._process.exit is None:
                    if self._dialogue.answer() is not None:
                        self._process.output.drain()
                        return True
                    await self._transport.more()
                return False
            notice = _AGAIN
        return False
