"""The files that a task has left in its working folder."""

import os
import shutil
import stat
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runner.process.guardian import Guardian, guardian

MAX_FILES = 1000
"""How many files of one task are kept, at most."""
MAX_BYTES = 1 << 30
"""How many bytes of one task's files are kept, at most."""
MAX_PATH_BYTES = 1000
"""How long the path of one is, at most: it has to fit below any folder of outputs, too."""
MAX_PICKLED_BYTES = 64 << 20
"""How many of them travel, where a result is pickled."""


class LeftFiles(Mapping[str, bytes]):
    """A task's files: path, relative to its working folder, to content.

    They lie in a temporary folder until this object goes, or :meth:`remove` is called. Pickled,
    they are in the pickle, up to 64 MiB.

    :param sizes: their sizes in bytes, by path.
    :param omitted: the paths of what was not kept: links, pipes, sockets, what is beyond 1,000
        files, 1 GiB, or 1,000 bytes of path, and what has a name that is not UTF-8.
    """

    __slots__ = ("__weakref__", "_contents", "_folder", "_remove", "omitted", "sizes")

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
        self._remove: Callable[[], object] | None = None
        if folder is not None:
            guard = guardian()
            guard.keep(str(folder))
            self._remove = weakref.finalize(self, _remove, str(folder), guard)

    @classmethod
    def of(cls, folder: Path) -> "LeftFiles":
        """Return what lies in a folder, which goes with the object that is returned."""
        sizes: dict[str, int] = {}
        omitted: list[str] = []
        total = 0
        for name, status in below(str(folder), ""):
            if status is not None and stat.S_ISDIR(status.st_mode):
                continue
            if "__pycache__" in name.split("/"):
                continue  # Python's, of modules that the task has imported from there
            size = status.st_size if status is not None and stat.S_ISREG(status.st_mode) else None
            # A name that is not UTF-8 has lone surrogates, which no file of ours could name.
            utf8 = os.fsencode(name).decode(errors="ignore") == name
            fits = utf8 and len(name.encode()) <= MAX_PATH_BYTES and len(sizes) < MAX_FILES
            if size is None or not fits or total + size > MAX_BYTES:
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

    def remove(self) -> None:
        """Remove the temporary folder now, and with it the contents; names and sizes stay.

        A failure keeps what it has been raised over until garbage is collected.
        """
        if self._remove is not None:
            self._remove()

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


def _remove(folder: str, guard: Guardian) -> None:
    if guard is guardian():  # and not in a fork, which ends before
        guard.remove(folder)


def below(root: str, name: str) -> Iterator[tuple[str, os.stat_result | None]]:
    """The entry at a name in a folder and all below it, in order, however deep.

    Folders come before what is in them; without a status, what cannot be looked at.
    """
    pending = [name]
    while pending:
        name = pending.pop()
        path = f"{root}/{name}"
        try:
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                os.chmod(path, 0o700)  # noqa: PTH101
                inside = sorted(os.listdir(path), reverse=True)  # noqa: PTH208
                pending += [f"{name}/{entry}" if name else entry for entry in inside]
            elif stat.S_ISREG(status.st_mode) and not status.st_mode & stat.S_IRUSR:
                os.chmod(path, 0o600)  # noqa: PTH101
        except OSError:
            yield name, None
        else:
            yield name, status
