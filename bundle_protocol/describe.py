"""An exception as plain data, whatever the code that raised it made of it."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from types import TracebackType

from bundle_protocol.messages import ErrorCode, RequestError
from bundle_protocol.standard import standard_library, whole_path

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, TypeVar

    T = TypeVar("T")

_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep

_MAX_MESSAGE = 16 * 1024
_MAX_TEXT = 4 * 1024
_MAX_NOTES = 20
# A note that JAX adds to every exception, about its own tracebacks.
_OF_JAX = "JAX has removed its internal frames"
_MAX_SAID = 2 * 1024
_HALF_OF_CHAIN = 5
_MAX_MEMBERS = 5
_MAX_EXCEPTIONS = 40
_HALF_OF_FRAMES = 50
_SHOWN_REPEATS = 3
# A chain is followed that far to its root.
_LONGEST_CHAIN = 1_000_000

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
    try:
        return _describe_chain(error, told=set())
    except BaseException as failure:  # noqa: BLE001  # Its class may have overridden anything.
        kind, told = type(error), f"<its description raised {_name(type(failure))}>"
        return plain_exception(_name(kind), _module(kind), told)


def raised_error(code: ErrorCode, error: BaseException) -> RequestError:
    """The error answer about what the bundle's code raised.

    To be made and raised after the ``except`` that caught it, not within: before Python 3.9 any
    raise there hangs where the causes are a cycle (https://bugs.python.org/issue25782).
    """
    return RequestError(code, summarize(error), {"exception": describe_exception(error)})


def type_name(kind: type) -> str:
    """A class's name as its users write it: ``int``, ``pandas.core.frame.DataFrame``."""
    module = _module(kind)
    return f"{module}.{_name(kind)}" if module else _name(kind)


def with_article(name: str) -> str:
    """``an int``, ``a float``."""
    return ("an " if name[:1] in "aeioAEIO" else "a ") + name


def summarize(error: BaseException) -> str:
    """One line: the type and the beginning of the message."""
    message = safe_str(error).strip().partition("\n")[0]
    name = _name(type(error))
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


def limit_frames(frames: list[T]) -> tuple[list[T], int]:
    """The first and the last of them, and how many were left out of the middle."""
    omitted = max(len(frames) - 2 * _HALF_OF_FRAMES, 0)
    if omitted:
        frames = frames[:_HALF_OF_FRAMES] + frames[-_HALF_OF_FRAMES:]
    return frames, omitted


def _describe_chain(error: BaseException, told: set[int]) -> dict[str, object]:
    """``error`` with its causes: all of them, or those at both ends of a long chain.

    What began it stands at the far end, and is what a reader looks for.
    """
    links, seen = [error], {id(error)}
    while len(links) < _LONGEST_CHAIN:
        cause = _cause(links[-1])
        if cause is None or id(cause) in seen:
            break
        seen.add(id(cause))
        links.append(cause)
    omitted = max(len(links) - 2 * _HALF_OF_CHAIN, 0)
    if omitted:
        links[_HALF_OF_CHAIN:-_HALF_OF_CHAIN] = []
    told.update(map(id, links))
    described = None
    for number, link in reversed(list(enumerate(links))):
        this = _describe(link, told)
        this["cause"] = described
        this["causes_omitted"] = omitted if number == _HALF_OF_CHAIN - 1 else 0
        described = this
    assert described is not None
    return described


def _describe(error: BaseException, told: set[int]) -> dict[str, object]:
    traceback, omitted = _frames(error.__traceback__)
    members = [
        _describe_chain(member, told)
        for member in _members(error)[:_MAX_MEMBERS]
        if id(member) not in told and len(told) < _MAX_EXCEPTIONS
    ]
    return {
        **plain_exception(_name(type(error)), _module(type(error)), safe_str(error)),
        "notes": _notes(error),
        "traceback": traceback,
        "frames_omitted": omitted,
        "attributes": _attributes(error),
        "exceptions": members,
    }


def plain_exception(kind: str, module: str | None, message: str) -> dict[str, object]:
    """An exception of which no more is known; all that a description has."""
    return {
        "type": clip(kind, _MAX_TEXT),
        "module": module,
        "message": clip(message, _MAX_MESSAGE),
        "notes": [],
        "traceback": [],
        "frames_omitted": 0,
        "attributes": {},
        "cause": None,
        "causes_omitted": 0,
        "exceptions": [],
    }


def _cause(error: BaseException) -> BaseException | None:
    cause = error.__cause__
    if cause is None:
        cause = error.__context__
        # "from None" hides what the author thinks is of no interest. That a module is missing is.
        if error.__suppress_context__ and not isinstance(cause, ImportError):
            return None
    # What was caught to be raised in a group is told as the group's member.
    return None if any(cause is member for member in _members(error)) else cause


def _members(error: BaseException) -> tuple[BaseException, ...]:
    """Return the members of an exception group (PEP 654), also of the backport's."""
    members = _attribute(error, "exceptions")
    if not isinstance(members, tuple):
        return ()  # Another class that has an attribute of that name.
    return tuple(member for member in members if isinstance(member, BaseException))


def _notes(error: BaseException) -> list[str]:
    notes = _attribute(error, "__notes__")
    if not isinstance(notes, (list, tuple)):
        return []
    texts = [clip(safe_str(note), _MAX_TEXT) for note in notes[:_MAX_NOTES]]
    return [text for text in texts if _OF_JAX not in text]


def _attributes(error: BaseException) -> dict[str, object]:
    found: dict[str, object] = {}
    for kind, names in _ATTRIBUTES:
        if isinstance(error, kind):
            found.update((name, _attribute(error, name)) for name in names)
    if isinstance(error, SyntaxError) and isinstance(found["filename"], str):
        found["filename"] = whole_path(found["filename"])
    if isinstance(error, KeyError) and len(error.args) == 1:
        found["key"] = error.args[0]
    found.update(_there_instead(error))
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str):
        found.update(_link_to_nothing(error.filename))
    if isinstance(error, (ImportError, AttributeError, NameError, TypeError)):
        found.update(_hiding(error))
    if _name(type(error)) == "CalledProcessError":
        found.update(_said_by_program(error))
    return {
        name: clip(value, _MAX_TEXT) if isinstance(value, str) else value
        for name, value in found.items()
        if type(value) is str or (type(value) is int and abs(value) < 2**63)
    }


def _link_to_nothing(file: str) -> dict[str, object]:
    """Tell where a link leads that leads to no file."""
    try:
        return {"links_to": os.path.realpath(file)} if os.path.islink(file) else {}
    except (OSError, ValueError):
        return {}


def _said_by_program(error: BaseException) -> dict[str, object]:
    """The end of what a program wrote that failed, where the code has captured it."""
    said = {name: _attribute(error, name) for name in ("output", "stderr")}
    return {
        name: (
            text[-_MAX_SAID:].decode("utf-8", "replace")
            if isinstance(text, bytes)
            else text[-_MAX_SAID:]
        )
        for name, text in said.items()
        if isinstance(text, (bytes, str)) and text
    }


def _frames(traceback: TracebackType | None) -> tuple[list[dict[str, object]], int]:
    entries: list[tuple[TracebackType, int]] = []
    repeats, last = 0, None
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not _is_machinery(code.co_filename):
            # As Python prints a recursion: the first few, and how many more there were.
            place = (code, traceback.tb_lineno)
            repeats = repeats + 1 if place == last else 0
            if repeats < _SHOWN_REPEATS:
                entries.append((traceback, 0))
            else:
                entries[-1] = (entries[-1][0], repeats - _SHOWN_REPEATS + 1)
            last = place
        traceback = traceback.tb_next
    entries, omitted = limit_frames(entries)
    with standard_library():  # linecache needs tokenize, each time from 3.13 on.
        return [_frame(entry, repeated) for entry, repeated in entries], omitted


def _is_machinery(file: str) -> bool:
    return file.startswith((_HERE, "<frozen importlib._bootstrap")) or file == importlib.__file__


def _frame(entry: TracebackType, repeated: int) -> dict[str, object]:
    frame = entry.tb_frame
    described = describe_place(frame.f_code, entry.tb_lineno, frame.f_globals)
    return {**described, "repeated": repeated} if repeated else described


def describe_place(
    code: CodeType, line: int | None, variables: dict[str, Any]
) -> dict[str, object]:
    """A line of code, as a traceback has it: ``file``, ``line``, ``function``, ``text``.

    :param line: None where the instruction belongs to none, from 3.11 on.
    :param variables: the module's.
    """
    file = whole_path(code.co_filename)
    try:
        import linecache  # Needs tokenize, which only a failure is worth.

        text = linecache.getline(file, line or 0, variables).strip()
    except (SyntaxError, UnicodeError):
        text = (
            ""  # Before 3.10 for a file that is not Python in UTF-8: a Cython source, a template.
        )
    # A library had imported it, with a tokenize.py of the bundle; or this process has become a user
    # who may not read the standard library.
    except Exception:  # noqa: BLE001
        text = _line(file, line or 0)
    return {
        "file": clip(file, _MAX_TEXT),
        "line": line,
        "function": clip(code.co_name, _MAX_TEXT),
        "text": clip(text, _MAX_TEXT) or None,
    }


def _line(file: str, number: int) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return next((text for at, text in enumerate(stream, 1) if at == number), "").strip()
    except OSError:
        return ""


def _name(kind: type) -> str:
    # The descriptor itself: a metaclass may define an attribute of that name.
    name: str = type.__dict__["__qualname__"].__get__(kind)
    return name


def _module(kind: type) -> str | None:
    try:
        module = kind.__module__
    except BaseException:  # noqa: BLE001  # A metaclass's.
        return None
    return module if type(module) is str and module != "builtins" else None


# What follows runs code of the bundle, which may raise anything at all.


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except BaseException:  # noqa: BLE001
        return None


def _hiding(error: BaseException) -> dict[str, str]:
    try:
        with standard_library("bundle_protocol.hiding"):
            from bundle_protocol.hiding import hiding, misled  # Only a failure is worth it.

        found = hiding(error, safe_str(error)[:_MAX_MESSAGE])
        return found if "hidden_file" in found else {**found, **misled(error)}
    except Exception:  # noqa: BLE001  # A path hook's, or that of a folder that may not be read.
        return {}


def _there_instead(error: BaseException) -> dict[str, object]:
    """Tell what there is in place of a key or a name that is missing, or of a file's content."""
    if error.__traceback__ is None:
        return {}
    try:
        with standard_library():  # linecache needs tokenize.
            # Only a failure is worth it.
            from bundle_protocol.failing_line import FailingLine
            from bundle_protocol.line_values import line_values
            from bundle_protocol.misread_files import misread_file
            from bundle_protocol.missing_keys import other_keys
            from bundle_protocol.missing_names import other_names
            from bundle_protocol.missing_tables import missing_table
            from bundle_protocol.refused_texts import near_text
            from bundle_protocol.returning_nothing import returns_nothing

            at = FailingLine(error)
            names = other_names(at) or missing_table(at)
            if len(names) > 1:
                return names
            names = {**names, **returns_nothing(at), **near_text(at)}
            return {**names, **(other_keys(at) or misread_file(at) or line_values(at))}
    except BaseException:  # noqa: BLE001  # An object's own __dict__, columns or keys() may raise.
        return {}


def _converted(convert: Callable[[object], str], value: object) -> str:
    try:
        # Of a subclass of str with a len() of its own, a plain str.
        return str.__str__(convert(value))
    except BaseException as error:  # noqa: BLE001
        return f"<{convert.__name__}() of a {_name(type(value))} raised {_name(type(error))}>"
