"""A bundle's content: what a build or an import could read; and the digest that identifies it."""

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from anyio import from_thread
from msgspec import Struct

from runner.bundle.digest_index import DigestIndex
from runner.bundle.exclude import Exclude, exclude_of
from runner.bundle.failures import invalid, unreadable
from runner.bundle.files import has_file, read_text
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit, Hint

# Made by tools while they work beside the bundle. `*.egg-info` is what setuptools leaves of an
# earlier build. `build` and `dist` are content: both are also good names for a package.
_NOT_CONTENT = {".git", ".hg", ".svn", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache",
                ".ruff_cache", ".hypothesis", ".tox", ".nox", ".ipynb_checkpoints",
                ".DS_Store"}  # fmt: skip
# In a virtual environment (PEP 405), and in what can be made anew (bford.info/cachedir).
_NO_CONTENT_BESIDE = {"pyvenv.cfg", "CACHEDIR.TAG"}
_READ_BYTES = 1 << 20

# What `git lfs` leaves in a file's place until it is fetched: a text of three lines.
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1"
_LFS_POINTER_BYTES = 1024


class Content(Struct, frozen=True):
    """The content of a bundle's files."""

    digest: str
    """``sha256:`` and the digest of their paths, kinds, executable bits and content."""
    lfs_pointers: tuple[str, ...]
    """Those that are a Git LFS pointer, and not the file itself."""


def content_files(folder: Path, ignored: Collection[str] = ()) -> tuple[str, ...]:
    """The bundle's content, as sorted paths relative to its folder.

    A link to a file counts as that file, a link to a folder within the bundle as the link. What
    ``[tool.modelops] exclude`` matches is left out.

    :param ignored: paths that are left out, too.
    :raises Failure: ``bundle-invalid``: a folder cannot be listed, a link leads out of the bundle
        to a folder, or something is neither file, folder nor link.
    """
    return tuple(sorted(name for name in _walk(folder, ignored) if not name.endswith("/")))


def all_entries(folder: Path) -> tuple[str, ...]:
    """The bundle's content, its folders with a slash behind; and what would make it no bundle.

    A folder that cannot be listed has nothing in it.
    """
    return tuple(_walk(folder, strict=False))


def empty_folders(
    folder: Path, files: Iterable[str], ignored: Collection[str] = ()
) -> tuple[str, ...]:
    """The folders of a bundle's content without a file in them, sorted likewise.

    They are not in the digest: git and wheels drop them, and a task that writes into one needs it.
    """
    filled = folders_of(files)
    folders = (name[:-1] for name in _walk(folder, ignored, strict=False) if name.endswith("/"))
    return tuple(sorted(name for name in folders if name not in filled))


def folders_of(names: Iterable[str]) -> set[str]:
    """The folders that some of a bundle's files are in; the bundle itself is ``""``."""
    folders = {""}
    for name in names:
        folder = name.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def bundle_digest(folder: Path, files: tuple[str, ...]) -> str:
    """The digest of the bundle's files alone, of :func:`read_content`.

    :raises Failure: ``bundle-invalid``: a file cannot be read.
    """
    return read_content(folder, files).digest


def read_content(folder: Path, files: tuple[str, ...], index: DigestIndex | None = None) -> Content:
    """Read a bundle's files.

    Neither time stamps nor the folder's own path are in the digest.

    :param index: what is known of them, and learns what is read; without it each one is read.
    :raises Failure: ``bundle-invalid``: a file cannot be read.
    """
    digest = hashlib.sha256(b"modelops-runner/bundle/1\0")
    pointers = []
    for name in files:
        path = f"{folder}/{name}"  # a path object takes as long as to read a small file
        try:
            kind, content, is_pointer = _content(name, path, index)
        except OSError as error:
            raise unreadable(name, error) from error
        encoded = os.fsencode(name)
        # Lengths first, so that no two different bundles give the same bytes.
        digest.update(b"%c%d:%d:" % (kind, len(encoded), len(content)))
        digest.update(encoded + content)
        if is_pointer:
            pointers.append(name)
    if index is not None:
        index.keep()
    return Content(f"sha256:{digest.hexdigest()}", tuple(pointers))


def _walk(folder: Path, ignored: Collection[str] = (), *, strict: bool = True) -> Iterator[str]:
    """The names of files and links, and those of folders with a slash behind."""
    return _Walk(folder.resolve(), exclude_of(folder), ignored, strict).entries(folder, "")


class _Walk(Struct, frozen=True):
    root: Path
    exclude: Exclude
    ignored: Collection[str]
    strict: bool

    def entries(self, folder: Path, prefix: str) -> Iterator[str]:
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if not self.strict:
                return
            raise unreadable(prefix or ".", error) from error
        if prefix and any(entry.name in _NO_CONTENT_BESIDE for entry in entries):
            return
        if prefix:
            yield prefix
        for entry in entries:
            if entry.name in _NOT_CONTENT or entry.name.endswith(".egg-info"):
                continue
            yield from self._entry(entry, prefix + entry.name)

    def _entry(self, entry: "os.DirEntry[str]", name: str) -> Iterator[str]:
        if name in self.ignored:
            return
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError as error:  # a link to itself
            if not self.strict:
                yield name
                return
            raise unreadable(name, error) from error
        if self.exclude(name, is_folder=is_folder and not entry.is_symlink()):
            return
        if is_folder and not entry.is_symlink():
            yield from self.entries(Path(entry.path), name + "/")
            return
        if self.strict:
            self._check(entry, name, is_folder=is_folder, is_file=is_file)
        yield name

    def _check(
        self, entry: "os.DirEntry[str]", name: str, *, is_folder: bool, is_file: bool
    ) -> None:
        if is_folder:
            target = Path(entry.path).resolve()
            if not target.is_relative_to(self.root):
                raise invalid(
                    f"{name} is a link to the folder {target}, outside of the bundle",
                    "A bundle is sent to workers as a folder: what it links to would be missing.",
                    Hint(f"put what {name} links to into the bundle"),
                )
        elif not is_file and not entry.is_symlink():
            raise invalid(
                f"{name} is neither a file nor a folder",
                "A bundle holds files, folders and links; a socket, pipe or device cannot be sent"
                " to a worker.",
                Hint(f"take {name} out of the bundle"),
                Hint("or exclude it", edit=_excluding(self.root, name)),
            )


def _excluding(folder: Path, name: str) -> Edit | None:
    there = "pyproject.toml"
    text = read_text(folder, there) if has_file(folder, there) else ""
    return PyprojectText.of(text).with_item("tool.modelops", "exclude", name)


def _content(name: str, path: str, index: DigestIndex | None) -> tuple[int, bytes, bool]:
    """The kind of an entry, what stands for its content, and whether it is a Git LFS pointer."""
    if os.path.islink(path) and not os.path.isfile(path):  # noqa: PTH113, PTH114
        return ord("l"), os.fsencode(os.readlink(path)), False  # noqa: PTH115
    if index is not None and (known := index.known(name, path)) is not None:
        return _kind(os.stat(path)), known, False  # noqa: PTH116 - a pointer is too small
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123
        before = os.fstat(file.fileno())
        head = data = file.read(_READ_BYTES)
        while data:
            digest.update(data)
            data = file.read(_READ_BYTES)
            # Nobody waits for a large file's digest once the run was cancelled; this thread would
            # keep the process from ending.
            with suppress(RuntimeError):  # called in another thread than one of anyio's
                from_thread.check_cancelled()
        if index is not None:
            index.learn(name, before, os.fstat(file.fileno()), digest.digest())
    is_pointer = len(head) < _LFS_POINTER_BYTES and head.startswith(_LFS_POINTER)
    return _kind(before), digest.digest(), is_pointer


def _kind(status: os.stat_result) -> int:
    return ord("x" if status.st_mode & stat.S_IXUSR else "f")
