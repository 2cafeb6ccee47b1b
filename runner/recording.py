"""Recordings: what came in from outside during a run, kept as JSON lines.

``docs/recordings.md`` specifies the format. A recording is a reader of a run's facts, and
:mod:`runner.replay` is a reader of recordings.
"""

import itertools
import json
import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from runner.diagnosis.case import Finding
from runner.diagnosis.report import BundleInfo, WorkerInfo
from runner.diagnosis.sanitise import sanitise_text, secrets_of
from runner.diagnosis.text import TAIL_BYTES
from runner.events import Fact, Origin

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

FILE = "recording.jsonl"
FORMAT = "modelops-runner/recording"
VERSION = 1

# More than the head and the tail that a report shows. What a stream has beyond is counted only.
_HEAD_BYTES = {
    Origin.UV_STDOUT: 1 << 20,
    Origin.UV_STDERR: 1 << 20,
    Origin.CHILD_STDOUT: 1 << 20,
    Origin.CHILD_STDERR: 1 << 20,
    Origin.CHILD_WIRE: 96 << 20,  # more than one message takes
}
_TAIL_BYTES = 4 * TAIL_BYTES


class RecordingError(Exception):
    """A file is no recording, or does not say what a replay needs; the message says which."""


class Run(Struct, frozen=True):
    """What a run begins with."""

    bundle: BundleInfo | None
    worker: WorkerInfo | None


class ReadBundle(Struct, frozen=True, kw_only=True):
    """What was read in the bundle's files, as far as a report may follow from it."""

    name: str
    files: tuple[str, ...]
    dependencies: tuple[str, ...]
    requires_python: str
    """As a PEP 440 specifier; empty: any."""
    requires_python_text: str | None
    requires_python_at: str | None
    requires_python_line: str | None
    python: str | None
    """What ``--python`` asked for."""


class Outcome(Struct, frozen=True):
    """How the run ended: with this finding, or well."""

    finding: Finding | None


class Header(Struct, frozen=True, kw_only=True):
    """A recording's first line."""

    format: str = FORMAT
    version: int = VERSION
    bundle: BundleInfo | None
    worker: WorkerInfo | None
    command: list[str]
    masked: list[int] = []
    """The lengths of the secrets that stand as so many asterisks in what follows."""


class Entry(Struct, frozen=True, kw_only=True):
    """A line: bytes as ``text`` where they are UTF-8, else as ``base64``; a struct as ``data``."""

    at: float
    """Seconds, on the monotonic clock of the process that recorded it."""
    source: Origin
    text: str | None = None
    base64: bytes | None = None
    data: Any = None
    skipped: int = 0
    """How many bytes of this stream were left out here."""

    @property
    def content(self) -> bytes:
        return self.text.encode() if self.text is not None else self.base64 or b""

    def decode(self, kind: type[_T]) -> _T:
        """The struct.

        :raises RecordingError: it is of another shape.
        """
        try:
            return msgspec.convert(self.data, kind, dec_hook=_as_path)
        except msgspec.ValidationError as error:
            raise RecordingError(f"its {self.source.value} is not as specified: {error}") from None


class Recording(Struct, frozen=True):
    header: Header
    entries: list[Entry]


class Recorder:
    """Keeps the facts of one run in ``FOLDER/recording.jsonl``.

    Secrets of the environment's variables are replaced by as many asterisks, so that the lengths
    which the wire announces stay right. A disk that refuses is logged, and the run goes on.

    :param folder: made if need be.
    :param command: what was asked for, as a command line.
    :param replace: whether a recording that is there may go.
    :param environ: where the secret variables are looked up.
    :raises FileExistsError: there is a recording, which may not go.
    :raises OSError: the file cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        *,
        replace: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / FILE
        self._command = [sanitise_text(word) for word in command]
        self._secrets = secrets_of(environ)
        self._early: list[Fact] | None = []
        self._streams = {origin: _Bounded(size) for origin, size in _HEAD_BYTES.items()}
        self._broken = False
        self.failed = False
        """Whether it has a failure to replay."""
        # What a bundle's code writes and what its tracebacks hold is for its owner.
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
        self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb")

    def __call__(self, fact: Fact) -> None:
        if fact.origin is Origin.RUN:
            self._begin(fact.value)
        elif self._early is not None:
            self._early.append(fact)
        elif isinstance(fact.value, bytes):
            for piece in self._streams[fact.origin].take(fact.value):
                self._bytes(fact.at, fact.origin, piece)
        else:
            if isinstance(fact.value, Outcome) and fact.value.finding is not None:
                self.failed = True
            if fact.origin in (Origin.UV_EXIT, Origin.CHILD_EXIT, Origin.OUTCOME):
                self._rest(fact.at)
            self._line(fact.at, fact.origin, "data", fact.value)
            self._flush()

    def _begin(self, run: Run) -> None:
        """Write the first line, and the facts from before it."""
        masked = sorted({len(secret) for secret in self._secrets}, reverse=True)
        header = Header(bundle=run.bundle, worker=run.worker, command=self._command, masked=masked)
        self._write(header)
        early, self._early = self._early or [], None
        for fact in early:
            self(fact)

    def discard(self) -> None:
        """Close and remove it, and its folder where nothing else is in it."""
        self.close()
        with suppress(OSError):  # somebody removed it, or has put something else beside it
            self.path.unlink()
            self.path.parent.rmdir()

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            self._give_up(error)

    def _rest(self, at: float) -> None:
        """Write what the streams held back, now that they have ended."""
        for origin, stream in self._streams.items():
            skipped, tail = stream.rest()
            if skipped:
                self._line(at, origin, "skipped", skipped)
            if tail:
                self._bytes(at, origin, tail)

    def _bytes(self, at: float, origin: Origin, data: bytes) -> None:
        for secret in self._secrets:
            data = data.replace(os.fsencode(secret), b"*" * len(secret))
        try:
            self._line(at, origin, "text", data.decode())
        except UnicodeDecodeError:
            self._line(at, origin, "base64", data)

    def _line(self, at: float, origin: Origin, kind: str, content: object) -> None:
        self._write({"at": at, "source": origin, kind: content})

    def _write(self, line: object) -> None:
        if self._broken:
            return
        # Not as msgspec writes JSON: a path may have bytes in it that are no UTF-8 (PEP 383), which
        # the standard library can say and read again.
        text = json.dumps(msgspec.to_builtins(line, enc_hook=str), separators=(",", ":"))
        for secret in self._secrets:
            text = text.replace(secret, "*" * len(secret))
        try:
            self._file.write(text.encode() + b"\n")
        except OSError as error:
            self._give_up(error)

    def _flush(self) -> None:
        if self._broken:
            return
        try:
            # Now, so that a worker that is killed leaves what it has seen.
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        _log.warning("%s is not whole: %s", self.path, error.strerror)


class _Bounded:
    """Lets the head of a stream through, and holds back its tail."""

    def __init__(self, head_bytes: int) -> None:
        self._room = head_bytes
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._skipped = 0

    def take(self, data: bytes) -> Iterator[bytes]:
        head = data[: self._room]
        self._room -= len(head)
        if head or not data:  # nothing is the end of the stream
            yield head
        data = data[len(head) :]
        if data:
            self._held.append(data)
            self._held_bytes += len(data)
        while self._held and self._held_bytes - len(self._held[0]) >= _TAIL_BYTES:
            gone = len(self._held.popleft())
            self._held_bytes -= gone
            self._skipped += gone

    def rest(self) -> tuple[int, bytes]:
        skipped, tail = self._skipped, b"".join(self._held)
        self._held.clear()
        self._held_bytes = self._skipped = 0
        return skipped, tail


def record_in_free(folder: Path, command: Sequence[str]) -> Recorder:
    """A recorder in the folder, or in ``2``, ``3``, ... of it where there is a recording already.

    :raises OSError: the file cannot be made.
    """
    for number in itertools.count(1):
        with suppress(FileExistsError):
            return Recorder(folder if number == 1 else folder / str(number), command)
    raise AssertionError


def read_recording(path: Path) -> Recording:
    """Read a recording: the file, or the folder that has it.

    :raises OSError: it cannot be read.
    :raises RecordingError: it is none, or of a version that this runner does not read.
    """
    lines = (path / FILE if path.is_dir() else path).read_bytes().splitlines()
    try:
        header = _read(lines[0] if lines else b"", Header)
    except ValueError as error:
        raise RecordingError(f"its first line is no recording's: {error}") from None
    if header.format != FORMAT or header.version != VERSION:
        raise RecordingError(
            f"it is {header.format!r} of version {header.version}, not {FORMAT!r} of {VERSION}"
        )
    entries = []
    for number, line in enumerate(lines[1:], 2):
        try:
            entries.append(_read(line, Entry))
        except ValueError as error:
            # The worker was killed while it wrote: what is there is whole up to here.
            if number == len(lines):
                break
            raise RecordingError(f"line {number} is not as specified: {error}") from None
    return Recording(header, entries)


def _read(line: bytes, kind: type[_T]) -> _T:
    """:raises ValueError: it is not JSON, or of another shape."""
    return msgspec.convert(json.loads(line), kind)


def _as_path(kind: type, value: object) -> object:
    if kind is not Path or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__}")
    return Path(value)


def environ_of(header: Header) -> dict[str, str]:
    """Variables with secrets that look as the recording's: a replay masks what the run masked."""
    return {f"SECRET_{length}": "*" * length for length in header.masked}
