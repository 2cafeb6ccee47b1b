"""The form of recordings: what came in from outside during a run, kept as JSON lines.

``docs/recordings.md`` specifies it. A recording is a reader of a run's facts
(:mod:`runner.recording.recorder`), and :mod:`runner.recording.replay` is a reader of recordings.
"""

import json
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from runner.diagnosis.case import Case, Finding, LfsPointer
from runner.diagnosis.report.model import BundleInfo, WorkerInfo
from runner.events import Origin
from runner.stored_files import DamagedError, read_named, read_stored

_T = TypeVar("_T")

FILE = "recording.jsonl"
FORMAT = "modelops-runner/recording"
VERSION = 1

# What is read at most: JSON may take six bytes for one.
_MOST_BYTES = 1 << 30
_MOST_LINES = 1_000_000
_MOST_LINE_BYTES = 64 << 20


class RecordingError(Exception):
    """A file is not a recording, or does not say what a replay needs; the message says which."""


class Run(Struct, frozen=True):
    """The facts that a run begins with."""

    bundle: BundleInfo | None
    worker: WorkerInfo | None


class ReadBundle(Struct, frozen=True, kw_only=True):
    """The facts read in the bundle's files, as far as a report may follow from them."""

    name: str
    files: tuple[str, ...]
    lfs_pointers: tuple[LfsPointer, ...] = ()
    pyproject: str = ""
    """The text of its pyproject.toml."""
    dependencies: tuple[str, ...]
    requires_python: str
    """As a PEP 440 specifier; empty: any."""
    requires_python_text: str | None
    requires_python_at: str | None
    requires_python_line: str | None
    python: str | None
    """The request (``--python``)."""
    options: tuple[str, ...] = ()
    """Those of a command that runs the bundle alike."""

    def tell(self, case: Case) -> None:
        """Let a case know them."""
        case.bundle_files = self.files
        case.lfs_pointers = self.lfs_pointers
        case.pyproject = self.pyproject
        case.bundle_dependencies = self.dependencies
        case.options = self.options
        at = self.requires_python_at or ""
        case.pin = self.requires_python_line if at.startswith(".python-version") else None


class Rebuilt(Struct, frozen=True):
    """The environment was damaged; what follows is of another child, in one built anew."""


class Outcome(Struct, frozen=True):
    """How the run ended: with this finding, or well."""

    finding: Finding | None


class _Kind(Struct, frozen=True):
    """The part of the first line that every version's recording has."""

    format: str
    version: int


class Header(Struct, frozen=True, kw_only=True):
    """A recording's first line."""

    format: str = FORMAT
    version: int = VERSION
    bundle: BundleInfo | None
    worker: WorkerInfo | None
    command: list[str]
    masked: list[str] = []
    """The texts that stand in the place of secrets in what follows, longest first."""


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
        """:raises RecordingError: the text cannot be of UTF-8."""
        try:
            return self.text.encode() if self.text is not None else self.base64 or b""
        except UnicodeEncodeError as error:
            raise RecordingError(f"its {self.source.value} is not text: {error}") from None

    def decode(self, kind: type[_T]) -> _T:
        """The struct.

        :raises RecordingError: it is of another shape.
        """
        try:
            return msgspec.convert(self.data, kind, dec_hook=_as_path)
        except ValueError as error:
            raise RecordingError(f"its {self.source.value} is not as specified: {error}") from None


class Recording(Struct, frozen=True):
    header: Header
    entries: list[Entry]


def read_recording(path: Path) -> Recording:
    """Read a recording: the file, or the folder that has it.

    :raises OSError: it cannot be read.
    :raises RecordingError: it is not a recording, or of a version that this runner does not read.
    """
    try:
        content = (
            read_stored(path / FILE, _MOST_BYTES)
            if path.is_dir()
            else read_named(path, _MOST_BYTES)
        )
    except DamagedError as error:
        raise RecordingError(f"it is longer than any recording: {error}") from None
    if not content:
        raise RecordingError("it is empty")
    lines = content.splitlines()
    if len(lines) > _MOST_LINES or max(map(len, lines), default=0) > _MOST_LINE_BYTES:
        raise RecordingError(
            f"no recording has more than {_MOST_LINES:,} lines, or a line of more than"
            f" {_MOST_LINE_BYTES:,} bytes"
        )
    header = _read_header(lines[0])
    entries = []
    for number, line in enumerate(lines[1:], 2):
        try:
            entries.append(_read(line, Entry))
        except ValueError as error:
            # The worker was killed while it wrote: what is there is whole up to here.
            if number == len(lines) and not content.endswith(b"\n"):
                break
            raise RecordingError(f"line {number} is not as specified: {error}") from None
    return Recording(header, entries)


def _read_header(line: bytes) -> Header:
    try:
        kind = _read(line, _Kind)
        if kind.format != FORMAT:
            raise ValueError(f"its format is {kind.format[:80]!r}")
    except ValueError as error:
        raise RecordingError(f"its first line is not a recording's: {error}") from None
    if kind.version != VERSION:
        raise RecordingError(f"it is of version {kind.version}; this runner reads {VERSION}")
    try:
        return _read(line, Header)
    except ValueError as error:
        raise RecordingError(f"its first line is not as specified: {error}") from None


def _read(line: bytes, kind: type[_T]) -> _T:
    """:raises ValueError: it is not JSON, or of another shape."""
    try:
        return msgspec.convert(json.loads(line), kind)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _as_path(kind: type, value: object) -> object:
    if kind is not Path or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__}")
    return Path(value)


def environ_of(header: Header) -> dict[str, str]:
    """Variables with secrets that look as the recording's: a replay masks what the run masked."""
    return {f"SECRET_{number}": text for number, text in enumerate(header.masked)}
