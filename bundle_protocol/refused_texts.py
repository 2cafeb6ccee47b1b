"""A text that a library refuses, and the nearest of those that its code has.

Libraries look for ``"BFGS"`` among texts that stand in their code, or in a list beside it, and most
say only that they know no ``"BFSG"``.
"""

from __future__ import annotations

import re

from bundle_protocol.failing_line import FailingLine
from bundle_protocol.near_names import nearest

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_QUOTED = re.compile(r"(['\"])([\w .:-]{3,40})\1")
_NEAR = 0.8
_MOST_FRAMES = 20
_MOST_TEXTS = 20_000
_MOST_ITEMS = 500


def near_text(at: FailingLine) -> dict[str, object]:
    """Tell what is near to the one text of the bundle's line that a library's message repeats.

    :returns: ``refused`` and ``near_text``.
    """
    if isinstance(at.error, (OSError, ImportError, NameError)):
        return {}
    written = {found[2] for found in _QUOTED.finditer(at.text)}
    refused = [one for one in written if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", at.message)]
    # Only what the library was handed is refused by it: float("nan") hands over no text.
    frames = at.inner[:_MOST_FRAMES]
    handed = [one for frame in frames for one in frame.f_locals.values()]
    if len(refused) != 1 or not any(type(one) is str and one == refused[0] for one in handed):
        return {}
    there = set[str]()
    for frame in frames:
        there.update(_texts(frame))
        if len(there) > _MOST_TEXTS:
            break
    name = refused[0]
    alike = {one.casefold(): one for one in sorted(there) if one != name}
    if name.casefold() in alike:
        return {"refused": name, "near_text": alike[name.casefold()]}
    if name in there:
        return {}  # It knows it, and refuses it for another reason.
    same = [one for one in alike if sorted(one) == sorted(name.casefold())]
    near = same or nearest(name.casefold(), alike, cutoff=_NEAR)
    return {"refused": name, "near_text": alike[near[0]]} if near else {}


def _texts(frame: FrameType) -> Iterator[str]:
    """The texts of a library's function, and of the lists and dicts beside it."""
    for value in frame.f_code.co_consts:
        yield from [value] if type(value) is str else _items(value)
    for names in (frame.f_locals, frame.f_globals):
        for name, value in list(names.items()):
            if name != "__builtins__":
                yield from _items(value)


def _items(value: object) -> Iterator[str]:
    if type(value) in (list, tuple, set, frozenset, dict) and len(value) <= _MOST_ITEMS:  # type: ignore[arg-type]
        for one in list(value):  # type: ignore[call-overload]
            if type(one) is str and len(one) <= _MOST_ITEMS:
                yield one
