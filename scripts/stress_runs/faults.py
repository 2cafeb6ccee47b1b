"""Makes what takes a child back, and ends it, fail at random: our own steps and system calls."""

import errno
import inspect
import os
import random
from collections.abc import Callable
from types import ModuleType
from typing import Any

from runner.child import blocking_call, ending, transport
from runner.child.blocking_call import BlockingCall
from runner.child.bulk import Bulk
from runner.child.dialogue import Dialogue
from runner.child.ending import Ending
from runner.child.session import Session
from runner.child.transport import Transport
from runner.execution.lease import Child
from runner.execution.pool import Pool
from runner.process import exits, guardian, output, supervisor
from runner.process.output import Output
from runner.process.supervisor import Process

# What a frame of somebody else's raises in a thread's call is taken for a signal handler's.
__name__ = "runner.faults"

# One in so many times. The rest of the calls' ways has most of the system calls.
STEP = 20
SYSTEM_CALL = 400

_STEPS: list[tuple[Any, str]] = [
    (Bulk, "discard"),
    (Child, "expired"),
    (Dialogue, "forget_answer"),
    (Dialogue, "shutdown"),
    (BlockingCall, "forget_interrupt"),
    (BlockingCall, "wake"),
    (Ending, "_end_fork"),
    (Ending, "kill"),
    (Ending, "settle"),
    (Ending, "shutdown"),
    (Output, "drain"),
    (Pool, "_drop"),
    (Process, "_reap"),
    (Process, "_watch_exit"),
    (Process, "end"),
    (Process, "send_signal"),
    (Process, "signal_forks"),
    (Process, "close_stdin"),
    (Process, "write"),
    (Session, "on_end"),
    (Session, "settle"),
    (Transport, "more"),
    (Transport, "read"),
    (Transport, "send"),
    (ending, "stopped"),
    (supervisor, "describe_exit"),
]
_SYSTEM_CALLS: list[tuple[ModuleType, set[str]]] = [
    (blocking_call, {"read", "write"}),
    (guardian, {"write", "pipe"}),
    (exits, {"pidfd_open"}),
    (output, {"read"}),
    (supervisor, {"killpg", "kill", "write", "wait4"}),
    (transport, {"read"}),
]


class Faults:
    """Fails steps and system calls of the way back, while it is entered."""

    def __init__(self) -> None:
        self.raised = 0

    def __enter__(self) -> "Faults":
        self._before: list[tuple[Any, str, object]] = []
        for owner, name in _STEPS:
            step = vars(owner)[name]
            failing: object
            if isinstance(step, property):
                assert step.fget is not None
                failing = property(self._failing(step.fget, STEP, "before"))
            else:
                # One that closes what nobody else would close fails only after it.
                at = "after" if name == "close_stdin" else "both"
                failing = self._failing(step, STEP, at)
            self._replace(owner, name, failing)
        for module, names in _SYSTEM_CALLS:
            system = ModuleType("os")
            vars(system).update(vars(os))
            for name in names:
                setattr(system, name, self._failing(getattr(os, name), SYSTEM_CALL, "before"))
            self._replace(module, "os", system)
        return self

    def __exit__(self, *raised: object) -> None:
        for owner, name, before in self._before:
            setattr(owner, name, before)

    def _replace(self, owner: Any, name: str, by: object) -> None:
        self._before.append((owner, name, vars(owner)[name]))
        setattr(owner, name, by)

    def _failing(self, step: Callable[..., Any], times: int, at: str) -> Callable[..., Any]:
        """The same, which may fail before it is done, or after it."""
        moments = {"before": (False,), "after": (True,), "both": (False, True)}[at]

        def fail(when: bool) -> None:
            if when in moments and random.randrange(len(moments) * times) == 0:
                self.raised += 1
                raise random.choice([OSError(errno.EIO, "injected"), RuntimeError("injected")])

        if inspect.iscoroutinefunction(step):

            async def fails_later(*arguments: object, **named: object) -> object:
                fail(False)
                value = await step(*arguments, **named)
                fail(True)
                return value

            return fails_later

        def fails(*arguments: object, **named: object) -> object:
            fail(False)
            value = step(*arguments, **named)
            fail(True)
            return value

        return fails
