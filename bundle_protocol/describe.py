"""An exception as plain data, whatever the code that raised it made of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import TracebackType

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

_MAX_MESSAGE = 16 * 1024
_MAX_TEXT = 4 * 1024
_MAX_NOTES = 20
_MAX_CAUSES = 10
_HALF_OF_FRAMES = 50

_ATTRIBUTES: tuple[tuple[type[BaseException], tuple[str, ...]], ...] = (
    (ImportError, ("name", "path")),
    (SyntaxError, ("msg", "filename", "lineno", "offset", "text")),
    (OSError, ("errno", "strerror", "filename", "filename2")),
    (NameError, ("name",)),
    (AttributeError, ("name",)),
)


def describe_exception(error: BaseException) -> dict[str, object]:
    """``error``, its traceback and its causes, as docs/protocol.md has them under "Exceptions".

    The frames of the import system and of this package are left out. All of it is bounded.
    """
    return _describe(error, seen=set())


def type_name(kind: type) -> str:
    """A class's name as its users write it: ``int``, ``pandas.core.frame.DataFrame``."""
    module = _module(kind)
    return f"{module}.{kind.__qualname__}" if module else kind.__qualname__


def summarize(error: BaseException) -> str:
    """One line: the type and the beginning of the message."""
    message = safe_str(error).strip().partition("\n")[0]
    name = type(error).__qualname__
    return clip(f"{name}: {message}" if message else name, 200)


def safe_str(value: object) -> str:
    """``str(value)``, or what went wrong in the ``__str__`` that the bundle's code defines."""
    return _converted(str, value)


def safe_repr(value: object) -> str:
    """``repr(value)``, likewise."""
    return _converted(repr, value)


def clip(text: str, length: int) -> str:
    """At most ``length`` characters of ``text``."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _describe(error: BaseException, seen: set[int]) -> dict[str, object]:
    seen.add(id(error))
    cause = _cause(error)
    is_last = cause is None or id(cause) in seen or len(seen) > _MAX_CAUSES
    traceback, omitted = _frames(error.__traceback__)
    return {
        "type": clip(type(error).__qualname__, _MAX_TEXT),
        "module": _module(type(error)),
        "message": clip(safe_str(error), _MAX_MESSAGE),
        "notes": _notes(error),
        "traceback": traceback,
        "frames_omitted": omitted,
        "attributes": _attributes(error),
        "cause": None if cause is None or is_last else _describe(cause, seen),
    }


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    if error.__context__ is not None and not error.__suppress_context__:
        return error.__context__
    # An exception group says only how many there are: the first is what went wrong first.
    members = _attribute(error, "exceptions")
    first = members[0] if isinstance(members, tuple) and members else None
    return first if isinstance(first, BaseException) else None


def _notes(error: BaseException) -> list[str]:
    notes = _attribute(error, "__notes__")
    if not isinstance(notes, (list, tuple)):
        return []
    return [clip(safe_str(note), _MAX_TEXT) for note in notes[:_MAX_NOTES]]


def _attributes(error: BaseException) -> dict[str, object]:
    found: dict[str, object] = {}
    for kind, names in _ATTRIBUTES:
        if isinstance(error, kind):
            found.update((name, _attribute(error, name)) for name in names)
    if isinstance(error, KeyError) and len(error.args) == 1:
        found["key"] = error.args[0]
    if isinstance(error, (ImportError, AttributeError)):
        found.update(_hiding(error))
    return {
        name: clip(value, _MAX_TEXT) if isinstance(value, str) else value
        for name, value in found.items()
        if type(value) is str or (type(value) is int and abs(value) < 2**63)
    }


def _frames(traceback: TracebackType | None) -> tuple[list[dict[str, object]], int]:
    entries = []
    while traceback is not None:
        if not _is_machinery(traceback.tb_frame.f_code.co_filename):
            entries.append(traceback)
        traceback = traceback.tb_next
    omitted = max(len(entries) - 2 * _HALF_OF_FRAMES, 0)
    if omitted:
        entries[_HALF_OF_FRAMES:-_HALF_OF_FRAMES] = []
    return [_frame(entry) for entry in entries], omitted


def _is_machinery(file: str) -> bool:
    return file.startswith((_HERE, "<frozen importlib._bootstrap")) or file == importlib.__file__


def _frame(entry: TracebackType) -> dict[str, object]:
    import linecache  # Needs tokenize, which only a failure is worth.

    code = entry.tb_frame.f_code
    # None where the instruction belongs to no line, from 3.11 on; typeshed does not say so.
    line: int | None = entry.tb_lineno
    try:
        text = linecache.getline(code.co_filename, line or 0, entry.tb_frame.f_globals).strip()
    except (SyntaxError, UnicodeError):
        text = (
            ""  # Before 3.10 for a file that is not Python in UTF-8: a Cython source, a template.
        )
    return {
        "file": clip(code.co_filename, _MAX_TEXT),
        "line": line,
        "function": clip(code.co_name, _MAX_TEXT),
        "text": clip(text, _MAX_TEXT) or None,
    }


def _module(kind: type) -> str | None:
    module = getattr(kind, "__module__", None)
    return module if isinstance(module, str) and module != "builtins" else None


# What follows runs code of the bundle, which may raise anything at all.


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except BaseException:  # noqa: BLE001
        return None


def _hiding(error: BaseException) -> dict[str, str]:
    from bundle_protocol.hiding import hiding  # Only a failure is worth it.

    try:
        return hiding(error, safe_str(error)[:_MAX_MESSAGE])
    except Exception:  # noqa: BLE001  # A path hook's, or that of a folder that may not be read.
        return {}


def _converted(convert: Callable[[object], str], value: object) -> str:
    try:
        return convert(value)
    except BaseException as error:  # noqa: BLE001
        return (
            f"<{convert.__name__}() of a {type(value).__qualname__} raised {type(error).__name__}>"
        )
