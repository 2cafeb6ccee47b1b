"""Shows a run on standard error while it happens: what the child prints, what uv does, notes."""

import sys
from typing import TextIO

from runner.diagnosis.text import LineDecoder
from runner.events import Event, Note, Output, Stream

_LABELS = {
    Stream.STDOUT: "out",
    Stream.STDERR: "err",
    Stream.NOISE: "wire",
    Stream.UV: "uv",
}


class Live:
    """Writes each piece of output as it comes, each line labelled with the stream it is from."""

    def __init__(self, file: TextIO = sys.stderr) -> None:
        self._file = file
        self._decoders = {stream: LineDecoder() for stream in Stream}
        self._open_line: Stream | None = None
        """The stream whose line has no end yet."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Output):
            self._write(event.stream, self._decoders[event.stream].feed(event.data))
        elif isinstance(event, Note):
            self.close_line()
            self._file.write(f"note: {event.text}\n")
        else:
            return
        self._file.flush()

    def close_line(self) -> None:
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
