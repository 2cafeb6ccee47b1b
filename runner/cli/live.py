"""Shows a run on standard error while it happens: what the child prints, what uv does, notes."""

import time
from typing import TextIO

from runner.diagnosis.report.text import LineDecoder, one_line
from runner.events import Event, Note, Output, Phase, PhaseFinished, PhaseStarted, Stream

_LABELS = {
    Stream.STDOUT: "out",
    Stream.STDERR: "err",
    Stream.NOISE: "wire",
    Stream.UV: "uv",
}

# What a person waits for, once it has taken a while.
_DOING = {
    Phase.INTERPRETER: "looking for an interpreter",
    Phase.ENVIRONMENT: "making the environment",
    Phase.LOAD: "loading the bundle",
    Phase.EXECUTE: "running the task",
}
_SHOW_AFTER_SECONDS = 1.0
_STATUS_WIDTH = 70
_CLEAR_LINE = "\r\x1b[K"  # ECMA-48 EL


class Live:
    """Writes each piece of output as it comes, each line labelled with the stream it is from.

    On a terminal, :meth:`tick` shows what is being done and for how long, below all that.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoders = {stream: LineDecoder() for stream in Stream}
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
        if phase is None or self._open_line is not None or phase.phase not in _DOING:
            return
        seconds = time.monotonic() - phase.at
        if seconds >= _SHOW_AFTER_SECONDS:
            said = f" · uv: {self._uv}" if self._uv else ""
            status = one_line(f"{_DOING[phase.phase]}, {seconds:.0f} s{said}", _STATUS_WIDTH)
            self._file.write(_CLEAR_LINE + status)
            self._file.flush()
            self._has_status = True

    def _clear_status(self) -> None:
        if self._has_status:
            self._file.write(_CLEAR_LINE)
            self._has_status = False

    def __call__(self, event: Event) -> None:
        self._clear_status()
        if isinstance(event, PhaseStarted):
            self._phase, self._uv = event, ""
            return
        if isinstance(event, PhaseFinished):
            self._phase = None
        if isinstance(event, Output):
            self._write(event.stream, self._decoders[event.stream].feed(event.data))
        elif isinstance(event, Note):
            self.close_line()
            self._file.write(f"note: {event.text}\n")
        else:
            return
        self._file.flush()

    def close_line(self) -> None:
        self._clear_status()
        if self._open_line is not None:
            self._file.write("\n")
            self._open_line = None

    def _write(self, stream: Stream, text: str) -> None:
        if self._open_line not in (None, stream):
            self.close_line()
        label = f"{_LABELS[stream]:>4} | "
        for line in text.splitlines(keepends=True):
            if self._open_line is None:
                self._file.write(label)
            self._file.write(line)
            self._open_line = None if line.endswith("\n") else stream
        if stream is Stream.UV and text.strip():
            self._uv = text.strip().splitlines()[-1]
