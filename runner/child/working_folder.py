"""The folders that a bundle's import and its tasks work in: each finds the bundle's files there.

What is written in them is the task's own and does not reach the bundle. A folder that a task has
left as it was is the next one's: to see that takes a look at each folder, and at each file that is
a copy; nothing is made anew.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

from msgspec import Struct

from runner.bundle.content import folders_of
from runner.child.left_files import LeftFiles, below
from runner.diagnosis.child_failures import NO_ROOM
from runner.fingerprint import Fingerprint, fingerprint_of
from runner.process.guardian import guardian, remove_folder

COPIED_FILES = 256
"""How many of a bundle's files are copied, at most; the others are linked."""
COPIED_BYTES = 1 << 20
"""How large a file is copied, at most."""
COPIED_TOTAL = 16 << 20
"""How many bytes are copied, at most."""
WATCHED_LINKS = 64
"""The most links that are watched for what a task writes through them."""

INSTANT_SECONDS = 1e-6
"""In less, no code makes a file: the system's call alone takes longer."""

LOAD = "load"
TASK = "task"
NAME = "bundle"

_IN_ALL = "modelops-runner-"
_PLACE = re.compile(rf"""[^\s"':=]*/{_IN_ALL}[0-9a-f]{{32}}-[^/\s]+/(?:{LOAD}|{TASK}-\d+)/{NAME}""")


_fingerprint = partial(fingerprint_of, of_link=True)


class _Source(Struct, frozen=True):
    """The source of an entry of a tree.

    :param target: the file to copy or to link to, else what the link says.
    """

    target: str
    copied: bool
    is_link: bool = False
    """True for a link of the bundle's own, to a folder or to nothing."""


class _Changes(Struct, frozen=True):
    """The entries of a tree that its sources have not, as names relative to it.

    :param new: entries that nothing was made at; folders stand for all in them.
    :param changed: entries that are not any more what was made.
    :param missing: likewise, and nothing is there.
    """

    new: list[str]
    changed: list[str]
    missing: list[str]
    intact: bool
    """True if all folders are there, and could be listed."""


class _Tree:
    """A folder with the bundle's folders, and copies of its files or links to them."""

    def __init__(self, root: Path, sources: dict[str, _Source], folders: Iterable[str]) -> None:
        self.root = str(root)
        self._sources = sources
        self._states: dict[str, Fingerprint | None] = {}
        self._copies: list[tuple[str, str]] = []
        self._folders: dict[str, Fingerprint | None] = {}
        for folder in sorted({"", *folders}):
            path = self._path(folder)
            os.makedirs(path, exist_ok=True)  # noqa: PTH103 - as often as there are folders
            self._folders[folder] = None
        for name in sources:
            self._make(name)
        self._copies = [
            (name, self._path(name))
            for name, source in sources.items()
            if source.copied and name in self._states
        ]
        self._settle(self._folders)

    @property
    def unchanged(self) -> bool:
        """Tell whether nothing in it has changed; asked after each task, it has to be fast."""
        try:
            for path, state in self._watched:
                status = os.lstat(path)
                if status.st_ctime_ns != state.ctime_ns or status.st_mtime_ns != state.mtime_ns:
                    return False
        except OSError:
            return False
        return True

    def changes(self) -> _Changes:
        """Return what is not as it was made.

        What lies behind a link that a task has put in a folder's place is not the tree's.
        """
        states = self._states
        modes: dict[str, int] = {}
        for folder in self._folders:  # each after the one that it is in
            if not folder or _parent(folder) in modes:
                with suppress(OSError):
                    mode = os.lstat(self._path(folder)).st_mode
                    if stat.S_ISDIR(mode):
                        modes[folder] = mode
        copies = {name for name, _ in self._copies}
        dirty = [folder for folder in self._changed_folders() if folder in modes]
        changed: list[str] = []
        missing: list[str] = []
        for name, state in states.items():
            if _parent(name) not in modes or not (name in copies or _parent(name) in dirty):
                continue
            found = _fingerprint(self._path(name))
            if found is None:
                missing.append(name)
            elif found != state:
                changed.append(name)
        new: list[str] = []
        for folder in dirty:
            prefix = f"{folder}/" if folder else ""
            names: list[str] = []
            with suppress(OSError):  # closed, or gone
                names = os.listdir(self._path(folder))  # noqa: PTH208
            for entry in names:
                name = prefix + entry
                if name not in states and name not in self._folders:
                    new.append(name)
        open_ones = [mode for mode in modes.values() if mode & stat.S_IRWXU == stat.S_IRWXU]
        return _Changes(new, changed, missing, len(open_ones) == len(self._folders))

    def restore(self, changes: _Changes) -> bool:
        """Make it as it was, once nothing of what is new or changed is in it.

        :returns: whether it is.
        :raises OSError: it cannot be.
        """
        names = [*changes.changed, *changes.missing]
        for name in names:
            self._make(name)
        self._settle(self._changed_folders())
        return not any(_fingerprint(self._path(name)) is None for name in names)

    def _changed_folders(self) -> list[str]:
        folders = self._folders.items()
        return [name for name, state in folders if _fingerprint(self._path(name)) != state]

    def _make(self, name: str) -> None:
        source, path = self._sources[name], self._path(name)
        copied = source.copied and _copied(source.target, path)
        if not copied and (source.is_link or os.path.exists(source.target)):  # noqa: PTH110
            os.symlink(source.target, path)  # noqa: PTH211
        elif not copied:
            return  # Gone since the bundle was read, which is noticed elsewhere.
        self._states[name] = _fingerprint(path)

    def _settle(self, folders: Iterable[str]) -> None:
        # At a time that no change gives to a folder: clocks of file systems tick some 4 ms long.
        for name in folders:
            path = self._path(name)
            os.utime(path, ns=(0, 0))
            self._folders[name] = _fingerprint(path)
        states = [(self._path(name), state) for name, state in self._folders.items()]
        states += [(path, self._states[name]) for name, path in self._copies]
        self._watched = [(path, state) for path, state in states if state is not None]

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


class WorkingFolders:
    """The working folders of one child.

    :param place: the folder that they are made in; it is the child's own.
    :raises OSError: there is no room for them.
    """

    def __init__(
        self, place: Path, bundle: Path, files: Iterable[str], folders: Collection[str]
    ) -> None:
        # As os.getcwd() gives it.
        self._place = place.resolve()
        names = tuple(files)
        self._folders = {*folders, *folders_of([*names, *folders])}
        self._sources = dict(_sources(bundle, names))
        sources = self._sources.items()
        linked = [(n, s.target) for n, s in sources if not (s.copied or s.is_link)]
        self._linked = {name: (path, fingerprint_of(path)) for name, path in linked[:WATCHED_LINKS]}
        self._load = self._made(LOAD)
        self._count = 1
        self._tree: _Tree | None = None
        self.used = False
        """True while what a task has left has not been taken."""

    @property
    def load(self) -> str:
        """Where the bundle is imported."""
        return self._load.root

    def loaded(self) -> None:
        """Each task sees what the import has left there.

        :raises OSError: there is no room for it.
        """
        if self._load.unchanged:
            return
        changes = self._load.changes()
        for name in [*changes.new, *changes.changed]:
            for own, status in below(self._load.root, name):
                if status is None:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    self._folders.add(own)
                elif stat.S_ISREG(status.st_mode):
                    path = f"{self._load.root}/{own}"
                    self._sources[own] = _Source(path, copied=_size(path) <= COPIED_BYTES)

    def begin(self) -> str:
        """The next task's working folder, with nothing of an earlier one in it.

        :raises OSError: there is no room for it.
        """
        if self.used and self._tree is not None and not self._tree.unchanged:
            self._drop(self._tree)
        if self._tree is None:
            # The same path, where it is free: what is kept between tasks may name it.
            while os.path.lexists(self._place / f"{TASK}-{self._count}" / NAME):
                self._count += 1
            self._tree = self._made(f"{TASK}-{self._count}")
        self.used = True
        return self._tree.root

    def take(self, seconds: float) -> LeftFiles | None:
        """Return what the task has left in its working folder; ``None`` for nothing.

        :param seconds: how long the wire function took.
        :raises OSError: there is no room for it.
        """
        if seconds < INSTANT_SECONDS:
            self.used = False  # to look would take longer than all else
            return None
        tree = self._tree
        if tree is None or tree.unchanged:
            self.used = False
            return None
        changes = tree.changes()
        folder = tempfile.mkdtemp(prefix=guardian().folder_prefix)
        left = None
        try:
            try:
                for name in [*changes.new, *changes.changed]:
                    _move(f"{tree.root}/{name}", f"{folder}/{name}")
                intact = changes.intact and tree.restore(changes)
            except OSError:
                intact = False
            if not intact:
                self._drop(tree)
            # Only now: what interrupts a thread before leaves the rest to the next task.
            self.used = False
            left = LeftFiles.of(Path(folder))
        finally:
            if left is None:
                remove_folder(folder)
        return left

    def _drop(self, tree: _Tree) -> None:
        """Remove a tree; a new one is made for the next task."""
        self._tree = None
        gone = f"{tree.root}~{os.urandom(4).hex()}"
        with suppress(OSError):  # a task has removed it, or something is mounted there
            os.rename(tree.root, gone)  # noqa: PTH104
            remove_folder(gone)

    def written_through(self) -> list[str]:
        """The bundle's files that are linked, and have changed since it was last asked."""
        if not self._linked:
            return []
        changed = []
        for name, (path, before) in self._linked.items():
            if not _same_content(now := fingerprint_of(path), before):
                changed.append(name)
                self._linked[name] = path, now
        return changed

    def _made(self, name: str) -> _Tree:
        return _Tree(self._place / name / NAME, self._sources, self._folders)


def with_own_names(text: str, bundle: Path) -> str:
    """A child's text in which the bundle's files have the names that they have in the bundle."""
    return _PLACE.sub(lambda _: str(bundle), text) if _IN_ALL in text else text


def _sources(bundle: Path, files: Iterable[str]) -> Iterator[tuple[str, _Source]]:
    count, total, root = 0, 0, bundle.resolve()
    for name in files:
        path = f"{bundle}/{name}"
        if os.path.islink(path) and not os.path.isfile(path):  # noqa: PTH113, PTH114
            # A link to a folder of the bundle, or to a file that a task is to write: in the tree it
            # leads to the tree's. One that leads out, to nothing, stays as it is.
            above = os.path.realpath(os.path.dirname(path))  # noqa: PTH120
            to = os.path.normpath(os.path.join(above, os.readlink(path)))  # noqa: PTH115, PTH118
            own = os.path.isdir(path) or Path(to).is_relative_to(root)  # noqa: PTH112
            yield (
                name,
                _Source(os.path.relpath(to, above) if own else to, copied=False, is_link=True),
            )
            continue
        size = _size(path)
        copied = count < COPIED_FILES and size <= COPIED_BYTES and total + size <= COPIED_TOTAL
        if copied:
            count += 1
            total += size
        yield name, _Source(path, copied)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def _copied(file: str, to: str) -> bool:
    """Tell whether a file could be copied; else a link has to do.

    :raises OSError: there is no room.
    """
    try:
        shutil.copy2(file, to)
    except OSError as error:
        with suppress(FileNotFoundError):
            os.unlink(to)  # noqa: PTH108
        if error.errno in NO_ROOM:
            raise
        return False
    return True


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _same_content(now: Fingerprint | None, then: Fingerprint | None) -> bool:
    """Tell whether nobody has written to a file; a new link to it, or new rights, change it too."""
    if now is None or then is None:
        return now is then
    return (now.mtime_ns, now.size) == (then.mtime_ns, then.size)


def _move(path: str, to: str) -> None:
    os.makedirs(os.path.dirname(to), exist_ok=True)  # noqa: PTH103, PTH120
    os.rename(path, to)  # noqa: PTH104
