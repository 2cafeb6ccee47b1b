"""An exception that the bundle's code caught and returned as an output, read back from its text."""

from __future__ import annotations

import binascii
import builtins
import json
import re

from bundle_protocol.describe import clip, limit_frames, plain_exception

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from bundle_protocol.bulk import Buffer

_MAX_BYTES = 256 * 1024
_MAX_LINE = 4 * 1024
_HALF_OF_CHAIN = 5
_MAX_PROSE = 1000
_MAX_ASIDE = 64 * 1024
_MAX_MANY = 100
# Of 12 bytes at least: shorter ones are words.
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4}\s?){3,}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")

# What is between two tracebacks of a chain, in the words of the module traceback.
_JOINTS = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_HEADER = "Traceback (most recent call last):"
_FRAME = re.compile(r'\s{1,8}File "(.{1,4096}?)", line (\d{1,9})(?:, in (.{1,1000}))?$')
_REPEATED = re.compile(r"\s{1,8}\[Previous line repeated (\d{1,9}) more times?\]$")
_RAISED = re.compile(r"((?:[\w<>]{1,100}\.){0,20}\w{1,200})(?:: ?(.*))?$", re.DOTALL)
_REPR = re.compile(r"(\w{1,200})\((.{0,10000}?),?\)$", re.DOTALL)
# The border that Python draws around the members of an exception group.
_BORDER = re.compile(r"\s{0,40}[|+][-+ |]{0,40}(?=\S|$)")
_NUMBER = re.compile(r"[\s\d.,:;eE%+/()-]{0,200}(?:nan|inf)?$")

# Messages of Python's that say by themselves what raised them.
_WORDS = {
    "No module named ": "ModuleNotFoundError",
    "cannot import name ": "ImportError",
    ": cannot open shared object file": "ImportError",
    ": undefined symbol: ": "ImportError",
}
_MISSING = re.compile(r"No module named '([\w.]{1,200})'")

_TYPE_KEYS = ("type", "error_type", "exception_type", "exc_type", "exception", "error", "name")
_MESSAGE_KEYS = ("message", "error_message", "msg", "detail", "error", "exception", "reason")
_TRACEBACK_KEYS = ("traceback", "stacktrace", "stack_trace", "stack", "trace", "tb")


def returned_error(
    name: str, data: Buffer, others: list[int]
) -> tuple[dict[str, object], bool] | None:
    """The exception that an output holds, as docs/protocol.md has them under "Exceptions".

    A traceback is one, ``ValueError: ...``, and a JSON object that says as much. A number, a table
    and any other data are none, and nor is an empty output. Whether it makes the task a failure:
    what stands beside results may be about what a model has dealt with.

    :param name: the output's, without its ending.
    :param data: the output; of one over 256 KiB only its ends are looked at.
    :param others: the sizes of the other outputs. Where they hold nothing, plain words are an
        error's: they are what ``str(error)`` leaves of one.
    """
    empty = not any(others)
    if name in ("error", "errors"):
        found = _in_text(_text(data), empty)
        return None if found is None else (found, True)
    if name not in ("metadata", "status") or len(data) > _MAX_ASIDE:
        return None
    value = _json(_text(data))
    if not isinstance(value, dict):
        return None
    # Without another output, "error" may say in words how the model deals with errors.
    found = _of_json(value, empty and bool(others), aside=True)
    return None if found is None else (found, empty or bool(found["traceback"]))


def _text(data: Buffer) -> str:
    if len(data) > _MAX_BYTES:
        data = bytes(data[: _MAX_BYTES // 2]) + b"\n" + bytes(data[-_MAX_BYTES // 2 :])
    return bytes(data).decode("utf-8", "replace").strip()


def _in_text(text: str, alone: bool) -> dict[str, object] | None:
    if not text or "\0" in text:
        return None
    value = _json(text)
    if isinstance(value, (dict, list, str)):
        return _of_many(value, alone) if isinstance(value, list) else _of_json(value, alone)
    return _of_text(text) or (_exception("", text) if alone and _is_prose(text) else None)


def _json(text: str) -> object:
    """A JSON object, array or string, or the base64 of one; else None."""
    if _BASE64.match(text):
        try:
            text = binascii.a2b_base64(text).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            return None
    if text[:1] not in ("{", "[", '"'):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None  # It is text that begins so.


def _of_many(values: list[object], alone: bool) -> dict[str, object] | None:
    """The first of several, where all of them are errors: a table's rows are not."""
    told = [_of_json(value, alone) for value in values[:_MAX_MANY]]
    return told[0] if told and all(told) else None


def _of_json(value: object, alone: bool, aside: bool = False) -> dict[str, object] | None:
    if isinstance(value, str):
        return _of_text(value) or (_exception("", value) if alone and _is_prose(value) else None)
    if not isinstance(value, dict):
        return None
    for key in ("error", "exception"):
        if isinstance(value.get(key), dict):
            return _of_json({**value, **value[key], key: None}, alone)
    many = value.get("errors")
    if isinstance(many, list) and many:
        return _of_many(many, alone)
    traceback = _first(value, _TRACEBACK_KEYS)
    told = _of_text(traceback) if _HEADER in traceback else None
    if told is not None:
        return told
    # The "type" and the "message" of metadata may be of anything.
    telling = any(value.get(key) for key in ("error", "exception", *_TRACEBACK_KEYS)) or any(
        _is_type(value.get(key)) for key in ("type", "error_type", "exception_type")
    )
    status = str(value.get("status"))
    message = _first(value, _MESSAGE_KEYS)
    failed = None
    if alone and status.lower() in ("error", "failed", "failure"):
        # Whatever it says besides, be it a word or nothing: nothing else was made.
        failed = _exception("", message or traceback or f"status: {status}")
    if aside and not telling:
        return failed
    kind = next((_first(value, (key,)) for key in _TYPE_KEYS if _is_type(value.get(key))), "")
    if kind:
        return _exception(kind, "" if message == kind else message)
    told = _of_text(message)
    if (
        told is None
        and (alone or not aside)
        and any(_is_prose(value.get(key)) for key in ("error", "exception"))
    ):
        told = _exception("", _first(value, ("error", "exception")))
    return told or failed


def _first(value: dict[str, object], keys: tuple[str, ...]) -> str:
    """The first of these members that is text, or lines of it."""
    for key in keys:
        found = value.get(key)
        if isinstance(found, list) and all(isinstance(line, str) for line in found):
            found = "\n".join(line.rstrip("\n") for line in found)
        if isinstance(found, str) and found:
            return found
    return ""


def _of_text(text: str) -> dict[str, object] | None:
    text = text.strip()
    if _HEADER in text:
        return _of_traceback(text)
    found = _RAISED.match(text)
    if found and _is_raised(found[1], found[2]):
        return _exception(found[1], found[2] or "")
    found = _REPR.match(text)
    if found and _is_type(found[1]):
        message = found[2]
        quoted = len(message) > 1 and message[0] in "'\"" and message[-1] == message[0]
        return _exception(found[1], message[1:-1] if quoted else message)
    for words, kind in _WORDS.items():
        if words in text[:_MAX_PROSE] and "\n" not in text:
            return _exception(kind, text)
    return None


def _is_type(name: object) -> bool:
    if not isinstance(name, str) or not re.match(r"[A-Za-z_][\w.]{0,500}$", name):
        return False
    last = name.rpartition(".")[2]
    return _is_builtin(last) or (last[0] in "_ABCDEFGHIJKLMNOPQRSTUVWXYZ" and _ends_so(last))


def _ends_so(name: str) -> bool:
    return name.endswith(("Error", "Exception")) and name not in ("Error", "Exception")


def _is_builtin(name: str) -> bool:
    kind = getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def _is_raised(name: str, message: str | None) -> bool:
    """``ValueError: ...``, and not ``StandardError: 0.03``, which is a measure."""
    if _is_builtin(name):
        return True
    return bool(message) and _is_type(name) and not _NUMBER.match(message or "")


def _is_prose(text: object) -> bool:
    """Words in a line, as a message has them and neither a number nor a table has."""
    if not isinstance(text, str) or len(text) > _MAX_PROSE or "\n" in text.strip():
        return False
    words = text.split()
    quoted = len(words) == 1 and re.match(r"'\w{1,200}'$", words[0])  # str() of a KeyError
    letters = sum(any(character.isalpha() for character in word) for word in words)
    return bool(quoted) or letters > 1


def _of_traceback(text: str) -> dict[str, object] | None:
    """The last of a chain of tracebacks, with the others as its causes."""
    lines = text.splitlines()
    group = "Exception Group Traceback" in text
    if group:
        lines = [_BORDER.sub("", line, count=1) for line in lines]
    starts = [number for number, line in enumerate(lines) if line.strip().endswith(_HEADER)]
    sections = list(zip(starts, [*starts[1:], len(lines)]))  # noqa: B905  # Python 3.8.
    # A group comes before its members, a cause before what it led to.
    sections = sections[1::-1] if group else sections
    if len(sections) > 2 * _HALF_OF_CHAIN:
        sections[_HALF_OF_CHAIN:-_HALF_OF_CHAIN] = []
    described = None
    for start, end in sections:
        section = _of_section(lines[start + 1 : end])
        if section is not None:
            section["cause"] = described
            described = section
    return described


def _of_section(lines: list[str]) -> dict[str, object] | None:
    """One traceback, from the line after its header on."""
    frames: list[dict[str, object]] = []
    attributes: dict[str, object] = {}
    for number, line in enumerate(lines):
        frame, repeated = _FRAME.match(line), _REPEATED.match(line)
        if frame and frame[3] is None:
            attributes = {"filename": frame[1], "lineno": int(frame[2])}
            attributes["text"] = clip("".join(lines[number + 1 : number + 2]).strip(), _MAX_LINE)
        elif frame:
            frames.append(
                {"file": frame[1], "line": int(frame[2]), "function": frame[3], "text": None}
            )
        elif repeated and frames:
            frames[-1]["repeated"] = int(repeated[1])
        elif line.startswith("    ") and frames and frames[-1]["text"] is None:
            frames[-1]["text"] = clip(line.strip(), _MAX_LINE)
        elif line and not line[0].isspace() and (found := _RAISED.match(line)):
            message = [found[2] or "", *lines[number + 1 :]]
            end = next((i for i, one in enumerate(message) if one in _JOINTS), len(message))
            kept, omitted = limit_frames(frames)
            return {
                **_exception(found[1], "\n".join(message[:end]).strip()),
                "traceback": kept,
                "frames_omitted": omitted,
                **({"attributes": attributes} if attributes else {}),
            }
    return None


def _exception(kind: str, message: str) -> dict[str, object]:
    module, _, name = kind.rpartition(".")
    missing = _MISSING.search(message[:_MAX_PROSE])
    described = plain_exception(name, module or None, message)
    if missing and name == "ModuleNotFoundError":
        described["attributes"] = {"name": missing[1]}
    return described
