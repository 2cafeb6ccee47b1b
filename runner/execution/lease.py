"""The leases that calls have, and the children that these are of."""

import math
import time
from collections.abc import Callable

import anyio

from runner.child.messages import Executed
from runner.child.session import Session
from runner.defaults import Isolation
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.codes import Code
from runner.execution.bundle_watch import BundleFingerprint
from runner.execution.open_context import OpenContext
from runner.execution.prepare import Prepared
from runner.process.memory_usage import resident
from runner.result import Result
from runner.settings import Settings
from runner.task import Task

CLOCK_SECONDS = 1.0
"""By how much the clock of the time of day has to jump to have been set."""


class Lease:
    """One call's right to a child, from :meth:`Pool.acquire` or :meth:`Pool.acquire_nowait` on.

    Each step leaves it so that it can be released, whatever interrupts the thread and wherever.
    """

    __slots__ = ("child", "handed_over", "in_loop", "turn")

    def __init__(self) -> None:
        self.child: Child | None = None
        self.turn: anyio.Event | None = None
        """Set once it is this call's turn, where it has to wait."""
        self.handed_over = False
        """True while the event loop is to go on with what a thread has begun."""
        self.in_loop: anyio.CancelScope | None = None
        """The scope of that. A thread may be interrupted, and the lease released before its end."""


class Child:
    """A child of the pool, leased to one call at a time."""

    def __init__(
        self,
        settings: Settings,
        group: "Group",
        prepared: Prepared,
        function: str | None,
        context: OpenContext[Session],
        isolation: Isolation,
    ) -> None:
        self.lease: Lease | None = None
        """Whose it is. Writing it is what takes the child, and what gives it back."""
        self.group = group
        self._prepared = prepared
        self.function = function
        """The function of the bundle that it runs; ``None``: the wire function."""
        self.context = context
        self.session = context.value
        self._settings = settings
        self.isolation = isolation
        unsafe = self.session.dialogue.fork_unsafe
        self.note = None if unsafe is None else f"a fork would be unsafe: {unsafe}"
        """Why it has another isolation than was asked for."""
        bundle = prepared.bundle
        self.task_defaults = bundle.task_defaults(function)
        self.time_limit = settings.time_limit(bundle)
        """The seconds that a task may take, unless its call says otherwise."""
        self.retired = False
        """True if no further call may have it. It is still asked to end, where it can answer."""
        self.used_at = time.monotonic()
        self._tasks = 1  # it is started for one

    def begin(self, case: Case) -> None:
        """From here on, what the child does is for this case, which has seen nothing happen."""
        self._tasks += 1
        self._prepared.describe(case)
        self.session.begin(case)

    def result(
        self,
        case: Case,
        began: float,
        task: Task,
        outputs: dict[str, bytes | memoryview],
        executed: Executed,
    ) -> Result:
        session, fingerprint = self.session, self.group.fingerprint
        note, fingerprint.note = fingerprint.note, None
        executed = session.with_notes(executed, note, self.group.unread(task))
        files = session.left_files(executed)
        return Result.of(
            case, began, outputs, executed, self.isolation, self.note, session.threads, files
        )

    def died_idle(self, error: Exception) -> bool:
        """Tell whether it has died while nobody used it, so that the task may run in another one.

        :param error: what has become of the task.
        """
        return (
            isinstance(error, Failure)
            and error.finding.code is not Code.CHILD_HUNG
            and self._tasks > 1  # else it would be so with the next one too
            and self.session.request_unread
        )

    @property
    def usable(self) -> bool:
        return self.session.usable and not self.retired

    @property
    def expired(self) -> bool:
        """Tell whether it runs no further task."""
        settings = self._settings
        return (
            self.isolation is Isolation.FRESH
            or not self.usable
            or (settings.max_tasks is not None and self._tasks >= settings.max_tasks)
            or (
                settings.max_rss is not None
                and resident(self.session.process.pid) > settings.max_rss
            )
        )


class Group:
    """The children of one bundle in one state."""

    def __init__(self, context: OpenContext[Prepared], fingerprint: BundleFingerprint) -> None:
        self.context = context
        self.prepared = context.value
        self._by_function: dict[str | None, Prepared] = {}
        self._unread: dict[str | None, Callable[[Task], str | None]] = {}
        self.fingerprint = fingerprint
        fingerprint.ran_until = self.ran_until
        self.idle: dict[Child, None] = {}
        """The one used last comes last, and is used first. One that is leased may be among them,
        where the thread that took it was interrupted."""
        self.children = 0
        self.looked_at = -math.inf
        """When its environment was last looked at for damage, on the monotonic clock."""
        self._ran_at = -math.inf
        """When a child was last given back, likewise."""
        self._clock = 0.0
        """By how much the clock of the time of day was ahead of the monotonic one then."""
        self.next_look = -math.inf
        """When it is to be looked at for what tasks have written, likewise."""
        self.stale = False
        """True if its bundle has changed since."""
        self.told_fresh = False
        """True once it was said that its tasks do not fork, and what that costs."""

    def ran(self, now: float) -> None:
        """A child is given back."""
        self._ran_at, self._clock = now, time.time() - now

    def ran_until(self) -> float:
        """When one of its children has last run a task, in seconds since the epoch.

        Where that clock was set since, nobody can tell what was there by then.
        """
        if self.children > len(self.unused()):
            return math.inf
        is_set = abs(time.time() - time.monotonic() - self._clock) > CLOCK_SECONDS
        return -math.inf if is_set else self._ran_at + self._clock

    def unused(self) -> list[Child]:
        """Those that nobody has, in the order in which they are used."""
        return [child for child in reversed(self.idle) if child.lease is None]

    def unread(self, task: Task) -> str | None:
        """Return a note where its function does not read what a task asks for."""
        tell = self._unread.get(task.function) or self.prepared.unread(task)
        if tell is None:
            return None
        self._unread[task.function] = tell
        return tell(task)

    def for_function(self, name: str | None) -> Prepared:
        """As :meth:`Prepared.for_function`: one for all children of a function."""
        if name not in self._by_function:
            self._by_function[name] = self.prepared.for_function(name)
        return self._by_function[name]
