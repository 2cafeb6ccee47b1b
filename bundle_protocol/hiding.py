"""Two files of one name: the one that an import found, and the one that was meant.

Only the child can look: which folders are searched, and in what order, is known to its Python.
"""

from __future__ import annotations

import os
import re
import sys

_NO_NAME = re.compile(
    r"cannot import name '(\w{1,200})' from (?:partially initialized module )?'(\w{1,200})'"
)
_NO_ATTRIBUTE = re.compile(
    r"module '(\w{1,200})'(?: from '[^']{1,4096}')? has no attribute '(\w{1,200})'"
)
_MAX_FILE = 4 * 1024 * 1024
_MAX_FOLDERS = 200


def hiding(error: BaseException, message: str) -> dict[str, str]:
    """What an import found in place of what was meant, as far as files say so.

    :param message: of the error, an ``ImportError`` or ``AttributeError``.
    :returns: ``module_file``, the file of the module that lacks a name; ``hidden_file``, another
        module of the same name on ``sys.path`` that has it. Either may be missing.
    """
    asked = _asked(error, message)
    if asked is None:
        return {}
    module, name = asked
    file = getattr(sys.modules.get(module), "__file__", None)
    if type(file) is not str:
        return {}
    hidden = _hidden(module, name, file)
    return {"module_file": file, **({"hidden_file": hidden} if hidden else {})}


def _asked(error: BaseException, message: str) -> tuple[str, str] | None:
    """A module at the top, and the name that it was asked for in vain."""
    if isinstance(error, ModuleNotFoundError):
        parts = error.name.split(".") if type(error.name) is str else []
        return (parts[0], parts[1]) if len(parts) > 1 else None
    if isinstance(error, ImportError):
        found = _NO_NAME.search(message)
        return (found.group(2), found.group(1)) if found else None
    found = _NO_ATTRIBUTE.search(message)
    return (found.group(1), found.group(2)) if found else None


def _hidden(module: str, name: str, file: str) -> str | None:
    from importlib.machinery import PathFinder

    for folder in [entry for entry in sys.path if type(entry) is str][:_MAX_FOLDERS]:
        # As the import itself asks it, with the folders one by one; nothing is imported by that.
        spec = PathFinder.find_spec(module, [folder])
        origin = spec.origin if spec else None
        if spec is None or origin is None or not os.path.isfile(origin):
            continue
        if os.path.realpath(origin) == os.path.realpath(file):
            continue
        if _has(origin, spec.submodule_search_locations or (), name):
            return origin
    return None


def _has(file: str, folders: object, name: str) -> bool:
    """Whether a module has a name, by its text; a compiled one has it as a string of C."""
    for folder in folders if isinstance(folders, (list, tuple)) else ():
        if os.path.isdir(os.path.join(folder, name)):
            return True
        if os.path.isfile(os.path.join(folder, name + ".py")):
            return True
    with open(file, "rb") as stream:
        content = stream.read(_MAX_FILE)
    if not file.endswith(".py"):
        return name.encode() + b"\0" in content
    return re.search(rb"\b" + name.encode() + rb"\b", content) is not None
