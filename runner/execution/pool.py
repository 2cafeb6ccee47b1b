"""Children that are kept: each has loaded a bundle and runs one task after the other.

Everything that lives is held by a task of its own in the pool's task group, so that what is entered
in one call of the runner can be left in another. Which child is whose is decided under a lock, by
any thread; children are started and ended, and who waits is woken, by the event loop alone.

A call has a *loan*: the right to one child. There are as many as there may be children, so that
whoever has one finds a child, or room for one, or one that makes room, and never waits again.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup, TaskStatus

from runner.child.session import open_session
from runner.defaults import Isolation
from runner.diagnosis.case import Case, Failure
from runner.execution.bundle_watch import Stamp, has_changed
from runner.execution.lease import Child, Group, Held, Loan
from runner.execution.prepare import (
    appeared_in,
    choose,
    prepared,
    read,
    was_damaged,
    was_written_to,
)
from runner.process.processors import with_thread_counts
from runner.settings import Settings

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

IDLE_SECONDS = 60.0
"""How long a child is kept that nobody uses."""

WATCH_SECONDS = 1.0
"""How often the children are looked after. A task that takes less has no part in it."""

LOOK_SHARE = 50
"""How many times as long as a look at an environment's files takes it is not looked at again."""

LOOK_SECONDS = 60.0
"""How often an environment is looked at for damage, while tasks fail in it."""


class Pool:
    """The children of one runner.

    :param tasks: what holds them.
    :param limit: how many there may be at a time.
    """

    def __init__(self, settings: Settings, tasks: TaskGroup, limit: int) -> None:
        self._settings = settings
        self._tasks = tasks
        self._limit = limit
        self._environ = settings.variables()
        self._lock = threading.Lock()
        # By their bundles' paths: a Path takes five times as long to look up.
        self._groups: dict[str, Group] = {}
        self._preparing: dict[str, anyio.Lock] = {}
        self._children = 0
        self._loans: set[Loan] = set()
        self._waiting: deque[Loan] = deque()
        """Those for whom there is no room in :attr:`_loans`, in the order of their coming."""
        self._looking_after = anyio.CancelScope()
        self._closing = False

    def take(self, loan: Loan, path: str) -> Child | None:
        """A child that is ready to run a task of a bundle, from any thread.

        :param loan: has it then, and is to be given back by :meth:`put` in any case.
        :param path: the bundle's folder, absolute.
        :returns: ``None`` where :meth:`lend` has to see to it.
        """
        group = self._groups.get(path)
        if group is None or group.stamp.changed():
            return None
        with self._lock:
            if len(self._loans) >= self._limit:
                return None
            for child in reversed(group.idle):
                if child.loan is None:
                    break
            else:
                return None
            if not child.session.usable:
                return None  # It has died, and ending it is the event loop's.
            self._loans.add(loan)
            loan.child = child
            child.loan = loan
            del group.idle[child]
            return child

    def put(self, loan: Loan) -> bool:
        """Take a child back, from any thread. Doing it again does nothing.

        :returns: whether that is all; if not, :meth:`take_back` has to see to it.
        """
        child = loan.child
        now = time.monotonic()
        with self._lock:
            if child is None and loan not in self._loans:
                return True
            if self._waiting or self._closing:
                return False
            if child is not None and child.loan is loan:
                if child.spent or child.group.stale or not child.session.settled:
                    return False
                child.used_at = now
                child.group.ran_at = time.time()
                child.group.idle[child] = None
                child.loan = None
            self._loans.discard(loan)
            loan.child = None
            return True

    async def lend(self, loan: Loan, case: Case, path: str) -> Child:
        """A child that is ready to run a task of a bundle, started for it if need be.

        :param loan: has it then, and is to be given back by :meth:`take_back` in any case.
        :param case: it learns what happens meanwhile.
        :param path: the bundle's folder, absolute.
        :raises Failure: it could not be had.
        """
        rebuilt = False
        while True:
            group = await self._group(case, path)
            if not await self._has_turn(loan):
                continue  # The bundle may have changed meanwhile.
            if (child := self._found(loan, group)) is not None:
                child.session.process.drain()
                child.begin(case)
                return child
            try:
                return await self._start(loan, case, group)
            except Failure as failure:
                # No task has run yet: once more, in an environment that is whole.
                if rebuilt or not await self.discard_damaged(case, group, failure):
                    raise
                rebuilt = True

    async def take_back(self, loan: Loan) -> Exception | None:
        """Take a child back, in the event loop: it is kept or ended, and who waits has a turn.

        Doing it again does nothing. It must not be cancelled.

        :returns: what has gone wrong, which is in the log. That child is ended, and its place free.
        """
        child = loan.child
        ended = True
        try:
            if child is not None and child.loan is loan:
                await child.session.settle()
                ended = child.spent
        except Exception as error:  # noqa: BLE001 - whoever calls decides whether to raise it
            _log.exception("a child is ended: it could not be taken back")
            return error
        finally:
            self._free(loan, child, ended=ended)
        return None

    def _free(self, loan: Loan, child: Child | None, *, ended: bool) -> None:
        with self._lock:
            try:
                if child is not None and child.loan is loan:
                    if ended:  # what fails below must not leave it for the next call
                        child.session.abandon()
                    child.used_at = time.monotonic()
                    child.group.ran_at = time.time()
                    child.group.idle[child] = None
                    child.loan = None
                    if ended or child.group.stale or self._closing:
                        self._drop(child)
            finally:
                loan.child = None
                if loan in self._waiting:
                    self._waiting.remove(loan)
                self._loans.discard(loan)
                while self._waiting and len(self._loans) < self._limit:
                    following = self._waiting.popleft()
                    assert following.turn is not None
                    self._loans.add(following)
                    following.turn.set()

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Room for a child that is not the pool's, and counts as one of its children."""
        loan = Loan()
        try:
            await self._has_turn(loan)
            with self._lock:
                self._make_room()
            try:
                yield
            finally:
                with self._lock:
                    self._children -= 1
        finally:
            with anyio.CancelScope(shield=True):
                await self.take_back(loan)

    async def discard_damaged(self, case: Case, group: Group, failure: Failure) -> bool:
        """Tell whether a group's environment is damaged; then no child is started in it any more.

        Looking takes as long as reading every file, so it is not done for each of many failures.
        """
        now = time.monotonic()
        if now < group.looked_at + LOOK_SECONDS:
            return False
        group.looked_at = now
        if not await was_damaged(case, group.held.value, failure):
            return False
        for path, current in list(self._groups.items()):
            if current is group:
                self._retire(path, group)
        return True

    async def look_after(self) -> None:
        """End the children that nobody uses any more, and continue those that a task has stopped.

        Until :meth:`close`.
        """
        before: set[Loan] = set()
        with self._looking_after:
            while True:
                await anyio.sleep(WATCH_SECONDS)
                with self._lock:
                    loans = set(self._loans)
                try:
                    self._end_old()
                    for loan in loans & before:
                        if (child := loan.child) is not None:
                            child.session.continue_stopped()
                except Exception:  # noqa: BLE001 - logged
                    # It must not end the calls, whose task group this is.
                    _log.exception("while the children were looked after")
                before = loans

    def _end_old(self) -> None:
        old = time.monotonic() - IDLE_SECONDS
        with self._lock:
            for group in self._groups.values():
                for child in group.unused():
                    if child.used_at < old:
                        self._drop(child)

    async def close(self) -> None:
        """End every child, each in its own time, and leave every environment.

        Those on loan end when they are given back.
        """
        self._looking_after.cancel()
        for group in list(self._groups.values()):
            # What tasks have left is known to later runs.
            await anyio.to_thread.run_sync(partial(group.stamp.changed, at_once=True))
        with self._lock:
            self._closing = True
            groups = list(self._groups.values())
            ended = [child for group in groups for child in group.unused()]
            for child in ended:
                self._drop(child)
            for group in groups:
                self._let_go_unused(group)
        for child in ended:
            await child.held.gone.wait()

    # Within the event loop.

    async def _has_turn(self, loan: Loan) -> bool:
        """Wait until it is a call's turn.

        :returns: whether it was at once, or since an earlier time.
        """
        with self._lock:
            if loan in self._loans:
                return True
            if len(self._loans) < self._limit:
                self._loans.add(loan)
                return True
            loan.turn = anyio.Event()
            self._waiting.append(loan)
        await loan.turn.wait()
        return False

    def _found(self, loan: Loan, group: Group) -> Child | None:
        """A child of the group that nobody uses, else room for one, which counts from here on.

        Where there are enough, that child goes of another bundle which was not used for longest.
        """
        with self._lock:
            for child in group.unused():
                if child.session.usable:
                    loan.child = child
                    child.loan = loan
                    del group.idle[child]
                    return child
                self._drop(child)
            self._make_room()
            group.children += 1
            return None

    def _make_room(self) -> None:
        # Under the lock, for one that has a loan and no child.
        if self._children >= self._limit:
            unused = [child for group in self._groups.values() for child in group.unused()]
            self._drop(min(unused, key=lambda child: child.used_at))
        self._children += 1

    def _drop(self, child: Child) -> None:
        # Under the lock. Its end is the holder's, which may still be at it for a moment.
        self._children -= 1
        child.group.children -= 1
        del child.group.idle[child]
        try:
            child.held.let_go()
        finally:
            self._let_go_unused(child.group)

    def _let_go_unused(self, group: Group) -> None:
        if (group.stale or self._closing) and group.children == 0:
            group.held.let_go()

    async def _start(self, loan: Loan, case: Case, group: Group) -> Child:
        wanted = self._settings.isolation
        threads = self._settings.thread_count(group.held.value.bundle)
        try:
            held = await self._hold(
                open_session(
                    group.held.value.launch,
                    case=case,
                    environ=with_thread_counts(self._environ, self._limit, threads),
                    startup_timeout=self._settings.startup_timeout,
                    fork=wanted is Isolation.FORK,
                )
            )
        except BaseException:
            with self._lock:
                self._children -= 1
                group.children -= 1
                self._let_go_unused(group)
            raise
        forks = held.value.dialogue.forks
        downgraded = wanted is Isolation.FORK and not forks
        child = Child(self._settings, group, held, Isolation.FRESH if downgraded else wanted)
        loan.child, child.loan = child, loan
        return child

    async def _group(self, case: Case, path: str) -> Group:
        """The bundle, prepared as its files are now."""
        async with self._preparing.setdefault(path, anyio.Lock()):
            group = self._groups.get(path)
            if group is not None and not await has_changed(group.stamp):
                if not await self._is_written_to(case, group):
                    group.held.value.describe(case)
                    return group
                self._retire(path, group)
                group = None
            stamp = await anyio.to_thread.run_sync(
                Stamp,
                Path(path),
                appeared_in(self._settings, Path(path)),
                abandon_on_cancel=True,
            )
            if group is not None:
                stamp.ran_until = group.ran_until
            bundle = await read(case, self._settings, Path(path))
            if group is not None:
                if bundle == group.held.value.bundle:
                    group.stamp = stamp
                    group.held.value.describe(case)
                    return group
                case.journal.note(group.stamp.changed_note())
                self._retire(path, group)
            interpreter = await choose(case, self._settings, bundle)
            held = await self._hold(prepared(case, self._settings, bundle, interpreter))
            group = self._groups[path] = Group(held, stamp)
            return group

    async def _is_written_to(self, case: Case, group: Group) -> bool:
        """Look whether tasks have written to the environment, before a child is started in it."""
        began = time.monotonic()
        if began < group.next_look:
            return False
        written = await was_written_to(case, group.held.value)
        # Seldom enough that it takes little of the time.
        ended = time.monotonic()
        group.next_look = ended + LOOK_SHARE * (ended - began)
        return written

    def _retire(self, path: str, group: Group) -> None:
        with self._lock:
            group.stale = True
            del self._groups[path]
            for child in group.unused():
                self._drop(child)
            self._let_go_unused(group)

    async def _hold(self, context: AbstractAsyncContextManager[_T]) -> Held[_T]:
        held: Held[_T] = await self._tasks.start(_holding, context)
        return held


async def _holding(
    context: AbstractAsyncContextManager[_T], *, task_status: TaskStatus[Held[_T]]
) -> None:
    held: Held[_T] | None = None
    try:
        async with context as value:
            held = Held(value)
            task_status.started(held)
            await held.wait()
    except Exception as error:
        if held is None:
            raise
        # It must not end the calls of others, whose task group this is.
        _log.warning("while a child was ended: %s", error, exc_info=not isinstance(error, Failure))
    finally:
        if held is not None:
            held.gone.set()
