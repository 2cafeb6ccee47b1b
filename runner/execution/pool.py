"""Children that are kept: each has loaded a bundle and runs one task after the other.

Everything that lives is held by a task of its own in the pool's task group, so that what is entered
in one call of the runner can be left in another. Which child is whose is decided under a lock, by
any thread; children are started and ended, and who waits is woken, by the event loop alone.

A call has a *lease*: the right to one child. There are as many as children may be at work, so that
whoever has one finds a child, or room for one, or one that makes room, and never waits again.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from runner.defaults import Isolation
from runner.diagnosis.case import Case, Failure
from runner.execution.groups import Groups
from runner.execution.lease import Child, Group, Lease
from runner.execution.open_context import keep_open
from runner.settings import Settings

_log = logging.getLogger(__name__)

IDLE_SECONDS = 60.0
"""How long a child is kept that nobody uses."""

WATCH_SECONDS = 1.0
"""How often the children are looked after. A task that takes less has no part in it."""


class Pool:
    """The children of one runner.

    :param limit: how many may be at work at a time.
    """

    def __init__(self, settings: Settings, tasks: TaskGroup, limit: int) -> None:
        self.groups = Groups(settings, tasks, self._retire)
        self._settings = settings
        self._tasks = tasks
        self._limit = limit
        self._environ = settings.variables()
        self._lock = threading.Lock()
        self._children = Counter[bool]()
        """How many there are: of wire functions, and of bundles' other functions (``True``)."""
        self._leases: set[Lease] = set()
        self._waiting: deque[Lease] = deque()
        """Those for whom there is no room in :attr:`_leases`, in the order of their coming."""
        self._looking_after = anyio.CancelScope()
        self._closing = False

    # From any thread.

    @property
    def children(self) -> int:
        """How many there are, with those that a run has for itself."""
        return self._children.total()

    def acquire_nowait(self, lease: Lease, path: str, function: str | None) -> Child | None:
        """A child that is ready to run a task of a bundle.

        :param lease: has it then, and is to be released in any case.
        :returns: ``None`` where :meth:`acquire` has to see to it.
        """
        group = self.groups.unchanged(path)
        if group is None:
            return None
        with self._lock:
            if len(self._leases) >= self._limit:
                return None
            for child in reversed(group.idle):
                if child.lease is None and child.function == function:
                    break
            else:
                return None
            if not child.usable:
                return None  # It has died, and ending it is the event loop's.
            self._leases.add(lease)
            _lend(child, lease)
            return child

    def release_nowait(self, lease: Lease) -> bool:
        """Take a child back. Doing it again does nothing.

        :returns: whether that is all; if not, :meth:`release` has to see to it.
        """
        child = lease.child
        with self._lock:
            if child is None and lease not in self._leases:
                return True
            if self._waiting or self._closing or lease.handed_over:
                return False
            if child is not None and child.lease is lease:
                if child.expired or child.group.stale or not child.session.settled:
                    return False
                _keep(child)
            self._leases.discard(lease)
            lease.child = None
            return True

    # In the event loop.

    async def acquire(self, lease: Lease, case: Case, path: str, function: str | None) -> Child:
        """A child that is ready to run a task of a bundle, started for it if need be.

        :raises Failure: it could not be had.
        """
        rebuilt = False
        while True:
            group = await self.groups.get(case, path, function)
            if not await self._has_turn(lease):
                continue  # The bundle may have changed meanwhile.
            if (child := self._found(lease, group, function)) is not None:
                await child.session.take_unread()
                child.begin(case)
                return child
            try:
                return await self._start(lease, case, group, function)
            except Failure as failure:
                # No task has run yet: once more, in an environment that is built anew.
                if rebuilt or not await self.groups.discard_damaged(case, group, failure):
                    raise
                rebuilt = True

    async def release(self, lease: Lease) -> Exception | None:
        """Take a child back: it is kept or ended, and who waits has a turn.

        Doing it again does nothing. It must not be cancelled.

        :returns: what has gone wrong, which is in the log. That child is ended, and its place free.
        """
        child = lease.child
        ended = True
        try:
            if lease.in_loop is not None:  # its thread waits for it no more
                lease.in_loop.cancel()
            if child is not None and child.lease is lease:
                await child.session.settle()
                ended = child.expired
        except Exception as error:  # noqa: BLE001 - whoever calls decides whether to raise it
            _log.exception("a child is ended: it could not be taken back")
            return error
        finally:
            self._free(lease, child, ended=ended)
        return None

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Room for a child that is not the pool's, and counts as one of its children."""
        lease = Lease()
        try:
            await self._has_turn(lease)
            with self._lock:
                self._make_room(None)
            try:
                yield
            finally:
                with self._lock:
                    self._children[False] -= 1
        finally:
            with anyio.CancelScope(shield=True):
                await self.release(lease)

    async def look_after(self) -> None:
        """End the children that nobody uses any more, and continue those that a task has stopped.

        Until :meth:`close`.
        """
        before: set[Lease] = set()
        with self._looking_after:
            while True:
                await anyio.sleep(WATCH_SECONDS)
                with self._lock:
                    leases = set(self._leases)
                try:
                    self._end_old()
                    for lease in leases & before:
                        if (child := lease.child) is not None:
                            child.session.continue_stopped()
                except Exception:  # noqa: BLE001 - logged
                    # It must not end the calls, whose task group this is.
                    _log.exception("while the children were looked after")
                before = leases

    async def close(self) -> None:
        """End every child, each in its own time, and leave every environment.

        Those that are leased end when they are released.
        """
        self._looking_after.cancel()
        for group in self.groups:
            # What tasks have left is known to later runs.
            await anyio.to_thread.run_sync(partial(group.fingerprint.changed, at_once=True))
        with self._lock:
            self._closing = True
            ended = self._unused()
            for child in ended:
                self._drop(child)
            for group in self.groups:
                self._leave_unused(group)
        for child in ended:
            await child.context.closed.wait()

    async def _has_turn(self, lease: Lease) -> bool:
        """Wait until it is a call's turn.

        :returns: whether it was at once, or since an earlier time.
        """
        with self._lock:
            if lease in self._leases:
                return True
            if len(self._leases) < self._limit:
                self._leases.add(lease)
                return True
            lease.turn = anyio.Event()
            self._waiting.append(lease)
        await lease.turn.wait()
        return False

    def _found(self, lease: Lease, group: Group, function: str | None) -> Child | None:
        """A child of the function that nobody uses, else room for one, which counts from here on.

        Where there are enough, that one of the others goes which was not used for longest.
        """
        with self._lock:
            for child in group.unused():
                if not child.usable:
                    self._drop(child)
                elif child.function == function:
                    _lend(child, lease)
                    return child
            self._make_room(function)
            group.children += 1
            return None

    async def _start(self, lease: Lease, case: Case, group: Group, function: str | None) -> Child:
        wanted = self._settings.isolation
        fork = wanted is Isolation.FORK
        began = time.monotonic()
        try:
            ready = group.for_function(function)
            case.bundle = ready.bundle_info
            context = await keep_open(
                self._tasks,
                ready.session(case, self._settings, self._environ, children=self._limit, fork=fork),
            )
        except BaseException:
            with self._lock:
                self._children[function is not None] -= 1
                group.children -= 1
                self._leave_unused(group)
            raise
        downgraded = fork and not context.value.dialogue.forks
        isolation = Isolation.FRESH if downgraded else wanted
        child = Child(self._settings, group, ready, function, context, isolation)
        if child.note is not None and not group.told_fresh:
            group.told_fresh = True
            case.journal.note(_fresh_note(child.note, time.monotonic() - began))
        lease.child, child.lease = child, lease
        return child

    def _free(self, lease: Lease, child: Child | None, *, ended: bool) -> None:
        with self._lock:
            try:
                if child is not None and child.lease is lease:
                    if ended:  # what fails below must not leave it for the next call
                        child.retired = True
                    _keep(child)
                    if ended or child.group.stale or self._closing:
                        self._drop(child)
            finally:
                lease.child = None
                if lease in self._waiting:
                    self._waiting.remove(lease)
                self._leases.discard(lease)
                while self._waiting and len(self._leases) < self._limit:
                    following = self._waiting.popleft()
                    assert following.turn is not None
                    self._leases.add(following)
                    following.turn.set()

    def _end_old(self) -> None:
        old = time.monotonic() - IDLE_SECONDS
        with self._lock:
            for child in self._unused():
                if child.used_at < old:
                    self._drop(child)

    def _retire(self, group: Group) -> None:
        with self._lock:
            group.stale = True
            for child in group.unused():
                self._drop(child)
            self._leave_unused(group)

    # Under the lock.

    def _make_room(self, function: str | None) -> None:
        """For one that has a lease and no child.

        Other functions have room of their own: a study that goes back and forth between the two
        would start a child for each task. No more than those with a lease are at work in all.
        """
        other = function is not None
        if self._children[other] >= self._limit:
            of_kind = [one for one in self._unused() if (one.function is not None) == other]
            self._drop(min(of_kind, key=lambda child: child.used_at))
        self._children[other] += 1

    def _unused(self) -> list[Child]:
        return [child for group in self.groups for child in group.unused()]

    def _drop(self, child: Child) -> None:
        """Have a child ended by its holder, which may still be at it for a moment."""
        self._children[child.function is not None] -= 1
        child.group.children -= 1
        del child.group.idle[child]
        try:
            child.context.close()
        finally:
            self._leave_unused(child.group)

    def _leave_unused(self, group: Group) -> None:
        if (group.stale or self._closing) and group.children == 0:
            group.context.close()


# Under the pool's lock.


def _lend(child: Child, lease: Lease) -> None:
    lease.child = child
    child.lease = lease
    del child.group.idle[child]


def _keep(child: Child) -> None:
    child.used_at = time.monotonic()
    child.group.ran(child.used_at)
    child.group.idle[child] = None
    child.lease = None


def _fresh_note(why: str, seconds: float) -> str:
    """:param seconds: that a child has taken until it had loaded the bundle."""
    advice = "for a model without state, isolation 'warm' (--isolation warm)"
    if "threads run" in why:
        advice = f"start in the task what has the threads; or, {advice}"
    if "forks would share" in why:  # as tasks in one process do
        advice = "open it in the task, or for reading alone (mode='r' or 'c', 'mode=ro')"
    return (
        f"each task starts a new interpreter, which takes {seconds:.1f} s, and no fork: {why};"
        f" what helps: {advice}"
    )
