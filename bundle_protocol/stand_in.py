"""A function of the standard library with one of ours in its place."""

from __future__ import annotations

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class StandIn:
    """It is called in place of a function, which it has as ``__wrapped__``.

    An object, and not a function: pathlib keeps some in a class up to Python 3.10, where a function
    would become a method.
    """

    def __init__(self, module: ModuleType, name: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__module__ = module.__name__
        self.__wrapped__: Callable[..., Any] = getattr(module, name)

    def __reduce__(self) -> str:  # pickled by its name, as a function
        return self.__name__
