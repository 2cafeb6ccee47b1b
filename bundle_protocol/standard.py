"""Imports of the child's own, once the bundle's folder is on ``sys.path``.

A bundle may have a file ``token.py`` or ``array.py``. Its own code finds that file first, as it
does when a person runs it by hand. The child must find the standard library's module nevertheless,
and must not leave it to the bundle's code.
"""

from __future__ import annotations

import _thread  # Without the module threading, whose import takes 2 ms.
import os
import sys
from contextlib import contextmanager
from importlib.machinery import PathFinder

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_path: list[str] = []
_bundle = ""
_modules: dict[str, ModuleType] = {}
_PACKAGE = __name__.partition(".")[0]


def remember(bundle: str) -> None:
    """To be called before the bundle's folder, which is given, is put on ``sys.path``."""
    global _bundle
    _path[:] = [entry for entry in sys.path if type(entry) is str]
    _bundle = os.path.normpath(bundle) + os.sep
    _modules.update(sys.modules)


@contextmanager
def standard_library(wanted: str = "") -> Iterator[None]:
    """Finds what this thread imports in here where it would be without the bundle.

    :param wanted: one of this package's modules; where it is imported already, this does nothing.
    """
    if _PACKAGE not in sys.modules:
        # A task has emptied it, and a warm child's next one imports no package of ours without it:
        # its parent folder is not on the path.
        sys.modules.update({**_modules, **sys.modules})
    if not _bundle or wanted in sys.modules:
        yield
        return
    finder = _PastTheBundle()
    aside = {name: sys.modules[name] for name in hiding_modules()}
    before = set(sys.modules)
    for name in aside:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            # The bundle's code gets its own, whoever was the first to import the name.
            if "." not in name and is_of_bundle(_origin(PathFinder.find_spec(name))):
                del sys.modules[name]
        sys.modules.update(aside)


class _PastTheBundle:
    def __init__(self) -> None:
        self._thread = _thread.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or _thread.get_ident() != self._thread:
            return None
        return PathFinder.find_spec(name, _path)


def hiding_modules() -> dict[str, tuple[str, str]]:
    """The imported modules of the bundle that hide another one: their file, and the other's.

    It is an empty string for a module of the standard library that this system does not have.
    """
    found: dict[str, tuple[str, str]] = {}
    standard = getattr(sys, "stdlib_module_names", ())  # From 3.10 on.
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." in name or not is_of_bundle(file):
            continue
        other = hidden_file(name)
        if other or name in standard:
            found[name] = str(file), other or ""
    return found


def hidden_file(name: str) -> str | None:
    """The file of the module at the top that is imported where there is no bundle."""
    if not _path:
        return None
    spec = PathFinder.find_spec(name, _path)
    origin = _origin(spec)
    return origin if origin and os.path.isfile(origin) and not is_of_bundle(origin) else None


def _origin(spec: ModuleSpec | None) -> str | None:
    return spec.origin if spec else None


def is_of_bundle(file: object) -> bool:
    """Tell whether a file is in the bundle's folder, and not of an environment in there."""
    if type(file) is not str or not _bundle:
        return False
    file = whole_path(file)
    return file.startswith(_bundle) and not file.startswith(sys.prefix + os.sep)


def whole_path(file: str) -> str:
    """The path of what code was compiled from: of a file of the bundle's, a relative one as well.

    ``runpy.run_path("scripts/sir.py")`` leads there.
    """
    if not _bundle or file[:1] in ("", os.sep, "<"):
        return file
    path = os.path.normpath(os.path.join(_bundle, file))
    return path if os.path.isfile(path) else file
