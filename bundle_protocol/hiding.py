"""Two files of one name: the one that an import found, and the one that was meant.

Only the child can look: which folders are searched, and in what order, is known to its Python.
"""

from __future__ import annotations

import os
import re
import sys
from types import TracebackType

from bundle_protocol.standard import hiding_modules, is_of_bundle

_NO_NAME = re.compile(
    r"cannot import name '(\w{1,200})' from (?:partially initialized module )?'(\w{1,200})'"
)
_NO_ATTRIBUTE = re.compile(
    r"module '(\w{1,200})'(?: from '[^']{1,4096}')? has no attribute '(\w{1,200})'"
)
_BUILT_IN = "(built-in)"
_MAX_FILE = 4 * 1024 * 1024
_MAX_FOLDERS = 200


def hiding(error: BaseException, message: str) -> dict[str, str]:
    """Return what an import found in place of what was meant, as far as files say so.

    :param message: of the error, an ``ImportError`` or ``AttributeError``.
    :returns: ``module_file``, the file of the module that lacks a name; ``hidden_file``, another
        module of the same name on ``sys.path`` that has it. Either may be missing.
    """
    asked = _asked(error, message)
    if asked is None:
        return {}
    module, name = asked
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None and module in sys.modules:
        file = _BUILT_IN
    if type(file) is not str:
        return {}
    hidden = _hidden(module, name, file)
    return {"module_file": file, **({"hidden_file": hidden} if hidden else {})}


def misled(error: BaseException) -> dict[str, str]:
    """The module of the bundle that a library got in place of the one that it had meant.

    It may fail by that in any words: a name that ``from token import *`` has not brought, a call
    with other arguments.

    :returns: ``hiding_module``, its name; ``module_file`` and ``hidden_file`` as :func:`hiding`.
    """
    if isinstance(error, ModuleNotFoundError):
        # One of another system's, because msvcrt.py makes a library believe that it runs there.
        if error.name not in getattr(sys, "stdlib_module_names", ()):
            return {}
    elif not isinstance(error, (AttributeError, NameError, TypeError)):
        return {}
    found = hiding_modules()
    files = _files_of(error.__traceback__)
    called = None
    while files and (inner := next((n for n in found if found[n][0] == files[-1]), None)):
        called = inner
        files.pop()
    if not found or not files or is_of_bundle(files[-1]) or not os.path.isfile(files[-1]):
        return {}
    with open(files[-1], encoding="utf-8", errors="replace") as stream:
        text = stream.read(_MAX_FILE)
    for name in (called,) if called else found:
        imported = rf"^\s*(?:from\s+{name}\b|import\s[^#\n]*\b{name}\b)"
        if re.search(imported, text, re.MULTILINE):
            file, other = found[name]
            return {
                "hiding_module": name,
                "module_file": file,
                **({"hidden_file": other} if other else {}),
            }
    return {}


def _files_of(traceback: TracebackType | None) -> list[str]:
    files = []
    while traceback is not None:
        files.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    # The import system's own frames say nothing of who asked.
    return [file for file in files if not file.startswith("<frozen importlib")]


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
        if file != _BUILT_IN and os.path.realpath(origin) == os.path.realpath(file):
            continue
        if _has(origin, spec.submodule_search_locations or (), name):
            return origin
    return None


def _has(file: str, folders: object, name: str) -> bool:
    """Tell whether a module has a name, by its text; a compiled one has it as a string of C."""
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
