"""Writes the lines of tasks as these end: to a file some at a time, to a pipe each at once."""

import json
import os
import stat
import threading
import time
from collections.abc import Callable

import msgspec

from runner.study.lines import DoneLine, FailedLine
from runner.study.writing import write_at_once, write_whole

BATCH_SECONDS = 0.1
"""Lines that wait for so long are written. A run that is killed before has the tasks done
again: their outputs are there, and no line says so."""

BATCH_BYTES = 64 * 1024

_POLL_SECONDS = 0.1


class StdoutError(Exception):
    """Standard output did not take lines.

    :param size: of the lines, in bytes.
    """

    def __init__(self, error: OSError, size: int) -> None:
        self.error = error
        self.size = size


class Lines:
    """Where the lines go, each of them whole.

    :param array: whether they are the elements of the array that begins a JSON document.
    """

    def __init__(self, descriptor: int, *, array: bool = False) -> None:
        self._descriptor = descriptor
        self._plain = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._array = array
        self._before = b'{"results": [\n' if array else b""
        self._lock = threading.Lock()
        self._batch = bytearray()
        self._flushed = 0.0
        self.pending: list[DoneLine | FailedLine] = []
        """The lines that wait to be written."""

    def write(self, line: DoneLine | FailedLine, check: Callable[[], None]) -> None:
        """Write a line, or have it wait for others.

        :param check: is called while a pipe's reader takes its time; what it raises ends the wait.
        :raises OSError: what waits could not be written; it waits still.
        """
        data = self._before + encoded(line) + (b"" if self._array else b"\n")
        self._before = b",\n" if self._array else b""
        if not self._plain:
            self._to_pipe(data, check)
            return
        with self._lock:
            self._batch += data
            self.pending.append(line)
            late = time.monotonic() - self._flushed >= BATCH_SECONDS
            if late or len(self._batch) >= BATCH_BYTES:
                self._flush()

    def flush(self) -> None:
        """Write what waits.

        :raises OSError: it could not be written; it waits still.
        """
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Close the descriptor; what waits is not written."""
        with self._lock:
            os.close(self._descriptor)

    def end(self, document: str) -> str:
        """Return what is left to print of the document whose array has the lines."""
        before = "" if self._before == b",\n" else self._before.decode()
        return before + "\n],\n" + document.removeprefix("{\n") if self._array else document

    def _flush(self) -> None:
        if self.pending:
            write_whole(self._descriptor, bytes(self._batch))
            self._batch.clear()
            self.pending.clear()
        self._flushed = time.monotonic()

    def _to_pipe(self, data: bytes, check: Callable[[], None]) -> None:
        left = memoryview(data)
        while left:
            if size := write_at_once(self._descriptor, left, _POLL_SECONDS):
                left = left[size:]
            else:
                check()


def encoded(line: DoneLine | FailedLine) -> bytes:
    """A line without its end."""
    try:
        return msgspec.json.encode(line)
    except (UnicodeEncodeError, OverflowError):
        # The lone surrogates and the large numbers that JSON can say.
        return json.dumps(msgspec.to_builtins(line), separators=(",", ":")).encode()
