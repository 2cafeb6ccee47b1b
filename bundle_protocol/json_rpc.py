"""JSON-RPC 2.0 as the child speaks it: requests read and checked, answers written (sans-IO)."""

from __future__ import annotations

import json

from bundle_protocol.messages import MAX_MESSAGE_BYTES, ErrorCode, RequestError, to_json

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

_from_json = json.JSONDecoder().raw_decode


def read_request(body: bytes) -> dict[str, object]:
    """Reads one message; ``method`` is a string in it, ``id`` a string or an integer where it is.

    :raises RequestError: PARSE_ERROR, it is not JSON; INVALID_REQUEST, it is not a request.
    """
    try:
        text = body.decode().strip(" \t\r\n")
        message, end = _from_json(text)
        if end != len(text):
            raise ValueError(f"there is more after its end, at character {end}")
    except (ValueError, RecursionError) as error:
        raise RequestError(ErrorCode.PARSE_ERROR, f"the body is not JSON: {error}") from error
    if (
        not isinstance(message, dict)
        or message.get("jsonrpc") != "2.0"
        or not isinstance(message.get("method"), str)
        or not isinstance(message.get("id", ""), (str, int))
    ):
        raise RequestError(ErrorCode.INVALID_REQUEST, "the body is not a JSON-RPC 2.0 request")
    return message


def answer(request_id: object, member: str, value: str) -> bytes:
    """Writes an answer.

    :param member: ``result`` or ``error``.
    :param value: JSON.
    :raises RequestError: MESSAGE_TOO_LARGE.
    """
    own = request_id if type(request_id) is int else to_json(request_id)
    return encode(f'{{"jsonrpc":"2.0","id":{own},"{member}":{value}}}')


def encode(text: str) -> bytes:
    """Writes a message that is JSON already.

    :raises RequestError: MESSAGE_TOO_LARGE.
    """
    # A lone surrogate, out of a file's name or a message, is not Unicode: parsers refuse it.
    body = text.encode("utf-8", "replace")
    if len(body) > MAX_MESSAGE_BYTES:
        raise RequestError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the answer has {len(body)} bytes, over the limit of {MAX_MESSAGE_BYTES}",
            {"bytes": len(body), "limit": MAX_MESSAGE_BYTES},
        )
    return body


def required(params: dict[str, object], name: str, kind: type[T]) -> T:
    """Gives a parameter.

    :raises RequestError: INVALID_PARAMS, it is not there or of another type.
    """
    value = params.get(name)
    # Not isinstance: JSON's true is not an integer, though Python's is.
    if type(value) is not kind:
        kinds = {str: "a string", int: "an integer", bool: "a boolean", dict: "an object"}
        raise RequestError(
            ErrorCode.INVALID_PARAMS,
            f"{name} must be {kinds.get(kind, 'an array')}, not {json.dumps(value)[:100]}",
        )
    return value


def optional(params: dict[str, object], name: str, kind: type[T]) -> T | None:
    """Gives a parameter, or None where it is left out or null; raises as :func:`required`."""
    return None if params.get(name) is None else required(params, name, kind)
