"""Calls a function as soon as a module has been imported for the first time, by whomever."""

from __future__ import annotations

import importlib.util
import sys

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Then = Callable[[ModuleType], None]


def on_first_import(then: dict[str, Then]) -> None:
    """Calls ``then[name]`` once the module of that name is there: at once, where it is.

    What the function raises, the import does.
    """
    waiting = {name: call for name, call in then.items() if name not in sys.modules}
    sys.meta_path.insert(0, _Finder(waiting))
    for name, call in then.items():
        if name not in waiting:
            call(sys.modules[name])


class _Finder:
    """Finds nothing by itself: it has what the others find loaded by :class:`_Loader`."""

    def __init__(self, waiting: dict[str, Then]) -> None:
        self._waiting = waiting

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        then = self._waiting.pop(name, None)
        if then is None:
            return None
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._waiting[name] = then  # The import may fail, and be tried again.
        if spec is not None and spec.loader is not None:
            loader: Any = _Loader(spec.loader, lambda module: self._imported(name, module))
            spec.loader = loader
        return spec

    def _imported(self, name: str, module: ModuleType) -> None:
        then = self._waiting.pop(name, None)
        if then is not None:
            then(module)


class _Loader:
    """A module's own loader, which it is left with."""

    def __init__(self, loader: Any, then: Then) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        spec.loader = self._loader
        module: ModuleType | None = self._loader.create_module(spec)
        spec.loader = self  # type: ignore[assignment]
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then(module)
