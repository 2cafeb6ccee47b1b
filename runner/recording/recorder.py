"""Records a run: keeps the facts of what came in from outside, in the form of recordings."""

import errno
import json
import logging
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from runner.diagnosis.report.masking import LONGEST_BYTES, Mask
from runner.diagnosis.report.sanitise import sanitise_text
from runner.diagnosis.report.text import TAIL_BYTES
from runner.events import Fact, Origin
from runner.recording.format import FILE, Header, Outcome, Run

_log = logging.getLogger(__name__)

# More than the head and the tail that a report shows. What a stream has beyond is counted only.
_HEAD_BYTES = {
    Origin.UV_STDOUT: 1 << 20,
    Origin.UV_STDERR: 1 << 20,
    Origin.CHILD_STDOUT: 1 << 20,
    Origin.CHILD_STDERR: 1 << 20,
    Origin.CHILD_WIRE: 96 << 20,  # more than one message takes
}
_TAIL_BYTES = 4 * TAIL_BYTES


class Recorder:
    """Keeps the facts of one run in ``FOLDER/recording.jsonl``.

    Secrets are masked. A disk that refuses is logged, and the run goes on.

    :param folder: made if need be.
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
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(
                errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)
            ) from None
        self.path = folder / FILE
        self._command = [sanitise_text(word) for word in command]
        self._mask = Mask(environ)
        self._early: list[Fact] | None = []
        self._streams = {origin: _Stream(origin, self._mask) for origin in _HEAD_BYTES}
        self.complete = True
        """True if the disk has taken everything."""
        self.failed = False
        """True if it has a failure to replay."""
        if replace:
            self.path.unlink(missing_ok=True)
        # What a bundle's code writes and what its tracebacks hold is for its owner.
        self._file = os.fdopen(
            os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
        )

    def __call__(self, fact: Fact) -> None:
        if fact.origin is Origin.RUN:
            self._begin(fact.value)
        elif self._early is not None and fact.origin is not Origin.OUTCOME:
            self._early.append(fact)
        elif isinstance(fact.value, bytes):
            if not fact.value:  # the end of the stream
                self._rest(fact.at)
            self._bytes(fact.at, fact.origin, self._streams[fact.origin].take(fact.value))
        else:
            if self._early is not None:  # the runner itself failed, before it knew of anything
                self._begin(Run(None, None))
            if isinstance(fact.value, Outcome) and fact.value.finding is not None:
                self.failed = True
            # A replay stops at such a fact, and has by then what the run had.
            self._rest(fact.at)
            self._line(fact.at, fact.origin, "data", self._mask.texts(fact.value))
            self._flush()
            if fact.origin is Origin.UV_EXIT:  # the next uv's words have a head of their own
                self._streams[Origin.UV_STDERR] = _Stream(Origin.UV_STDERR, self._mask)

    def _begin(self, run: Run) -> None:
        """Write the first line, and the facts from before it."""
        known = self._mask.texts(run)
        command = self._mask.texts(self._command)
        header = Header(
            bundle=known.bundle, worker=known.worker, command=command, masked=self._mask.stand_ins
        )
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
        with self._trying():
            self._file.close()

    def _rest(self, at: float) -> None:
        """Write what the streams held back."""
        for origin, stream in self._streams.items():
            skipped, tail = stream.rest()
            if skipped:
                self._line(at, origin, "skipped", skipped)
            if tail:
                self._bytes(at, origin, tail)

    def _bytes(self, at: float, origin: Origin, data: bytes | None) -> None:
        if data is None:
            return
        try:
            self._line(at, origin, "text", data.decode())
        except UnicodeDecodeError:
            self._line(at, origin, "base64", data)

    def _line(self, at: float, origin: Origin, kind: str, content: object) -> None:
        self._write({"at": at, "source": origin, kind: content})

    def _write(self, line: object) -> None:
        if not self.complete:
            return
        # Not as msgspec writes JSON: a path may have bytes in it that are no UTF-8 (PEP 383), which
        # the standard library can say and read again.
        text = json.dumps(msgspec.to_builtins(line, enc_hook=str), separators=(",", ":"))
        with self._trying():
            self._file.write(text.encode() + b"\n")

    def _flush(self) -> None:
        if self.complete:
            with self._trying():  # now: a worker that is killed leaves what it has seen
                self._file.flush()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self.complete:
                self.complete = False
                _log.warning("%s is not complete: %s", self.path, error.strerror)


class _Stream:
    """Masks a stream, lets its head through, and holds back its tail.

    What is held back is masked when it is known to be the tail: most of a long stream never is.
    """

    def __init__(self, origin: Origin, mask: Mask) -> None:
        self._mask = mask
        self._json = origin is Origin.CHILD_WIRE
        self._begun = b""
        """The end of the head that may be the beginning of a secret."""
        self._room = _HEAD_BYTES[origin]
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._skipped = 0

    def take(self, data: bytes) -> bytes | None:
        """Return what there is to write now; ``b""`` is the end of the stream."""
        if not data:
            return data
        if not self._room:
            self._hold(data)
            return None
        data = self._mask.data(self._begun + data, json=self._json)
        cut = len(data) - self._mask.begun(data, json=self._json)
        head = data[: min(cut, self._room)]
        self._room -= len(head)
        self._begun = data[len(head) :]
        if not self._room:
            self._hold(self._begun)
            self._begun = b""
        return head or None

    def rest(self) -> tuple[int, bytes]:
        """How many bytes were left out, and what was held back."""
        data = self._mask.data(self._begun + b"".join(self._held), json=self._json)
        skipped = self._skipped
        if skipped:
            # A secret that begins in what was left out ends in here.
            data = data[LONGEST_BYTES:]
            skipped += LONGEST_BYTES
        self._room -= min(self._room, len(data))
        self._begun = b""
        self._held.clear()
        self._held_bytes = self._skipped = 0
        return skipped, self._mask.rest(data)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._held_bytes += len(data)
        while self._held_bytes - len(self._held[0]) >= _TAIL_BYTES + LONGEST_BYTES:
            gone = len(self._held.popleft())
            self._held_bytes -= gone
            self._skipped += gone


def record_in_free(
    folder: Path, command: Sequence[str], environ: Mapping[str, str] = os.environ
) -> Recorder:
    """A recorder in the folder, or in ``2``, ``3``, ... of it where there is a recording already.

    :raises OSError: the file cannot be made.
    """
    number = 1
    while True:
        try:
            place = folder if number == 1 else folder / str(number)
            return Recorder(place, command, environ=environ)
        except FileExistsError:
            number += 1
        except FileNotFoundError:
            # Another run went well, and has just removed the folder with its recording.
            continue
