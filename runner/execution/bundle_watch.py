"""Watches a bundle's files for changes since they were read; what tasks leave is no change."""

import math
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath

import anyio.to_thread
import msgspec

from runner.bundle.content import all_entries
from runner.bundle.digest_index import key_of_place
from runner.diagnosis.report.text import listed, one_line, printable
from runner.fingerprint import fingerprint_of
from runner.stored_files import read_json, whole_file

SOURCE = ".py"
"""How the names of files end that are content from the next reading on, whoever has added them."""
_SHOWN = 10
_MOST = 10_000


class Appeared:
    """The paths of what tasks have left, kept in the cache."""

    def __init__(self, cache: Path, bundle: Path) -> None:
        self._bundle = bundle
        self._file = cache / "appeared" / f"{key_of_place(bundle)}.json"

    def names(self) -> frozenset[str]:
        """Those that are still there: what is removed and put back by hand is content."""
        try:
            names = read_json(self._file, list[str])
            return frozenset(name for name in names if os.path.lexists(self._bundle / name))
        except (OSError, ValueError):  # a name with a NUL in it is a ValueError
            return frozenset()

    def add(self, names: Collection[str]) -> None:
        """Add some. Where the cache takes none, a later run counts them as content."""
        known = sorted(self.names() | set(names))[:_MOST]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._file) as file:
                file.write(msgspec.json.encode(known))
        except (OSError, ValueError):  # ValueError: a name that is not Unicode
            return


def appeared_note(names: Collection[str]) -> str:
    """One line that names them, and the cure."""
    return one_line(
        "tasks leave files in the bundle's own folder, which are no content of it:"
        f" {listed(sorted(names), _SHOWN)}; a task that reads them depends on those before it;"
        " write them by a relative path, or name them in pyproject.toml:"
        ' [tool.modelops] exclude = ["*.log", "out/"]',
        500,
    )


# Looking takes at most one part in so many of the time: with a few files, it is done at each task.
_SHARE = 50

_FEW = 20


class BundleFingerprint:
    """The times, sizes and inodes of a bundle's files and folders, as they are when it is made.

    Make it before the files are read: then no change is missed.

    :param bundle: the bundle's folder. One that is not there has changed at once.
    :param appeared: where what tasks leave in the folder is remembered.
    :param ran_until: gives when a task of the bundle has last run, in seconds since the epoch;
        infinity while one runs. What has appeared by then is the tasks', and no change.
    """

    def __init__(
        self,
        bundle: Path,
        appeared: Appeared | None = None,
        ran_until: Callable[[], float] = lambda: -math.inf,
    ) -> None:
        self._bundle = bundle
        self._appeared = appeared
        self.ran_until = ran_until
        self.note: str | None = None
        """The note for a reader of the next result, on what tasks have left."""
        self._noted = False
        self._difference: str | None = None
        self.changed_by_task = False
        """True if a file has changed while tasks ran, so that one of them may have done it."""
        ignored = frozenset() if appeared is None else appeared.names()
        self._known = set(all_entries(bundle))
        folders = [f"{bundle}/{name[:-1]}" for name in self._known if name.endswith("/")]
        files = [f"{bundle}/{name}" for name in self._known - ignored if not name.endswith("/")]
        # A folder's time tells of files that come and go.
        self._folders = {path: fingerprint_of(path) for path in (str(bundle), *folders)}
        self._files = {path: fingerprint_of(path) for path in files}
        self._changed = None in self._folders.values()
        self._due = 0.0
        self.takes_long = len(self._files) + len(self._folders) > _FEW
        """True if looking is nothing for an event loop: a network disk takes 1 ms for a file."""

    @property
    def due(self) -> bool:
        """Tell whether it is time to look again."""
        return not self._changed and time.monotonic() >= self._due

    def changed(self, *, at_once: bool = False) -> bool:
        """Tell whether a file is not as it was, or one was added by hand; from any thread.

        :param at_once: look now, whatever share of the time looking has taken so far.
        """
        if not self._changed and (at_once or self.due):
            # On a busy machine, time passes while others compute: of few files it would hide edits.
            cost = time.monotonic if self.takes_long else time.thread_time
            began = cost()
            self._look()
            self._due = time.monotonic() + (cost() - began) * _SHARE
        return self._changed

    def changed_note(self) -> str:
        """One line that says so, with the first file that was found to differ."""
        where = "" if self._difference is None else f" ({printable(self._difference)})"
        if self.changed_by_task:
            return (
                f"the bundle has changed while tasks ran{where}: where a task writes to its files,"
                " results depend on the tasks before; copy a file before changing it"
            )
        return f"the bundle has changed{where}; what was loaded of it is not used again"

    def _look(self) -> None:
        self._difference = next(
            (path for path, state in self._files.items() if fingerprint_of(path) != state), None
        )
        if self._difference is not None:
            self.changed_by_task = -math.inf < self._born(self._difference) <= self.ran_until()
            self._changed = True
            return
        states = {path: fingerprint_of(path) for path in self._folders}
        if states == self._folders:
            return
        new = {name for name in all_entries(self._bundle) if name not in self._known}
        until = self.ran_until()
        removed = [path for path, state in states.items() if state is None]
        added = [str(self._bundle / name) for name in new if self._born(name) > until]
        if removed or added:
            self._changed = True
            self._difference = (removed + sorted(added))[0]
            return
        # Only now: what appears meanwhile is seen the next time.
        self._known |= new
        self._folders = states
        new = _outermost(new)
        if new and self._appeared is not None:
            self._appeared.add(new)
        if new and not self._noted:
            self._noted = True
            self.note = appeared_note(new)

    def _born(self, name: str) -> float:
        """When what has this name or path has last changed; in the past where it is gone."""
        try:
            return (self._bundle / name.rstrip("/")).lstat().st_ctime
        except OSError:
            return -math.inf


def _outermost(names: set[str]) -> set[str]:
    """Files, and in place of all in a new folder the folder, unless there is source in it."""
    source = {
        f"{parent}/"
        for name in names
        if name.endswith(SOURCE)
        for parent in PurePosixPath(name).parents
    }
    folders = {name for name in names if name.endswith("/")} - source
    return {
        name.rstrip("/")
        for name in names - source
        if not any(f"{parent}/" in folders for parent in PurePosixPath(name).parents)
    }


async def has_changed(fingerprint: BundleFingerprint) -> bool:
    """:meth:`BundleFingerprint.changed`, in a thread where that may take long."""
    if fingerprint.takes_long and fingerprint.due:
        return await anyio.to_thread.run_sync(fingerprint.changed, abandon_on_cancel=True)
    return fingerprint.changed()
