"""Lists, measures and removes what the cache holds; never what is in use.

A folder is in use while a process holds a lock on it, which the kernel lets go of when that process
ends (store.hold), and an environment also while a bundle's own venv upon it is. What has neither a
manifest nor a builder is unfinished: a run was killed.
"""

import errno
import logging
import math
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from runner.environment.store import (
    BUILDING,
    HOLDS,
    LOCK,
    MANIFEST,
    WITHOUT_LOCKS,
    Manifest,
    followed,
    lock_file,
    read_manifest,
    remove_tree,
)

_log = logging.getLogger(__name__)

Kind: TypeAlias = Literal["environment", "bundle", "backend", "content", "unfinished"]

BUNDLES = "bundles"
"""The folder of what bundles of a cluster's clients were unpacked to."""

_FOLDERS: dict[str, Kind] = {
    "environments": "environment",
    "layers": "bundle",
    "backends": "backend",
}


class Entry(Struct, frozen=True, kw_only=True):
    """A folder of the cache."""

    key: str
    kind: Kind
    path: str
    size: int
    """Bytes on disk; what uv has linked from its own cache is counted, too."""
    last_used: float
    """Seconds since the epoch."""
    in_use: bool
    python: str | None = None
    created_at: str | None = None
    packages: tuple[str, ...] = ()
    bundles: tuple[str, ...] = ()
    """The names of the bundles that run in it."""
    dependencies: str | None = None
    """The key of the environment below it."""

    @property
    def seconds_unused(self) -> float:
        return max(0.0, time.time() - self.last_used)

    @property
    def seconds_old(self) -> float | None:
        """Since it was built; ``None`` where nothing says when."""
        try:
            built = datetime.fromisoformat(self.created_at or "").timestamp()
        except (ValueError, OverflowError):
            return None
        return max(0.0, time.time() - built)


def entries(cache: Path) -> list[Entry]:
    """Return what the cache holds, the longest unused first.

    :raises OSError: it cannot be read.
    """
    with suppress(FileNotFoundError):  # nothing was built yet
        os.listdir(cache)  # noqa: PTH208
    found = list(_found(cache))
    manifests = [manifest for path, _ in found if (manifest := read_manifest(path))]
    listed = []
    for path, kind in found:
        with suppress(FileNotFoundError):  # somebody else has removed it meanwhile
            listed.append(_entry(path, kind, manifests))
    return sorted(listed, key=lambda entry: entry.last_used)


def prunable(
    listed: Iterable[Entry], *, older_than: float | None = None, max_size: int | None = None
) -> list[Entry]:
    """Return what of it to remove: all that is unfinished, and what the limits say.

    :param older_than: seconds since its last use.
    :param max_size: bytes that may stay; the longest unused go first.
    """
    chosen: list[Entry] = []
    kept = sorted(listed, key=lambda entry: entry.last_used)
    for entry in list(kept):
        too_old = older_than is not None and entry.seconds_unused > older_than
        if not entry.in_use and (entry.kind == "unfinished" or too_old):
            kept.remove(entry)
            chosen.append(entry)
    total = sum(entry.size for entry in kept)
    for entry in list(kept):
        if max_size is None or total <= max_size:
            break
        if not entry.in_use:
            kept.remove(entry)
            chosen.append(entry)
            total -= entry.size
    # What stands upon an environment goes with it, and is of no use without.
    gone = {entry.key for entry in chosen}
    chosen += [entry for entry in kept if entry.dependencies in gone]
    return chosen


def remove(entry: Entry) -> bool:
    """Remove a folder, whole or not at all, where nobody uses it.

    :returns: whether it is gone.
    :raises OSError: it may not be removed.
    """
    folder = Path(entry.path)
    with ExitStack() as held:
        if not _alone(folder, held):
            return False
        if folder.is_symlink():
            folder.unlink(missing_ok=True)
        elif folder.exists():
            # First out of the way: whoever comes now finds none, and not half of one.
            beside = Path(tempfile.mkdtemp(prefix=f"{_key(folder)}{BUILDING}", dir=folder.parent))
            try:
                folder.rename(beside / "removed")
            finally:
                remove_tree(beside, math.inf)  # who prunes wants the room now
    return True


def remove_locks(cache: Path) -> None:
    """Remove the files of locks that nobody has and that are of no folder any more."""
    for name in (*_FOLDERS, BUNDLES):
        for lock in (cache / name).glob(f"*{LOCK}"):
            if not os.path.lexists(lock.with_name(lock.name.removesuffix(LOCK))):
                try:
                    with ExitStack() as held:
                        # While it is held: who waits sees that it is gone, and makes another.
                        if _is_free(lock, held):
                            lock.unlink(missing_ok=True)
                except OSError as error:  # it is a folder, say
                    _log.warning("%s is not removed: %s", lock, error.strerror)


def _alone(folder: Path, held: ExitStack) -> bool:
    """Keep others from building or using a folder until ``held`` is closed, where nobody does."""
    if folder.parent.name == "fresh":
        return _is_free(folder / LOCK, held)
    lock = folder.with_name(f"{_key(folder)}{LOCK}")
    return _is_free(lock, held) and all(_is_free(folder / name, held) for name in HOLDS)


def _is_free(file: Path, held: ExitStack) -> bool:
    """Tell whether nobody has a file locked, as far as its file system tells; then it is locked."""
    try:
        return lock_file(file, held)
    except OSError as error:
        if error.errno in (*WITHOUT_LOCKS, errno.ELOOP, errno.ENXIO):  # or it is not a file
            return True
        raise


def _key(folder: Path) -> str:
    return folder.name.partition(BUILDING)[0]


def _found(cache: Path) -> Iterator[tuple[Path, Kind]]:
    for name, kind in _FOLDERS.items():
        for path in _subfolders(cache / name):
            yield path, kind if BUILDING not in path.name and read_manifest(path) else "unfinished"
    for path in _subfolders(cache / BUNDLES):
        yield path, "unfinished" if BUILDING in path.name else "content"
    for path in _subfolders(cache / "fresh"):
        yield path, "unfinished"


def _subfolders(folder: Path) -> list[Path]:
    """The folders in one, and the links that lead nowhere; a link that does stands for another."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() != path.is_symlink()]


def _entry(path: Path, kind: Kind, manifests: list[Manifest]) -> Entry:
    with ExitStack() as held:
        try:
            in_use = not _alone(path, held)
        except OSError:  # another user's: he may be using it
            in_use = True
    stamp = path / MANIFEST
    manifest = read_manifest(path) if kind not in ("content", "unfinished") else None
    whole = manifest is not None or (kind == "content" and stamp.exists())
    entry = Entry(
        key=path.name,
        kind=kind if whole else "unfinished",
        path=str(path),
        size=_size(path),
        last_used=(stamp.stat() if whole else path.lstat()).st_mtime,
        in_use=in_use,
        bundles=tuple(one.name for one in _subfolders(path)) if kind == "content" and whole else (),
    )
    if manifest is None:
        return entry
    upon = (one.bundle for one in manifests if one.dependencies == manifest.key)
    return msgspec.structs.replace(
        entry,
        python=manifest.python,
        created_at=manifest.created_at,
        packages=manifest.packages,
        bundles=tuple(sorted({name for name in (manifest.bundle, *upon) if name})),
        dependencies=manifest.dependencies,
    )


def _size(folder: Path) -> int:
    total = 0
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            try:
                total += (Path(path) / name).lstat().st_blocks * 512
            except FileNotFoundError:  # somebody else removes it
                continue
    return total


def installed_packages(venv: Path) -> tuple[str, ...] | None:
    """List what a venv of the cache and the one below it have installed: ``numpy-2.4.6``.

    :returns: ``None`` where it is not one of a cache, or not there any more.
    """
    own = read_manifest(venv)
    if own is None or own.dependencies is None:
        return None if own is None else own.packages
    below = read_manifest(followed(venv.parents[1] / "environments" / own.dependencies))
    return None if below is None else tuple(sorted({*own.packages, *below.packages}))
