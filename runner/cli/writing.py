"""Writing what a run gives: whole or not at all, and never in the way of the run itself."""

import io
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from runner.cli.command_line.commands import UsageError
from runner.cli.exit_codes import FAILED_TASK
from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.text import size_text
from runner.events import Phase
from runner.study.output_files import OutputError, TakenError
from runner.study.writing import FULL, write_at_once, write_whole

_MOST_BYTES = 512 * 1024
"""So many of the first bytes that nobody has read yet are kept, and of the last."""
NOT_KEPT = "outputs: not kept; --output DIR keeps them"
READER_TIMEOUT_SECONDS = 2.0
"""How long a reader may read nothing: of standard error once the run has ended, or of a pipe that a
result goes to."""


class Unblocked(io.RawIOBase):
    """Standard error, which may be a pipe that nobody reads: a write to it never waits.

    What it does not take is kept, up to a bound, and written with what comes later. Where it
    refuses, as a full disk does, it is left alone: no result depends on it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._head = bytearray()
        self._tail = deque[bytes]()
        self._tail_bytes = 0
        self._dropped = 0
        self._refused = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: "memoryview | bytes") -> int:  # type: ignore[override]
        taken = bytes(data)
        if self._tail or len(self._head) + len(taken) > _MOST_BYTES:
            self._keep_last(taken)
        else:
            self._head += taken
        self._push(0)
        return len(taken)

    def flush(self) -> None:
        self._push(0)

    def drain(self) -> None:
        """Write what is left, as long as somebody reads it."""
        last = time.monotonic()
        while self._head and time.monotonic() - last < READER_TIMEOUT_SECONDS:
            if self._push(READER_TIMEOUT_SECONDS):
                last = time.monotonic()

    def _keep_last(self, data: bytes) -> None:
        self._tail.append(data[-_MOST_BYTES:])
        self._dropped += len(data) - len(self._tail[-1])
        self._tail_bytes += len(self._tail[-1])
        while self._tail_bytes > _MOST_BYTES:
            gone = len(self._tail.popleft())
            self._tail_bytes -= gone
            self._dropped += gone

    def _push(self, seconds: float) -> bool:
        """Write what is taken at once.

        :returns: whether anything was.
        """
        wrote = False
        while self._head and not self._refused:
            try:
                size = write_at_once(self._descriptor, self._head, 0 if wrote else seconds)
            except OSError:
                self._refused = True
                break
            if not size:
                break
            wrote = True
            del self._head[:size]
            if not self._head and self._tail:
                if self._dropped:
                    self._head += b"\n[... %d bytes left out ...]\n" % self._dropped
                self._head += b"".join(self._tail)
                self._tail.clear()
                self._tail_bytes = self._dropped = 0
        if self._refused:
            self._head.clear()
            self._tail.clear()
            self._tail_bytes = 0
        return wrote


@contextmanager
def unblocked_stderr() -> Iterator[None]:
    """Write to standard error without ever waiting for whoever reads it."""
    before = sys.stderr
    try:
        stream = Unblocked(before.fileno())
    except (OSError, ValueError):  # a test's own, in memory
        yield
        return
    sys.stderr = io.TextIOWrapper(
        stream,  # as CPython makes its own, unbuffered
        encoding=before.encoding,
        errors="backslashreplace",
        write_through=True,
    )
    try:
        yield
    finally:
        sys.stderr = before
        stream.drain()


def not_written(error: OSError, what: str, size: int | None) -> str:
    """One line that says what could not be written, why, and how much it would have been.

    :param size: in bytes; ``None`` where it is not known.
    """
    code = f"error[{Code.DISK_FULL.value}]" if error.errno in FULL else "error"
    wanted = "" if size is None else f" ({size_text(size)} wanted)"
    return f"modelops-runner: {code}: {what} could not be written: {error.strerror}{wanted}"


@contextmanager
def said_of(option: str) -> Iterator[None]:
    """Say what is wrong with a path by the option that names it.

    :raises UsageError: nothing can be written there.
    :raises Failure: what is missing is room, or a limit is reached.
    """
    try:
        yield
    except OutputError as error:
        if isinstance(error.__cause__, OSError):
            raise_lacking(Phase.SPAWN, error.__cause__)
        more = ", or say --overwrite to replace what is there"
        taken = more if isinstance(error, TakenError) else ""
        raise UsageError(f"{option}: {error}{taken}") from error


def print_result(exit_code: int, text: str) -> int:
    """Print the result; returns the exit code, or another where it alone could not be printed."""
    if not text or sys.stdout is None:  # ">&-"
        return exit_code
    data = text.encode(sys.stdout.encoding, "backslashreplace")
    try:
        sys.stdout.flush()
        write_whole(sys.stdout.fileno(), data)
    except OSError as error:
        unprinted = not_printed(error, len(data))
        return exit_code or unprinted
    return exit_code


def not_printed(error: OSError, size: int | None) -> int:
    """Say that standard output has refused the result; returns the exit code.

    :param size: the result's, in bytes; ``None`` where it is not known.
    """
    # What is left of it the interpreter would flush, and complain, at its exit.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
    if isinstance(error, BrokenPipeError):  # nobody reads it
        return 128 + signal.SIGPIPE
    print(not_written(error, "standard output", size), file=sys.stderr)
    return FAILED_TASK
