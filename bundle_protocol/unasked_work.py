"""Notices work of a pool that failed, and whose result nobody has asked for: it is missing."""

from __future__ import annotations

import os

from bundle_protocol.describe import summarize
from bundle_protocol.first_import import on_first_import
from bundle_protocol.standard import is_of_bundle, standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MOST = 20


class UnaskedWork:
    """That of the task under way.

    :param note: takes what is to be said of the results.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._failed: dict[int, BaseException] = {}
        on_first_import(
            {
                "concurrent.futures._base": lambda module: self._watch(
                    module.Future, "set_exception", ("result", "exception")
                ),
                "multiprocessing.pool": lambda module: self._watch(
                    module.ApplyResult, "_set", ("get",)
                ),
            }
        )

    def begin(self) -> None:
        """A task begins."""
        self._failed.clear()

    def end(self) -> None:
        """The task has returned."""
        for error in list(self._failed.values()):
            place = _place(error)
            if place:
                self._note(
                    "the task ended well, though work that it gave to a pool failed, and nobody"
                    f" has asked for its result: {summarize(error)} in {place}"
                )
                return

    def _watch(self, kind: Any, ending: str, asking: tuple[str, ...]) -> None:
        end = getattr(kind, ending)

        def ended(work: Any, *given: Any) -> None:
            # A pool of multiprocessing says whether it did well.
            did_well, error = (False, given[0]) if len(given) == 1 else given[1]
            is_told = getattr(work, "_error_callback", None) is not None
            if not (did_well or is_told) and len(self._failed) < _MOST:
                self._failed[id(work)] = error
            end(work, *given)

        setattr(kind, ending, ended)
        for name in asking:
            setattr(kind, name, self._asked(getattr(kind, name)))

    def _asked(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        def asked(work: Any, *arguments: Any, **options: Any) -> Any:
            try:
                return ask(work, *arguments, **options)
            finally:
                self._failed.pop(id(work), None)

        asked.__name__, asked.__doc__ = ask.__name__, ask.__doc__
        return asked


def _place(error: BaseException) -> str:
    """The line of the bundle's code that has raised it, also in another process."""
    with standard_library():
        import re
        import traceback

    text = "".join(traceback.format_tb(error.__traceback__)) + str(error.__cause__ or "")
    places = re.findall(r'File "([^"\n]+)", line (\d+)', text)
    own = [f"{os.path.basename(file)}:{line}" for file, line in places if is_of_bundle(file)]
    return own[-1] if own else ""
