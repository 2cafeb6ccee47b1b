"""Shows a run on standard error while it happens: what the child prints, what uv does, notes."""

import shutil
import time
from collections.abc import Iterable
from typing import TextIO

from runner.cli.command_line.verbosity import Verbosity
from runner.cli.display.running import DOING
from runner.diagnosis.report.sanitise import sanitise_text
from runner.diagnosis.report.shown_lines import ShownLines
from runner.diagnosis.report.text import one_line
from runner.events import Event, Note, Output, PhaseFinished, PhaseStarted, Stream

_LABELS = {Stream.STDOUT: "out", Stream.STDERR: "err", Stream.NOISE: "wire", Stream.UV: "uv"}
_SHOW_AFTER_SECONDS = 1.0
_STATUS_WIDTH = 70
_LABEL_WIDTH = 7
_CLEAR_LINE = "\r\x1b[K"  # ECMA-48 EL


class Live:
    """Writes each piece of output as it comes, each line labelled with the stream it is from.

    On a terminal, :meth:`tick` shows what is being done and for how long, below all that.
    """

    def __init__(
        self, file: TextIO, secrets: Iterable[str] = (), verbosity: Verbosity = Verbosity.NORMAL
    ) -> None:
        self._file = file
        self._verbosity = verbosity
        self._secrets = list(secrets)
        self._lines = {stream: ShownLines(self._secrets) for stream in Stream}
        self._shown = dict.fromkeys(Stream, "")
        """The part of each stream's last line that has been shown."""
        self._open_line: Stream | None = None
        """The stream whose line has no end yet."""
        self._phase: PhaseStarted | None = None
        self._uv = ""
        """The last that uv said."""
        self._has_status = False

    @property
    def on_terminal(self) -> bool:
        return self._file.isatty()

    def tick(self) -> None:
        """Show for how long what is being done; to be called every now and then."""
        phase = self._phase
        if phase is None or self._open_line is not None or phase.phase not in DOING:
            return
        seconds = time.monotonic() - phase.at
        if seconds >= _SHOW_AFTER_SECONDS:
            said = f" · uv: {self._uv}" if self._uv else ""
            status = one_line(f"{DOING[phase.phase]}, {seconds:.0f} s{said}", _STATUS_WIDTH)
            self._file.write(_CLEAR_LINE + status)
            self._file.flush()
            self._has_status = True

    def refresh(self) -> None:
        """As :meth:`tick`, where that is seen; write what its reader had no room for."""
        if self.on_terminal and self._verbosity is not Verbosity.QUIET:
            self.tick()
        self._file.flush()

    def _clear_status(self) -> None:
        if self._has_status:
            self._file.write(_CLEAR_LINE)
            self._has_status = False

    def __call__(self, event: Event) -> None:
        if self._verbosity is Verbosity.QUIET:
            return
        self._clear_status()
        if isinstance(event, PhaseStarted):
            self._phase, self._uv = event, ""
            return
        if isinstance(event, PhaseFinished):
            self._phase = None
            if self._verbosity is not Verbosity.VERBOSE:
                return
            self._close_line()
            ended = "" if event.outcome == "ok" else f" ({event.outcome})"
            self._file.write(f"{event.phase.value}: {event.seconds:.3f} s{ended}\n")
        elif isinstance(event, Output):
            self._output(event.stream, event.data)
        elif isinstance(event, Note):
            self.note(event.text)
        else:
            return
        self._file.flush()

    def note(self, text: str) -> None:
        """Show a note by itself."""
        self._close_line()
        self._file.write(f"note: {sanitise_text(text, self._secrets)}\n")

    def close(self) -> None:
        """Show what has not ended, and leave the cursor at the beginning of a line."""
        self._clear_status()
        for stream in Stream:
            self._output(stream, b"", final=True)
        self._close_line()
        self._file.flush()

    def _close_line(self) -> None:
        if self._open_line is not None:
            self._file.write("\n")
            self._open_line = None

    def _output(self, stream: Stream, data: bytes, *, final: bool = False) -> None:
        lines = self._lines[stream]
        for line in lines.feed(data, final=final):
            self._show(stream, line)
            self._file.write("\n")
            self._open_line, self._shown[stream] = None, ""
            if stream is Stream.UV and line.strip():
                self._uv = line.strip()
        begun = lines.begun
        if lines.is_rewritten:
            # In a log, the last state of a progress bar is enough.
            width = shutil.get_terminal_size().columns - _LABEL_WIDTH - 1
            begun = begun[:width] if self.on_terminal else ""
        # A quote that has been shown is no part of it any more, once a word goes on behind it.
        if begun and not self._shown[stream].startswith(begun):
            self._show(stream, begun)
            self._open_line, self._shown[stream] = stream, begun

    def _show(self, stream: Stream, text: str) -> None:
        """Show a line, or what there is of it, after what has been shown of it already."""
        label = f"{_LABELS[stream]:>4} | "
        shown = self._shown[stream]
        if self._open_line not in (None, stream):
            self._close_line()
        if not text.startswith(shown):
            shown = ""
            if self._open_line is stream:
                if self.on_terminal:
                    self._file.write(_CLEAR_LINE)
                else:
                    self._close_line()
                self._open_line = None
        self._file.write(
            text[len(shown) :] if self._open_line is stream else label + text[len(shown) :]
        )
