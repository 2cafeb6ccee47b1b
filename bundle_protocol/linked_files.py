"""Gives a task a copy of its own of a file that is linked in its folder, before it writes to it.

Only small files of the bundle are copied there for each task: what is written through a link is
the bundle's own file, which all tasks share.
"""

from __future__ import annotations

import os
from contextlib import suppress

from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any


_READING = frozenset("rbtU")


def writes(mode: object) -> bool:
    """Tell whether a file that is opened with a mode may be written to."""
    return type(mode) is str and not _READING.issuperset(mode)


def own_copy(file: Any, inside: str, bundle: str, *, empty: bool) -> None:
    """Put a copy in the place of a link in the task's folder to a file of the bundle.

    Where it cannot be made, the link stays, and the worker notes what is written through it.

    :param file: what is about to be opened: a path, or anything else that ``open`` takes.
    :param inside: the task's folder, with a separator at its end.
    :param bundle: the bundle's folder, likewise.
    :param empty: nothing of the file's content is kept.
    """
    with suppress(OSError, TypeError, ValueError):
        path = os.fsdecode(file)
        target = os.readlink(path)
        folder = os.path.join(os.path.realpath(os.path.dirname(path)), "")
        if not (target.startswith(bundle) and folder.startswith(inside)):
            return
        with standard_library():
            import shutil  # What few tasks need.
        beside = f"{path}~{os.urandom(4).hex()}"
        if empty:
            with open(beside, "xb"):
                shutil.copystat(target, beside)
        else:
            shutil.copy2(target, beside)
        os.replace(beside, path)
