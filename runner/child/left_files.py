"""The files that a task has left in its working folder."""

import os
import shutil
import stat
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

MAX_FILES = 1000
"""How many files of one task are kept, at most."""
MAX_BYTES = 1 << 30
"""How many bytes of one task's files are kept, at most."""
MAX_PICKLED_BYTES = 64 << 20
"""How many of them travel, where a result is pickled."""


class LeftFiles(Mapping[str, bytes]):
    """A task's files: path, relative to its working folder, to content.

    They lie in a temporary folder until this object goes. Pickled, they are in the pickle, up to
    64 MiB.

    :param sizes: their sizes in bytes, by path.
    :param omitted: the paths of what was not kept: links, pipes, sockets, and what is beyond 1,000
        files or 1 GiB.
    """

    __slots__ = ("__weakref__", "_contents", "_folder", "omitted", "sizes")

    def __init__(
        self,
        sizes: Mapping[str, int] | None = None,
        omitted: tuple[str, ...] = (),
        *,
        folder: Path | None = None,
        contents: Mapping[str, bytes] | None = None,
    ) -> None:
        self.sizes = dict(sizes or {})
        self.omitted = omitted
        self._folder = folder
        self._contents = contents or {}
        if folder is not None:
            weakref.finalize(self, _remove, folder, os.getpid())

    @classmethod
    def of(cls, folder: Path) -> "LeftFiles":
        """Return what lies in a folder, which goes with the object that is returned."""
        sizes: dict[str, int] = {}
        omitted: list[str] = []
        total = 0
        for name, size in _files(folder, ""):
            if size is None or len(sizes) >= MAX_FILES or total + size > MAX_BYTES:
                if len(omitted) < MAX_FILES:
                    omitted.append(name)
                continue
            sizes[name] = size
            total += size
        return cls(sizes, tuple(omitted), folder=folder)

    def __getitem__(self, name: str) -> bytes:
        if self._folder is None or name not in self.sizes:
            return self._contents[name]
        return (self._folder / name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self.sizes)

    def __len__(self) -> int:
        return len(self.sizes)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name!r}: {size} bytes" for name, size in self.sizes.items())
        return f"<LeftFiles {{{sizes}}}>"

    def copy_to(self, folder: str | os.PathLike[str]) -> None:
        """Put them into a folder, which is made; files of the same names are replaced.

        :raises OSError: one cannot be written.
        """
        for name in self.sizes:
            target = Path(folder) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._folder is None:
                target.write_bytes(self._contents[name])
            else:
                shutil.copyfile(self._folder / name, target)

    def __reduce__(self) -> tuple[object, ...]:
        sizes: dict[str, int] = {}
        omitted = list(self.omitted)
        total = 0
        for name, size in self.sizes.items():
            if total + size > MAX_PICKLED_BYTES:
                omitted.append(name)
            else:
                sizes[name] = size
                total += size
        return _unpickled, (sizes, tuple(omitted), {name: self[name] for name in sizes})


NO_FILES = LeftFiles()


def _unpickled(
    sizes: dict[str, int], omitted: tuple[str, ...], contents: dict[str, bytes]
) -> LeftFiles:
    return LeftFiles(sizes, omitted, contents=contents)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it, which ends before
        shutil.rmtree(folder, ignore_errors=True)


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, int | None]]:
    """The files in a folder with their sizes, in order; without one, what is not a file."""
    try:
        folder.chmod(0o700)
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:
        yield prefix.rstrip("/"), None
        return
    for entry in entries:
        name = prefix + entry.name
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            yield from _files(Path(entry.path), f"{name}/")
        elif stat.S_ISREG(status.st_mode):
            if not status.st_mode & stat.S_IRUSR:
                Path(entry.path).chmod(0o600)
            yield name, status.st_size
        else:
            yield name, None
