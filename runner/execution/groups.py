"""The bundles whose children a pool has, each prepared as its files are now."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from runner.bundle.functions import function_of
from runner.diagnosis.case import Case, Failure
from runner.execution.bundle_watch import Appeared, BundleFingerprint, has_changed
from runner.execution.lease import Group
from runner.execution.open_context import keep_open
from runner.execution.prepare import choose, prepared, read, was_damaged, was_written_to
from runner.settings import Settings

LOOK_SHARE = 50
"""How many times as long as a look at an environment's files takes it is not looked at again."""

LOOK_SECONDS = 60.0
"""How often an environment is looked at for damage, while tasks fail in it."""


class Groups:
    """The groups of children that tasks may run in.

    :param retire: called with a group in which no child is to be started any more.
    """

    def __init__(
        self, settings: Settings, tasks: TaskGroup, retire: Callable[[Group], None]
    ) -> None:
        self._settings = settings
        self._tasks = tasks
        self._retire = retire
        # By their bundles' paths: a Path takes five times as long to look up.
        self._groups: dict[str, Group] = {}
        self._preparing: dict[str, anyio.Lock] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def unchanged(self, path: str) -> Group | None:
        """The group of a bundle that has not changed, where there is one; from any thread."""
        group = self._groups.get(path)
        return None if group is None or group.fingerprint.changed() else group

    async def get(self, case: Case, path: str, function: str | None) -> Group:
        """The group of a bundle, prepared if need be.

        :raises Failure: the bundle cannot be read or has no such function, or its environment
            cannot be made.
        """
        async with self._preparing.setdefault(path, anyio.Lock()):
            group = self._groups.get(path)
            if group is not None and not await has_changed(group.fingerprint):
                if not await self._is_written_to(case, group):
                    group.prepared.describe(case)
                    return group
                self._remove(path)
                group = None
            fingerprint = await anyio.to_thread.run_sync(
                BundleFingerprint,
                Path(path),
                Appeared(self._settings.cache_folder(), Path(path)),
                abandon_on_cancel=True,
            )
            if group is not None:
                fingerprint.ran_until = group.ran_until
            bundle = await read(case, self._settings, Path(path))
            if group is not None:
                if bundle == group.prepared.bundle:
                    group.fingerprint = fingerprint
                    group.prepared.describe(case)
                    return group
                case.journal.note(group.fingerprint.changed_note())
                if group.fingerprint.changed_by_task:
                    fingerprint.note = group.fingerprint.changed_note()
                self._remove(path)
            function_of(bundle, function)
            interpreter = await choose(case, self._settings, bundle)
            environment = prepared(case, self._settings, bundle, interpreter)
            group = Group(await keep_open(self._tasks, environment), fingerprint)
            self._groups[path] = group
            return group

    async def discard_damaged(self, case: Case, group: Group, failure: Failure) -> bool:
        """Tell whether a group's environment is damaged; then no child is started in it any more.

        Looking takes as long as reading every file, so it is not done for each of many failures.
        """
        now = time.monotonic()
        if now < group.looked_at + LOOK_SECONDS:
            return False
        group.looked_at = now
        if not await was_damaged(case, group.prepared, failure):
            return False
        for path, current in list(self._groups.items()):
            if current is group:
                self._remove(path)
        return True

    async def _is_written_to(self, case: Case, group: Group) -> bool:
        """Look whether tasks have written to the environment, before a child is started in it."""
        began = time.monotonic()
        if began < group.next_look:
            return False
        written = await was_written_to(case, group.prepared)
        # Seldom enough that it takes little of the time.
        ended = time.monotonic()
        group.next_look = ended + LOOK_SHARE * (ended - began)
        return written

    def _remove(self, path: str) -> None:
        self._retire(self._groups.pop(path))
