"""The parent's side of the connection, sans-IO: bytes in, messages out; requests in, bytes out.

``docs/protocol.md`` specifies it. The same object serves a live child and a recording of one.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from bundle_protocol.framing import FrameDecoder, FramingError, Noise, encode_frame
from bundle_protocol.messages import (
    EXECUTE,
    EXITING,
    HELLO,
    INITIALIZE,
    MAX_NOTE_CHARACTERS,
    MAX_NOTES,
    MAX_READ_FILES,
    MAX_VALUES,
    SHUTDOWN,
)
from runner.child.state import Event, Life
from runner.diagnosis.deaths.exit import Limits
from runner.diagnosis.report.model import ExceptionInfo, Frame, PythonInfo
from runner.diagnosis.report.text import one_line, printable


class ProtocolViolation(Exception):
    """Internal: what the child sent is not the protocol; the message says what and why.

    :param foreign: whether it is bytes that no child writes, and not a message that is wrong.
    """

    def __init__(self, what: str, *, foreign: bool = False) -> None:
        super().__init__(what)
        self.foreign = foreign


_Words = Annotated[str, Meta(max_length=16_384)]
_Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
_Seconds = Annotated[float, Meta(ge=0, le=1e12)]


class Hello(Struct, frozen=True):
    protocol_versions: list[_Count]
    python: PythonInfo
    pid: _Count


class Initialized(Struct, frozen=True):
    protocol_version: _Count
    wire: _Words
    """The wire function as it was loaded, ``module:function``."""
    file: _Words | None = None
    fork_unsafe: _Words | None = None
    """Why a child that was to fork for each task cannot."""


_MOST_PATH = 4096


class ValueRecord(Struct, frozen=True, omit_defaults=True):
    """An input or an output: its bytes are in ``data`` (base64), or travel beside the transport."""

    name: str
    size: _Count
    crc32: Annotated[int, Meta(ge=0, lt=2**32)]
    data: bytes | None = None
    memfd: bool = False
    """True if they are in a memfd, sent over the socket for bulk data."""
    file: Annotated[str, Meta(pattern=r"^(?!\.\.?\Z)[^/\x00]{1,255}\Z")] | None = None
    """Their file in the exchange folder."""
    output: str | None = None
    """The name of the output that the bytes are, where the input is a result."""


class Executed(Struct, frozen=True):
    outputs: Annotated[list[ValueRecord], Meta(min_length=1)]
    wall_seconds: _Seconds
    cpu_seconds: _Seconds
    max_rss_bytes: _Count | None = None
    """The peak of the process that ran the task, over its life."""
    pid: _Count | None = None
    notes: tuple[str, ...] = ()
    """Notes for a reader of the result, each on one line."""
    read_files: tuple[str, ...] = ()
    """The files outside of the bundle and of its folder that the task has read."""

    def bounded(self) -> "Executed":
        """The same with its notes harmless to print, and no more of them than may be."""
        notes = (one_line(printable(note), MAX_NOTE_CHARACTERS) for note in self.notes[:MAX_NOTES])
        paths = filter(str.isprintable, self.read_files[:MAX_READ_FILES])
        return msgspec.structs.replace(
            self,
            notes=tuple(filter(None, notes)),
            read_files=tuple(one for one in paths if len(one) <= _MOST_PATH),
        )


class Ended(Struct, frozen=True):
    """How the process that a child had forked for a task ended, where it did not answer."""

    pid: _Count
    exit_code: Annotated[int, Meta(ge=0, le=255)] | None
    signal: Annotated[int, Meta(ge=1, le=255)] | None
    max_rss_bytes: _Count
    cpu_seconds: _Seconds
    lifetime_seconds: _Seconds
    limits: Limits


class ErrorData(Struct, frozen=True):
    exception: ExceptionInfo | None = None
    ended: Ended | None = None
    defined: Frame | None = None
    """Where the function is defined that cannot be called as a wire function; the line by which
    one has returned what is no result."""
    written: tuple[str, ...] = ()
    """The files that its calls name which write one."""


class Exiting(Struct, frozen=True):
    exception: ExceptionInfo


class RemoteError(Struct, frozen=True):
    """An error response (JSON-RPC 2.0, section 5.1)."""

    code: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    message: str
    data: ErrorData | None = None


class Response(Struct, frozen=True):
    """An answer to a request; ``result`` is decoded by whoever knows what was asked."""

    id: int
    result: Raw
    error: RemoteError | None = None


_MAX_DEPTH = 50
_MAX_PARTS = 20_000
_SHOWN = 80
# What follows its path in msgspec's words: "Expected `str`, got `int` - at `$.python.version`".
_PATH = re.compile(r"`\$([^`]*)`\Z")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_VERSION = re.compile(r"[0-9]{1,4}\.[0-9]{1,4}[0-9A-Za-z.+-]{0,32}")

# A text that is not UTF-8 and a number of thousands of digits are no msgspec.DecodeError.
_DECODING = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)

_encoder = msgspec.json.Encoder()

Message: TypeAlias = Hello | Response

_T = TypeVar("_T")


class _Incoming(Struct):
    jsonrpc: Literal["2.0"]
    id: int | msgspec.UnsetType | None = msgspec.UNSET
    method: str | None = None
    # An empty Raw says that the member is absent: no JSON value is empty.
    params: Raw = Raw()
    result: Raw = Raw()
    error: RemoteError | None = None


_incoming = msgspec.json.Decoder(_Incoming)
# Kept: making one takes longer than what it does for a small task.
_object = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_decoders: dict[type, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (Hello, Initialized, Executed, Exiting)
}


_CALLED: dict[type, str] = {
    Hello: "hello",
    Initialized: "the answer to initialize",
    Executed: "the answer to execute",
    Exiting: "exiting",
}


def to_json(value: Any) -> bytes:
    """Return what JSON can say, as :func:`runner.task.check_task` has seen that it is."""
    try:
        return _encoder.encode(value)
    except (TypeError, OverflowError, UnicodeEncodeError):
        # Subclasses such as NumPy's of float it does not take, nor mappings that are no dict, lone
        # surrogates, and integers of more than 64 bits.
        plain = json.dumps(value, allow_nan=False, separators=(",", ":"), default=dict)
        return plain.encode()


class Connection:
    """One child's messages.

    :ivar life: what may come next.
    """

    def __init__(self) -> None:
        self.life = Life()
        self.exiting: ExceptionInfo | None = None
        """The SystemExit with which the bundle's code ends the process, once it is announced."""
        self._decoder = FrameDecoder()
        self.last_id = 0
        """The id of the request that was made last."""

    def receive(self, data: bytes) -> Iterator[Noise | Message]:
        """Take bytes as they came, ``b""`` at the end; give what they complete, in order.

        :raises ProtocolViolation: while iterating: nothing from there on can be understood.
        """
        try:
            for piece in self._decoder.feed(data):
                if isinstance(piece, Noise):
                    yield piece
                elif message := self._message(piece):
                    yield message
            if not data and self.life.may(Event.HELLO):
                yield self._decoder.close()
        except FramingError as error:
            raise ProtocolViolation(str(error), foreign=True) from None

    def initialize(self, params: dict[str, Any]) -> bytes:
        return self._request(INITIALIZE, params)

    def execute(
        self,
        entrypoint: str,
        params: dict[str, Any],
        seed: int,
        cwd: str | None = None,
        inputs: Sequence[ValueRecord] = (),
    ) -> bytes:
        """:param params: what :func:`runner.task.check_task` lets through."""
        task = {"entrypoint": entrypoint, "params": params, "seed": seed}
        if cwd is not None:
            task["cwd"] = cwd
        if inputs:
            task["inputs"] = msgspec.to_builtins(inputs)
        return self._request(EXECUTE, task)

    def shutdown(self) -> bytes:
        return self._request(SHUTDOWN, {})

    def _request(self, method: str, params: dict[str, Any]) -> bytes:
        self.last_id += 1
        self.exiting = None
        message = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        return encode_frame(to_json(message))

    def _message(self, frame: bytes) -> Message | None:
        # What has few bytes has few values. Text has commas too, but no honest child so much.
        if len(frame) > MAX_VALUES and (count := frame.count(b",")) > MAX_VALUES:
            raise ProtocolViolation(
                f"a message of {count} values, over the limit of {MAX_VALUES} (commas are counted)"
            )
        try:
            incoming = _incoming.decode(frame)
        except _DECODING as error:
            raise ProtocolViolation(f"a message is not JSON-RPC: {_told(error, frame)}") from None
        if incoming.method is not None:
            return self._notification(incoming)
        failed = incoming.error
        if incoming.id != self.last_id or not self.life.may(Event.ANSWER):
            raise self._unasked(incoming)
        if (failed is None) == (not incoming.result):
            raise ProtocolViolation("an answer has neither a result nor an error, or has both")
        if failed is not None and failed.data is not None:
            _check_size(failed.data.exception)
        self.life.move(Event.ANSWER)
        return Response(self.last_id, incoming.result, failed)

    def _unasked(self, incoming: _Incoming) -> ProtocolViolation:
        if self.life.may(Event.HELLO):
            return ProtocolViolation("the child answered before it said hello")
        if incoming.error is not None and incoming.id in (None, msgspec.UNSET):
            return ProtocolViolation(
                f"the child could not read a request: {incoming.error.message}"
            )
        if incoming.id in (None, msgspec.UNSET):
            return ProtocolViolation("an answer without the id of a request")
        return ProtocolViolation(f"the child answered request {incoming.id}, which is not open")

    def _notification(self, incoming: _Incoming) -> Message | None:
        if incoming.id is not msgspec.UNSET:
            raise ProtocolViolation(f"the child sent a request ({repr(incoming.method)[:_SHOWN]})")
        if incoming.method == EXITING:
            if not self.life.may(Event.EXITING):
                raise ProtocolViolation("the child said that it exits, and nothing was asked of it")
            if self.exiting is not None:
                raise ProtocolViolation("the child said twice that it exits")
            self.life.move(Event.EXITING)
            self.exiting = decode_result(incoming.params, Exiting).exception
            _check_size(self.exiting)
            return None
        if incoming.method != HELLO:
            return None  # JSON-RPC 2.0: an unknown notification is ignored
        if not self.life.may(Event.HELLO):
            raise ProtocolViolation("the child said hello twice")
        hello = decode_result(incoming.params, Hello)
        version = hello.python.version
        if not _VERSION.fullmatch(version):
            raise ProtocolViolation(
                f"python.version is not a version of Python: {version[:_SHOWN]!r}"
            )
        self.life.move(Event.HELLO)
        return hello


def _check_size(exception: ExceptionInfo | None) -> None:
    """Refuse a long chain: what follows recurses, and no honest child's chain is long.

    Nor has it many parts: a report is bounded.
    """
    waiting = [(exception, 1)]
    parts = 0
    while waiting:
        current, depth = waiting.pop()
        if current is None:
            continue
        if depth > _MAX_DEPTH:
            raise ProtocolViolation(f"an exception has more than {_MAX_DEPTH} causes")
        parts += 1 + len(current.traceback) + len(current.notes) + len(current.attributes)
        parts += len(current.exceptions)
        if parts > _MAX_PARTS:
            raise ProtocolViolation(f"an exception has more than {_MAX_PARTS} parts")
        waiting += [(link, depth + 1) for link in (current.cause, *current.exceptions)]


def decode_result(raw: Raw, kind: type[_T]) -> _T:
    """Decode a result or a parameter object.

    :raises ProtocolViolation: it is not of that kind.
    """
    try:
        decoded: _T = _decoders[kind].decode(raw)
    except _DECODING as error:
        words = _told(error, bytes(raw))
        raise ProtocolViolation(f"{_CALLED[kind]} is not as specified: {words}") from None
    if isinstance(decoded, Executed) and len(decoded.outputs) > 1:
        names = Counter(record.name for record in decoded.outputs)
        name, count = names.most_common(1)[0]
        if count > 1:
            raise ProtocolViolation(f"{count} outputs have the name {name[:_SHOWN]!r}")
    return decoded


def _told(error: Exception, text: bytes) -> str:
    """The fault of a message, and the value that is wrong."""
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return _not_utf8(text) or str(error)
    path = _PATH.search(str(error))
    if path is None:
        return str(error)  # not JSON, or not an object
    value = text
    try:
        # msgspec does not name the keys of an object that may have any: what holds them is shown.
        for name, index in _STEP.findall(path[1].partition("[...]")[0]):
            value = bytes(_object.decode(value)[name] if name else _array.decode(value)[int(index)])
    except (*_DECODING, LookupError, TypeError):
        return str(error)
    words = str(error)[: path.start()].removesuffix(" - at ")
    return f"{path[1].lstrip('.') or 'it'} is {_shown(value)}: {words}"


def _not_utf8(text: bytes) -> str | None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        around = text[max(0, error.start - _SHOWN // 2) :]
        return f"it has bytes that are not UTF-8 (at {error.start}): {_shown(around)}"
    return None


def _shown(value: bytes) -> str:
    return value[:_SHOWN].decode("utf-8", "backslashreplace")
