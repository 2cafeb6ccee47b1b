"""Content-Length framing, as in the Language Server Protocol, without IO.

A frame is a head of ``Name: value`` lines that ends in an empty line, then as many bytes of body as
the head's ``Content-Length`` says. Both sides decode with this module, and so does a replay of what
they said.

What comes before the first frame need not be ours: a ``sitecustomize`` prints, a shell greets.
Until then anything that is not a frame is *noise*, set aside and survived. From the first frame on
the stream must be frames and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from bundle_protocol.messages import MAX_HEAD_BYTES, MAX_HELLO_BYTES, MAX_MESSAGE_BYTES

_EXCERPT_BYTES = 80

_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110's token
_VALUE = rb"[\t\x20-\x7e\x80-\xff]*"
_FIELD = _NAME + rb":" + _VALUE + rb"\r\n"
# Compiled where they are used, by re, which keeps them: most heads are plain, and both sides start
# sooner.
_HEAD = rb"(?:%b)+\r\n" % _FIELD
_HEAD_BEGINNING = rb"(?:%b)*(?:%b(?::%b\r?)?|\r)?" % (_FIELD, _NAME, _VALUE)
_LENGTH = rb"(?im)^content-length:[\t ]*(.*?)[\t ]*\r$"

_PLAIN_HEAD = b"Content-Length: "
_PLAIN_HEAD_BYTES = len(_PLAIN_HEAD)
_HEAD_END = b"\r\n\r\n"
_HEAD_END_BYTES = len(_HEAD_END)
_LENGTH_NAME = b"content-length:"
# Not bytes.isdigit alone: int() refuses what has more digits than CPython's limit (4,300).
_MOST_DIGITS = 18
_LENGTH_BEGINNING = rb"(?i)content-length:[\t ]*(?:[0-9]{1,5}[\t ]*\r\n|[0-9]{0,5}[\t ]*\r?\Z)"


class Noise(bytes):
    """Bytes from before the first frame that belong to no frame."""


class FramingError(Exception):
    """The peer broke the framing.

    ``offset`` is the position in the stream, in bytes, at which a frame was expected, and
    ``excerpt`` what was met there, at most 80 bytes of it.
    """

    def __init__(self, problem: str, offset: int, excerpt: bytes) -> None:
        super().__init__(f"{problem} at byte {offset} of the stream: {excerpt!r}")
        self.offset = offset
        self.excerpt = excerpt


class FrameTooLarge(FramingError):
    """A head announced a body over the limit; ``announced`` is its length in bytes."""

    def __init__(self, announced: int, limit: int, offset: int, excerpt: bytes) -> None:
        super().__init__(
            f"a message of {announced} bytes, over the limit of {limit}", offset, excerpt
        )
        self.announced = announced


def encode_frame(body: bytes) -> bytes:
    """The frame around ``body``."""
    return b"%b%d%b%b" % (_PLAIN_HEAD, len(body), _HEAD_END, body)


class FrameDecoder:
    """Bytes in, the bodies of frames (and the noise before the first of them) out.

    It holds back no more than one frame, and noise only as long as it may yet become one.

    :param max_bytes: the longest body accepted, in bytes.
    :param strict: frames only, from the first byte on: no noise is expected.
    """

    def __init__(self, max_bytes: int = MAX_MESSAGE_BYTES, *, strict: bool = False) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._offset = 0
        """The position in the stream of the buffer's first byte."""
        self._framed = strict
        """True if frames alone are accepted from here on."""
        self._body_bytes: int | None = None
        """The length of the body that the head just read announced."""

    def feed(self, data: bytes) -> Iterable[bytes | Noise]:
        """Takes the next bytes of the stream, and gives what they complete, in order.

        :raises FramingError: while iterating, after everything that came before the violation.
        :raises FrameTooLarge: likewise.
        """
        if self._framed and not self._buffer and self._body_bytes is None:
            # As encode_frame makes it, and all of it: nearly every message.
            end = data.find(_HEAD_END, 0, MAX_HEAD_BYTES)
            digits = data[_PLAIN_HEAD_BYTES:end]
            body = data[end + _HEAD_END_BYTES :]
            if (
                end > 0
                and data.startswith(_PLAIN_HEAD)
                and digits.isdigit()
                and len(digits) <= _MOST_DIGITS
                and int(digits) == len(body) <= self._max_bytes
            ):
                self._offset += len(data)
                return (body,)
        self._buffer += data
        return self._complete()

    def close(self) -> Noise:
        """The stream has ended: gives the noise still held back.

        :raises FramingError: the end came inside a frame.
        """
        if self._framed and (self._buffer or self._body_bytes is not None):
            expected = "its head" if self._body_bytes is None else f"{self._body_bytes} bytes"
            problem = f"the stream ends inside a frame, {len(self._buffer)} bytes into {expected},"
            raise FramingError(problem, self._offset, self._excerpt())
        return Noise(self._take(len(self._buffer)))

    def _complete(self) -> Iterator[bytes | Noise]:
        if not self._framed:
            yield from self._first_frame()
        while self._framed:
            frame = self._next_frame()
            if frame is None:
                return
            yield frame

    def _next_frame(self) -> bytes | None:
        if self._body_bytes is None:
            head = self._head()
            if head is None:
                return None
            announced = _announced(head)
            if announced is None:
                raise FramingError(
                    "a head without one valid Content-Length", self._offset, self._excerpt()
                )
            if announced > self._max_bytes:
                raise FrameTooLarge(announced, self._max_bytes, self._offset, self._excerpt())
            self._take(len(head))
            self._body_bytes = announced
        if len(self._buffer) < self._body_bytes:
            return None
        body = self._take(self._body_bytes)
        self._body_bytes = None
        return body

    def _head(self) -> bytes | None:
        start = bytes(self._buffer[:MAX_HEAD_BYTES])
        head = re.match(_HEAD, start)
        if head is not None:
            return head.group()
        if not re.fullmatch(_HEAD_BEGINNING, start):
            raise FramingError("expected a frame, met other bytes", self._offset, self._excerpt())
        if len(start) == MAX_HEAD_BYTES:
            problem = f"a head that does not end within {MAX_HEAD_BYTES} bytes"
            raise FramingError(problem, self._offset, self._excerpt())
        return None

    def _first_frame(self) -> Iterator[bytes | Noise]:
        """Gives the noise that is certain and, once it is complete, the first frame."""
        buffer = bytes(self._buffer)
        lowered = buffer.lower()
        unfinished: int | None = None  # where a frame begins whose body is still to come
        at = lowered.find(_LENGTH_NAME)
        while at >= 0:
            head = re.compile(_HEAD).match(buffer, at, at + MAX_HEAD_BYTES)
            if head is not None:
                # JSON cannot hold a head: control characters are escaped in its strings, and
                # outside of them there are no words. So a head inside an unfinished body says
                # that this is not a body.
                unfinished = None
                announced = _announced(head.group())
                body = buffer[head.end() : head.end() + (announced or 0)]
                if announced is None or announced > MAX_HELLO_BYTES or body[:1] not in (b"", b"{"):
                    pass
                elif len(body) < announced:
                    unfinished = at
                elif _is_message(body):
                    if at:
                        yield Noise(self._take(at))
                    self._take(head.end() - at + announced)
                    self._framed = True
                    yield body
                    return
            elif _may_become_head(buffer, at):
                break
            at = lowered.find(_LENGTH_NAME, at + 1)
        if unfinished is not None:
            at = unfinished
        elif at < 0:
            at = len(buffer) - _beginning_of_name(lowered)
        if at:
            yield Noise(self._take(at))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._offset += count
        return taken

    def _excerpt(self) -> bytes:
        return bytes(self._buffer[:_EXCERPT_BYTES])


def _announced(head: bytes) -> int | None:
    """The length in bytes that a head announces, None unless it does so once and validly."""
    values = re.findall(_LENGTH, head)
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > _MOST_DIGITS:
        return None
    return int(values[0])


def _may_become_head(buffer: bytes, at: int) -> bool:
    """Tell whether the buffer may end in the start of the first frame's head, at ``at``."""
    return (
        len(buffer) - at < MAX_HEAD_BYTES
        and re.compile(_LENGTH_BEGINNING).match(buffer, at) is not None
        and re.compile(_HEAD_BEGINNING).fullmatch(buffer, at) is not None
    )


def _beginning_of_name(lowered: bytes) -> int:
    """How many bytes at the end may be the first ones of ``Content-Length:``."""
    return next(
        size
        for size in range(len(_LENGTH_NAME) - 1, -1, -1)
        if lowered.endswith(_LENGTH_NAME[:size])
    )


def _is_message(body: bytes) -> bool:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and "jsonrpc" in message
