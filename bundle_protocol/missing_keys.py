"""The keys that there are where one is missing: of the task's parameters, or of another dict.

Only the child can look: the dict is in the frame that failed.
"""

from __future__ import annotations

import linecache
import re

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from types import FrameType, TracebackType

_SUBSCRIPTED = re.compile(r"([A-Za-z_]\w{0,99}(?:\.[A-Za-z_]\w{0,99}){0,5})\s*(?:\[|\.pop\()")
_MAX_KEYS = 30
_MAX_KEY = 60


def other_keys(error: KeyError) -> dict[str, object]:
    """The dict that does not have a key, as far as the line that failed says which.

    :returns: ``mapping``, as the line calls it; ``keys``, one on each line, of those that are
        texts; ``of_task``, 1 where it is the task's parameters.
    """
    key = error.args[0]
    traceback = error.__traceback__
    if type(key) is not str or traceback is None:
        return {}
    first, last = _ends(traceback)
    frame = last.tb_frame
    text = linecache.getline(frame.f_code.co_filename, last.tb_lineno, frame.f_globals)
    for name in _SUBSCRIPTED.findall(text):
        found = _value(frame, name)
        if isinstance(found, dict) and not dict.__contains__(found, key):
            keys = [one for one in dict.keys(found) if type(one) is str]
            shown = [one[:_MAX_KEY].replace("\n", " ") for one in keys[:_MAX_KEYS]]
            return {
                "mapping": name,
                "keys": "\n".join(shown),
                "of_task": int(found is _parameters(first.tb_frame)),
            }
    return {}


def _ends(traceback: TracebackType) -> tuple[TracebackType, TracebackType]:
    """The wire function's own frame, or what else is the outermost, and the innermost one."""
    first: TracebackType | None = None
    while True:
        if first is None and not _is_ours(traceback.tb_frame):
            first = traceback
        if traceback.tb_next is None:
            return first or traceback, traceback
        traceback = traceback.tb_next


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return type(name) is str and name.partition(".")[0] == "bundle_protocol"


def _parameters(frame: FrameType) -> object:
    """The second argument of the outermost function, which the wire function's parameters are."""
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[1]) if code.co_argcount > 1 else None


def _value(frame: FrameType, dotted: str) -> object:
    name, *rest = dotted.split(".")
    value = frame.f_locals.get(name, frame.f_globals.get(name))
    for part in rest:
        # As it is stored: a property would run code.
        stored = getattr(value, "__dict__", None)
        value = stored.get(part) if type(stored) is dict else None
    return value
