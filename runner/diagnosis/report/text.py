"""Bounds what a child sends when it is kept, and makes it harmless when it is shown."""

import re
from collections.abc import Sequence

from runner.diagnosis.report.model import Excerpt

HEAD_BYTES = 16 * 1024
TAIL_BYTES = 48 * 1024

# Colours and other attributes (ECMA-48 SGR) mean nothing once the rest of a terminal's language is
# taken away: dropped whole, where every other control character is shown.
_SGR = re.compile("\x1b\\[[0-9;:]*m")
_OF_TRACKER = re.compile(
    r"^.*resource_tracker\.py:\d+: UserWarning: .*\n?(?:  .*\n?)?", re.MULTILINE
)
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and newline, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls (UAX 9)
    "\u2028\u2029\ufff9-\ufffb"  # line and paragraph separators, interlinear annotation
    "\ud800-\udfff]"  # lone surrogates: not encodable
)


# All that a terminal has overwritten: up to the last carriage return that something follows.
_REWRITTEN = re.compile(r"^[^\n]*\r(?=[^\r\n])", re.MULTILINE)


class Capture:
    """Keeps the head and the tail of a stream, however long it is.

    >>> capture = Capture()
    >>> capture.feed(b"hello")
    >>> capture.excerpt().text
    'hello'
    """

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self.total_bytes = 0
        self._head_bytes = head_bytes
        self._tail_bytes = tail_bytes
        self._head = bytearray()
        self._tail = bytearray()

    def feed(self, data: bytes) -> None:
        self.total_bytes += len(data)
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        # Cut at twice the size, so that many small pieces do not each move the whole tail.
        if len(self._tail) > 2 * self._tail_bytes:
            del self._tail[: -self._tail_bytes]

    def skip(self, count: int) -> None:
        """Count bytes that are not at hand; the head must be full, and a whole tail follow."""
        self.total_bytes += count

    def excerpt(self) -> Excerpt:
        """Return what was kept, with the number of bytes left out said where they are missing."""
        tail = bytes(self._tail[-self._tail_bytes :])
        left_out = self.total_bytes - len(self._head) - len(tail)
        if left_out == 0:
            text = decode(bytes(self._head) + tail)
        else:
            text = (
                f"{decode(bytes(self._head))}\n[... {left_out} bytes left out ...]\n{decode(tail)}"
            )
        return Excerpt(text=text, total_bytes=self.total_bytes, truncated=left_out > 0)


def decode(data: bytes) -> str:
    """UTF-8 where it is, ``\\xff`` where it is not."""
    return data.decode("utf-8", "backslashreplace")


def printable(text: str) -> str:
    """The text with nothing in it that a terminal would obey, or that hides what it says.

    Of a line that is rewritten after carriage returns, as a progress bar is, its last state is
    shown; colours go; any other control character, bidirectional override or lone surrogate is
    shown as its escape.
    """
    text = _SGR.sub("", text)
    if "\r" in text:
        text = _REWRITTEN.sub("", text.replace("\r\n", "\n")).replace("\r", "")
    return _UNPRINTABLE.sub(lambda match: _escape(match.group()), text)


def _escape(character: str) -> str:
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def without_trackers(text: str) -> str:
    """The text without the warnings of multiprocessing's resource trackers, which come after all
    that a process has said itself."""
    return _OF_TRACKER.sub("", text) if "resource_tracker" in text else text


def last_lines(text: str, count: int) -> list[str]:
    """The last ``count`` lines that are not blank."""
    return [line for line in text.splitlines() if line.strip()][-count:]


def one_line(text: str, width: int = 200) -> str:
    """The text on one line, cut to ``width`` characters."""
    text = " ".join(text.split())
    return text if len(text) <= width else text[: width - 1] + "…"


def listed(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: the first names, for one line of text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    shown = [printable(name).replace("\n", "\\n") for name in names[:most]]
    return ", ".join(shown) + more


def size_text(size: int) -> str:
    """A number of bytes for people: ``64 MiB``."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        # MiB up to 10 GiB, where a tenth of a GiB still matters.
        if size >= factor * (10 if unit == "GiB" else 1):
            return f"{size / factor:,.0f} {unit}"
    return f"{size} bytes"


def duration(seconds: float) -> str:
    """A duration for people: ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
