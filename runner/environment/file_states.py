"""The state of a venv's folders and files, as the file system tells it, and as it was written down.

A folder's time tells what came or went, cheaply enough for each run. A file's size, its times and
its inode tell what was written to, also where the time that programs may set was put back: nobody
sets the time of the last change (ctime, stat(2)). uv's own links change that too, so it says only
which files are to be read.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from runner.fingerprint import Fingerprint
from runner.stored_files import read_json, read_stored, whole_file

FOLDERS = "modelops-folders.json"
_FILES = "modelops-files.msgpack"
BYTECODE = "__pycache__"
_SECOND = 10**9  # in nanoseconds


class States(Struct, frozen=True):
    """Paths are relative to the venv; bytecode, and what lies at the venv's top, is left out."""

    folders: dict[str, int]
    """Their times, in nanoseconds."""
    files: dict[str, Fingerprint]


class Known(Struct, frozen=True, omit_defaults=True):
    """The files as they were written down."""

    inode: int
    """The one of the file that this is in: in a copy it is another."""
    files: dict[str, Fingerprint]
    digests: dict[str, str]
    """Those of files that no package says the digest of."""
    copied: bool = False
    """True for a copy's, whose inodes and times of change are its own."""

    def differs(self, path: str, now: Fingerprint) -> bool:
        """Tell whether a file may have been written to since."""
        then = self.files.get(path)
        if then is None or not self.copied:
            return now != then
        return now.size != then.size or not same_time(now.mtime_ns, then.mtime_ns)


def look(venv: Path) -> States:
    """:raises OSError: it cannot be looked at."""
    prefix = len(str(venv)) + 1
    folders, files = dict[str, int](), dict[str, Fingerprint]()
    waiting = [str(top) for top in top_folders(venv)]
    while waiting:
        path = waiting.pop()
        folders[path[prefix:]] = os.stat(path).st_mtime_ns  # noqa: PTH116
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    files[entry.path[prefix:]] = Fingerprint.of(entry.stat(follow_symlinks=False))
                elif entry.name != BYTECODE:
                    waiting.append(entry.path)
    return States(folders, files)


def write_down(venv: Path, states: States, digests: Mapping[str, str]) -> None:
    """:raises OSError: it cannot be written."""
    with whole_file(venv / _FILES) as file:
        inode = os.fstat(file.fileno()).st_ino
        file.write(msgspec.msgpack.encode(Known(inode, states.files, dict(digests))))
    with whole_file(venv / FOLDERS) as file:
        file.write(msgspec.json.encode(states.folders))


def read_down(venv: Path) -> Known:
    """Read what :func:`write_down` wrote of the files."""
    try:
        inode = (venv / _FILES).stat().st_ino
        known = msgspec.msgpack.decode(read_stored(venv / _FILES), type=Known)
    except (OSError, ValueError, RecursionError):
        return Known(0, {}, {})  # each is to be read
    return msgspec.structs.replace(known, copied=known.inode != inode)


def folders_changed(venv: Path) -> bool:
    """Tell whether something came or went since it was written down.

    Quick, and too careful: a copy of a venv has times of its own.
    """
    try:
        times = read_json(venv / FOLDERS, dict[str, int])
        root = str(venv)
        return any(
            not same_time(os.stat(f"{root}/{path}").st_mtime_ns, then)  # noqa: PTH116
            for path, then in times.items()
        )
    except (OSError, ValueError):  # a name with a NUL in it is a ValueError
        return True


def files_changed(venv: Path) -> bool:
    """Tell whether a file may have been written to since; as careful as :func:`folders_changed`."""
    known = read_down(venv)
    return any(known.differs(path, state) for path, state in look(venv).files.items())


def same_time(now: int, then: int) -> bool:
    # Layers of images and tar files keep whole seconds.
    return now == then or (now % _SECOND == 0 and now == then - then % _SECOND)


def top_folders(venv: Path) -> Iterator[Path]:
    return (top for top in venv.iterdir() if top.is_dir() and not top.is_symlink())
