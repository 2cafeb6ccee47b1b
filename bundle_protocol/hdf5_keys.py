"""All that an HDF5 file of h5py's has, where it lacks what it is asked for.

The ``with`` that opened it has closed it by the time its exception is told, so it is opened anew.
"""

from __future__ import annotations

import os
import re
import sys
from itertools import chain

from bundle_protocol.failing_line import LITERAL, FailingLine
from bundle_protocol.misread_files import content_of, named_in_module

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any

_ASKED = re.compile(rf"\[\s*(?:{LITERAL})\s*\]")


def hdf5_keys(at: FailingLine, value: Any, name: str | None, limit: int) -> list[str]:
    """The paths of what a group or a file has, from it on; none where they cannot be told.

    :param name: as the line calls it.
    """
    if not hasattr(value, "visit"):  # attributes
        return list(value)
    if value:
        return _visited(value, limit)
    root, made = "", str(at.made(name).get("made_text")) if name else ""
    if type(value).__name__ != "File":
        asked = _ASKED.findall(made)
        if len(asked) != 1:
            return []
        root = next(filter(None, asked[0]))
    files = [path for path in dict.fromkeys(_paths(at)) if content_of(path) == "hdf5"]
    if len(files) != 1:
        return []
    with sys.modules["h5py"].File(files[0], "r") as file:
        return _visited(file[root] if root else file, limit)


def asked_in_line(at: FailingLine, keys: list[str]) -> list[str]:
    """The texts in brackets that are none of the keys: h5py names the last part of a path alone."""
    asked = (single or double for _, single, double in _ASKED.findall(at.text))
    return [one for one in asked if one and one.strip("/") not in keys]


def _visited(group: Any, limit: int) -> list[str]:
    found: list[str] = []

    def visit(path: str) -> bool | None:
        found.append(path)
        return len(found) >= limit or None

    group.visit(visit)
    return found


def _paths(at: FailingLine) -> list[str]:
    """The texts and paths that the failing function, or its module, has in hand."""
    held = at.frame.f_locals.values()
    given = [os.fspath(one) for one in held if isinstance(one, (str, os.PathLike))]
    return [one for one in chain(given, named_in_module(at)) if isinstance(one, str)]
