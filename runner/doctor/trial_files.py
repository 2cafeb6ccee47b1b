"""The files of a task under trial: where it finds none of earlier runs, and which all tasks use."""

import os
import shutil
from pathlib import Path

from bundle_protocol.outside import is_kept_result
from bundle_protocol.turns import LOCKS
from runner.bundle.model import Bundle
from runner.process.kill_marked import remove_folder

_OF_LIBRARIES = frozenset(("site-packages", "dist-packages", "__pycache__"))
_NO_FILES = ("/proc/", "/sys/")
_COPY = "bundle"
FOLDERS = (
    *("HOME", "TMPDIR", "TEMP", "TMP"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"),
)
"""The variables that name folders in which a run may find what another has left."""


def made_anew(elsewhere: Path, bundle: Bundle) -> Path:
    """Make new folders in place of those of the run before, and return the copy of the bundle."""
    for name in (_COPY, *FOLDERS):
        remove_folder(str(elsewhere / name))
    for name in FOLDERS:
        (elsewhere / name).mkdir()
    copy = elsewhere / _COPY / bundle.path.name
    for name in bundle.files:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(bundle.path / name, copy / name, follow_symlinks=False)
    return copy


def files_of_both(one: bytes, other: bytes, *, since: float) -> list[str]:
    """The paths of files that two tasks use, each for the other's content.

    Both have written it, or one that ran before them has: each works in a folder of its own, so
    that no path within that is among what both have opened. What both only read counts where it is
    neither at home nor installed: there it may be a library's.

    :param one: what a task has opened: a line each, ``w`` or ``r`` and the path.
    :param since: when the first task began, in seconds since the epoch.
    """
    first, second = set(one.splitlines()), set(other.splitlines())
    written = {line[1:] for line in first & second if line[:1] == b"w"}
    both = {line[1:] for line in first} & {line[1:] for line in second}
    paths = [(Path(os.fsdecode(path)), path in written) for path in sorted(both)]
    return [
        str(path)
        for path, is_written in paths
        if path.is_file()
        and not str(path).startswith(LOCKS)
        and (is_written or _is_left(path, since))
    ]


def _is_left(path: Path, since: float) -> bool:
    """Tell whether a task may have left it."""
    if _OF_LIBRARIES.intersection(path.parts) or str(path).startswith(_NO_FILES):
        return False
    is_new = not path.is_relative_to(Path.home()) and path.stat().st_mtime >= since
    return is_new or is_kept_result(str(path))
