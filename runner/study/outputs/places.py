"""The places below a folder of outputs that a run needs for its own, and what may lie there.

A link is never followed: no run has made it.
"""

import itertools
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from runner.diagnosis.report.text import printable

_MOST_OF_NAME = 200
"""So many characters of a name are left in the name of what is set aside."""


def is_file(path: Path) -> bool:
    """Tell whether a plain file is there, and no link to one."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """Tell whether a folder is there, and no link to one."""
    return stat.S_ISDIR(_mode(path))


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def set_aside(path: Path, say: Callable[[str], None]) -> None:
    """Give what no run has made another name, if anything is there.

    :raises OSError: it may not be renamed.
    """
    if not os.path.lexists(path):
        return
    names = (path.with_name(f"{path.name[:_MOST_OF_NAME]}.~{n}~") for n in itertools.count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    path.rename(aside)
    say(f"{printable(str(path))} was there, and no run has made it: it is {aside.name} now")


def put(new: Path, place: Path, say: Callable[[str], None], *, ours: bool = False) -> None:
    """Move a file to its place. Somebody else's file there is set aside.

    :param ours: whether an earlier run has made what is there. One that was killed before it could
        write that down has left the same content.
    :raises OSError: it may not be moved.
    """
    import filecmp

    if not (is_file(place) and (ours or filecmp.cmp(place, new, shallow=False))):
        set_aside(place, say)
    new.replace(place)


def remove_anything(path: Path) -> None:
    """Remove what lies in a place that is the runner's own, if anything does.

    :raises OSError: it may not be removed.
    """
    if is_folder(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
