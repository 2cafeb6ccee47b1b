"""Encodes what a wire function returned, as the answer to ``execute`` carries it."""

from __future__ import annotations

import binascii
import errno
import json
import os
import resource
from collections.abc import Mapping
from contextlib import suppress

from bundle_protocol.describe import (
    clip,
    describe_exception,
    safe_repr,
    safe_str,
    summarize,
    type_name,
    with_article,
)
from bundle_protocol.messages import (
    INLINE_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_OUTPUTS,
    ErrorCode,
    RequestError,
    to_json,
)
from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from bundle_protocol.bulk import Buffer
    from bundle_protocol.transport import Transport

_MAX_OFFENDING = 20
# Far from the limit of an answer, each being at most INLINE_BYTES long.
_PLAIN_OUTPUTS = 64
_MAX_NAME = 200
# How the names begin that an exception is returned by: error, errors, metadata, status.
_TELLING = ("error", "metad", "statu")

_quoted = json.encoder.encode_basestring_ascii


def encode_outputs(
    result: object,
    transport: Transport,
    exchange: str | None,
    request_id: object,
    note: Callable[[str], None],
    function: object = None,
) -> str:
    """JSON of one record for each output, in order, with its bytes or where they are on their way.

    :param result: what the wire function returned.
    :param transport: its socket takes outputs over ``INLINE_BYTES``, if it has one.
    :param exchange: the folder for them where there is no such socket; without either, all are
        inline.
    :param request_id: of the request that the records answer.
    :param note: told what is not a failure and may yet surprise.
    :param function: the wire function, whose line is told that returns what is no result.
    :raises RequestError: ``RESULT_INVALID``, ``MESSAGE_TOO_LARGE``, or ``INTERNAL_ERROR`` when the
        exchange folder could not be written.
    """
    plain = _plain_records(result)
    if plain is not None:
        return plain
    try:
        outputs = _checked(result, note)
        _check_for_errors(outputs, note)
    except RequestError as error:
        with standard_library("bundle_protocol.returning_lines"):
            from bundle_protocol.returning_lines import add_returning_line  # ast takes 5 ms

        add_returning_line(error, function)
        raise
    _note_empty(outputs, note)
    _note_not_finite(outputs, note)
    records: dict[str, dict[str, object]] = {}
    if any(len(data) > INLINE_BYTES for data in outputs.values()):
        records = _sent(outputs, transport, exchange, request_id)
    inline = {name: data for name, data in outputs.items() if name not in records}
    _check_total(inline)
    for name, data in inline.items():
        text = binascii.b2a_base64(data, newline=False).decode("ascii")
        records[name] = {"crc32": binascii.crc32(data), "data": text}
    return to_json(
        [{"name": name, "size": len(outputs[name]), **records[name]} for name in outputs]
    )


def _plain_records(result: object) -> str | None:
    """The records of what nearly every task returns: a few small ones with plain names.

    Only for speed: a small task spends a fifth of its time on the way below.
    """
    if type(result) is not dict or not 0 < len(result) <= _PLAIN_OUTPUTS:
        return None
    records = []
    for name, data in result.items():
        if (
            type(name) is not str
            or type(data) is not bytes
            or len(data) > INLINE_BYTES
            or not name.isascii()
            or not data
            or name[:5] in _TELLING
            or (name[-5:] == ".json" and _not_finite(data))
        ):
            return None
        text = binascii.b2a_base64(data, newline=False).decode("ascii")
        records.append(
            f'{{"name":{_quoted(name)},"size":{len(data)},"crc32":{binascii.crc32(data)},'
            f'"data":"{text}"}}'
        )
    return f"[{','.join(records)}]"


def _not_finite(data: Buffer) -> str | None:
    """The number that no JSON has and Python's writes, where one is in it."""
    if type(data) is not bytes or len(data) > INLINE_BYTES:
        return None
    if b"NaN" not in data and b"Infinity" not in data:
        return None
    found: list[str] = []
    with suppress(ValueError, RecursionError):
        json.loads(data, parse_constant=found.append)
        return found[0] if found else None
    return None


def plain_bytes(value: object) -> Buffer:
    """The bytes of any buffer, without a copy where they lie in one piece.

    :raises TypeError: it is not a buffer.
    """
    if type(value) is bytes:
        return value
    view = memoryview(value)  # type: ignore[arg-type]  # A TypeError, if it is none.
    if view.nbytes and view.c_contiguous:
        with suppress(ValueError):  # A format that struct does not know, as of a record array.
            return view.cast("B")
    return view.tobytes()


def _sent(
    outputs: dict[str, Buffer], transport: Transport, exchange: str | None, request_id: object
) -> dict[str, dict[str, object]]:
    """Sends the large outputs beside the transport; what their records say of it."""
    try:
        with standard_library("bundle_protocol.bulk"):
            from bundle_protocol import bulk
    except ImportError:
        # The task has become a user who may not read the modules (setuid): in the message, then.
        return {}

    sent: dict[str, dict[str, object]] = {}
    with transport.bulk_socket() as socket:
        for index, (name, data) in enumerate(outputs.items()):
            if len(data) <= INLINE_BYTES:
                continue
            try:
                where = bulk.send(data, socket, exchange, request_id, index)
            except OSError as error:
                _remove(exchange, sent)
                told = f"output {name!r} ({len(data)} bytes)"
                why = f"cannot be written to the exchange folder {exchange}: {summarize(error)}"
                if error.errno == errno.EFBIG:
                    most = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
                    why = f"is more than a file may have (RLIMIT_FSIZE, ulimit -f): {most} bytes"
                raise RequestError(
                    ErrorCode.INTERNAL_ERROR,
                    f"{told} {why}",
                    {"exception": describe_exception(error)},
                ) from error
            if where is not None:
                sent[name] = where
    return sent


def _remove(exchange: str | None, sent: dict[str, dict[str, object]]) -> None:
    for record in sent.values():
        if exchange is not None and "file" in record:
            with suppress(OSError):  # The folder itself may be gone.
                os.unlink(os.path.join(exchange, str(record["file"])))


def _checked(returned: object, note: Callable[[str], None]) -> dict[str, Buffer]:
    result = _as_dict(returned)
    if result is None:
        what = with_article(type_name(type(returned)))
        what = "None, as without a `return`" if returned is None else what
        if isinstance(returned, (list, tuple)) and any(
            isinstance(one, (dict, bytes)) for one in returned[:5]
        ):
            what += (
                f" of {' and '.join(with_article(type_name(type(one))) for one in returned[:5])}"
            )
        raise _invalid(returned, f"the wire function returned {what}, not a dict of str to bytes")
    result = _encoded_values(result, note)
    offending = [problem for name, value in result.items() for problem in _problems(name, value)]
    if offending:
        listed = "; ".join(_sentence(problem) for problem in offending[:_MAX_OFFENDING])
        more = len(offending) - _MAX_OFFENDING
        listed += f"; and {more} more" if more > 0 else ""
        raise _invalid(returned, listed, offending[:_MAX_OFFENDING])
    if not result:
        raise _invalid(returned, "the wire function returned no outputs")
    if len(result) > MAX_OUTPUTS:
        raise RequestError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the wire function returned {len(result)} outputs, over the limit of {MAX_OUTPUTS}:"
            " put several into one",
            {"bytes": len(result), "limit": MAX_OUTPUTS},
        )
    return {
        name: value if type(value) is bytes else plain_bytes(value)
        for name, value in result.items()
    }


def _as_dict(returned: object) -> dict[Any, object] | None:
    if not isinstance(returned, (dict, Mapping)):
        return None
    outputs: dict[Any, object] = {}
    twice = None
    try:
        is_dict = isinstance(returned, dict)
        for name, value in returned.items() if is_dict else ((n, returned[n]) for n in returned):
            # A class of its own may compare names in another way.
            plain = str.__str__(name) if isinstance(name, str) else name
            twice = plain if plain in outputs else twice
            outputs[plain] = value
    except Exception as error:  # Of the bundle's own code.
        problem = f"the mapping that the wire function returned cannot be read: {summarize(error)}"
        raise _invalid(returned, problem) from error
    if twice is not None:
        name = clip(safe_repr(twice), _MAX_NAME)
        raise _invalid(returned, f"the wire function returned two outputs with the name {name}")
    return outputs


def _invalid(
    returned: object, problem: str, offending: Sequence[dict[str, object]] = ()
) -> RequestError:
    data: dict[str, object] = {"returned": type_name(type(returned)), "offending": list(offending)}
    return RequestError(ErrorCode.RESULT_INVALID, problem, data)


def _encoded_values(result: dict[Any, object], note: Callable[[str], None]) -> dict[Any, Any]:
    """Text and JSON as ModelOps encodes them, where they can mean nothing else."""
    encoded: dict[Any, Any] = {}
    taken: dict[str, list[str]] = {}
    for name, value in result.items():
        data = None if isinstance(value, (bytes, bytearray, memoryview)) else _encode(value)
        encoded[name] = value if data is None else data
        if data is not None:
            kind = "UTF-8" if isinstance(value, str) else "JSON"
            taken.setdefault(kind, []).append(str(name))
    for kind, names in taken.items():
        note(f"outputs that are not bytes, taken as {kind}: {_listed(names)}")
    return encoded


def _encode(value: object) -> bytes | None:
    if not isinstance(value, (str, dict, list, int, float)):
        return None
    try:
        if isinstance(value, str):
            return value.encode()
        text = json.dumps(value, allow_nan=False)
        # A tuple, or a key that is a number, is another one in JSON: that is for the bundle to say.
        return text.encode() if json.loads(text) == value else None
    except (TypeError, ValueError, RecursionError):
        return None


def _check_for_errors(outputs: dict[str, Buffer], note: Callable[[str], None]) -> None:
    """An exception returned as ``error`` or ``metadata.json`` is told as what it is: no result."""
    named = [name for name in outputs if name[:5] in _TELLING]
    if not named:
        return
    with standard_library("bundle_protocol.returned_errors"):
        from bundle_protocol.returned_errors import returned_error  # Its patterns take 5 ms.

    for name in named:
        others = [len(data) for other, data in outputs.items() if other != name]
        found = returned_error(name.partition(".")[0], outputs[name], others)
        if found is None:
            continue
        error, is_failure = found
        words = ": ".join(str(error[part]) for part in ("type", "message") if error[part])
        told = f"output {clip(name, _MAX_NAME)!r} holds an exception: {clip(words, _MAX_NAME)}"
        if is_failure:
            raise RequestError(
                ErrorCode.RESULT_INVALID,
                told,
                {"returned": "dict", "offending": [], "exception": error},
            )
        note(told)


def _note_empty(outputs: dict[str, Buffer], note: Callable[[str], None]) -> None:
    empty = [name for name, data in outputs.items() if not len(data)]
    if empty and len(empty) == len(outputs):
        note("all outputs are empty, of zero bytes")
    elif empty:
        note(f"outputs of zero bytes: {_listed(empty)}")


def _note_not_finite(outputs: dict[str, Buffer], note: Callable[[str], None]) -> None:
    for name, data in outputs.items():
        if name.endswith(".json") and (number := _not_finite(data)):
            note(
                f"{name!r} has {number} in it, which is no JSON and which many readers refuse;"
                " json.dumps(..., allow_nan=False) raises where it is written"
            )
            return


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(repr(clip(name, 40)) for name in names[:5]) + more


def _problems(name: object, value: object) -> list[dict[str, object]]:
    """Say what is wrong with one item: ``part`` names the part of it that has the ``type``."""
    problems: list[dict[str, object]] = []
    valid = isinstance(name, str) and _is_unicode(name)
    shown = clip(str(name) if valid else safe_repr(name), _MAX_NAME)
    if not valid:
        problems.append({"name": shown, "part": "name", "type": type_name(type(name))})
    if not isinstance(value, (bytes, bytearray, memoryview)):
        problems.append({"name": shown, "part": "value", "type": type_name(type(value))})
        if isinstance(value, (dict, list, int, float)):
            problems[-1]["why"] = _why_not_json(value)
    return problems


def _why_not_json(value: object) -> str:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return clip(safe_str(error), _MAX_NAME)
    return "JSON has no tuples, and no keys but strings"


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False  # A lone surrogate, which JSON cannot hold.
    return True


def _sentence(problem: dict[str, object]) -> str:
    name, kind = problem["name"], problem["type"]
    if problem["part"] == "value":
        why = f" nor plain JSON ({problem['why']})" if "why" in problem else ""
        return f"output '{name}' is {with_article(str(kind))}, not bytes{why}"
    if kind == "str":
        return f"the name {name} is not valid Unicode"
    return f"the name {name} is {with_article(str(kind))}, not a str"


def _check_total(inline: dict[str, Buffer]) -> None:
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
