"""What a wire function returned, as the answer to ``execute`` carries it."""

from __future__ import annotations

import binascii
import hashlib
import itertools
import os

from bundle_protocol.describe import clip, describe_exception, safe_repr, summarize, type_name
from bundle_protocol.messages import INLINE_BYTES, MAX_MESSAGE_BYTES, ErrorCode, RequestError

_MAX_OFFENDING = 20
_MAX_NAME = 200

_serial = itertools.count(1)


def encode_outputs(result: object, exchange: str | None) -> list[dict[str, object]]:
    """One entry for each output, in order, with its bytes inline or in a file.

    Args:
        result: what the wire function returned.
        exchange: the folder for outputs over ``INLINE_BYTES``; without one all travel inline.

    Raises:
        RequestError: ``RESULT_INVALID``, ``MESSAGE_TOO_LARGE``, or ``INTERNAL_ERROR`` when the
            exchange folder could not be written. No file is left behind then.
    """
    outputs = _checked(result)
    inline = {
        name: data
        for name, data in outputs.items()
        if exchange is None or len(data) <= INLINE_BYTES
    }
    _check_total(inline)
    entries: list[dict[str, object]] = []
    written: list[str] = []
    for name, data in outputs.items():
        entry: dict[str, object] = {
            "name": name,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        if exchange is None or name in inline:
            entry["data"] = binascii.b2a_base64(data, newline=False).decode("ascii")
        else:
            file = f"{os.getpid()}-{next(_serial)}"
            try:
                _write(data, os.path.join(exchange, file), written)
            except OSError as error:
                for path in written:
                    os.unlink(path)
                raise RequestError(
                    ErrorCode.INTERNAL_ERROR,
                    f"output {name!r} ({len(data)} bytes) cannot be written to the exchange folder "
                    f"{exchange}: {summarize(error)}",
                    {"exception": describe_exception(error)},
                ) from error
            entry["file"] = file
        entries.append(entry)
    return entries


def _checked(result: object) -> dict[str, bytes]:
    if not isinstance(result, dict):
        kind = type_name(type(result))
        raise RequestError(
            ErrorCode.RESULT_INVALID,
            f"the wire function returned a {kind}, not a dict of str to bytes",
            {"returned": kind, "offending": []},
        )
    offending = [problem for name, value in result.items() for problem in _problems(name, value)]
    if offending:
        listed = "; ".join(_sentence(problem) for problem in offending[:_MAX_OFFENDING])
        more = len(offending) - _MAX_OFFENDING
        raise RequestError(
            ErrorCode.RESULT_INVALID,
            listed + (f"; and {more} more" if more > 0 else ""),
            {"returned": type_name(type(result)), "offending": offending[:_MAX_OFFENDING]},
        )
    if not result:
        raise RequestError(
            ErrorCode.RESULT_INVALID,
            "the wire function returned no outputs",
            {"returned": type_name(type(result)), "offending": []},
        )
    outputs = {name: bytes(value) for name, value in result.items()}
    _check_for_errors(outputs)
    return outputs


def _check_for_errors(outputs: dict[str, bytes]) -> None:
    """An exception returned as ``error`` or ``error.json`` is told as what it is: no result."""
    named = [name for name in outputs if name.partition(".")[0] == "error"]
    if not named:
        return
    from bundle_protocol.returned_errors import returned_error  # Its patterns take 5 ms.

    for name in named:
        error = returned_error(outputs[name], alone=len(outputs) == 1)
        if error is not None:
            words = ": ".join(str(error[part]) for part in ("type", "message") if error[part])
            raise RequestError(
                ErrorCode.RESULT_INVALID,
                f"output {clip(name, _MAX_NAME)!r} holds an exception: {clip(words, _MAX_NAME)}",
                {"returned": "dict", "offending": [], "exception": error},
            )


def _problems(name: object, value: object) -> list[dict[str, object]]:
    """What is wrong with one item: ``part`` says of which part of it ``type`` is the type."""
    problems: list[dict[str, object]] = []
    valid = isinstance(name, str) and _is_unicode(name)
    shown = clip(str(name) if valid else safe_repr(name), _MAX_NAME)
    if not valid:
        problems.append({"name": shown, "part": "name", "type": type_name(type(name))})
    if not isinstance(value, (bytes, bytearray, memoryview)):
        problems.append({"name": shown, "part": "value", "type": type_name(type(value))})
    return problems


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False  # A lone surrogate, which JSON cannot hold.
    return True


def _sentence(problem: dict[str, object]) -> str:
    name, kind = problem["name"], problem["type"]
    if problem["part"] == "value":
        return f"output '{name}' is a {kind}, not bytes"
    if kind == "str":
        return f"the name {name} is not valid Unicode"
    return f"the name {name} is a {kind}, not a str"


def _check_total(inline: dict[str, bytes]) -> None:
    """Before base64 makes a third more of it, in memory that may not be there."""
    total = sum(4 * ((len(data) + 2) // 3) for data in inline.values())
    if total > MAX_MESSAGE_BYTES:
        largest = sorted(inline, key=lambda name: len(inline[name]), reverse=True)[:_MAX_OFFENDING]
        listed = ", ".join(f"{name!r} {len(inline[name])}" for name in largest)
        raise RequestError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the outputs have {total} bytes as base64, over the limit of {MAX_MESSAGE_BYTES} for "
            f"an answer; the largest, in bytes: {listed}",
            {
                "bytes": total,
                "limit": MAX_MESSAGE_BYTES,
                "outputs": [{"name": name, "size": len(inline[name])} for name in largest],
            },
        )


def _write(data: bytes, path: str, written: list[str]) -> None:
    with open(path, "xb") as file:
        written.append(path)
        file.write(data)
