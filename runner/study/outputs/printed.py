"""The text that a task has printed, kept beside its outputs: each stream's head and tail."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from runner.diagnosis.report.text import Capture
from runner.events import Event, Output, Phase, PhaseStarted, Stream
from runner.study.output_files import RESERVED, OutputFile
from runner.study.outputs.places import is_folder, put, remove_anything, set_aside

_STREAMS = {Stream.STDOUT: "stdout", Stream.STDERR: "stderr"}


class Printed:
    """Keeps what tasks print, each until it has ended."""

    def __init__(self) -> None:
        self._captures: dict[int | None, dict[str, Capture]] = {}

    def listen(self, event: Event) -> None:
        """Take an event of a run."""
        number = event.task_id
        if isinstance(event, PhaseStarted) and event.phase is Phase.EXECUTE:
            self._captures[number] = {}  # what came before is the import's
        elif isinstance(event, Output) and event.stream in _STREAMS and number in self._captures:
            streams = self._captures[number]
            streams.setdefault(_STREAMS[event.stream], Capture()).feed(event.data)

    def take(self, number: int | None) -> dict[str, str]:
        """The output that a task has printed, by stream; it has ended.

        :param number: the task's; ``None``: it is the only one.
        """
        streams = self._captures.pop(number, {})
        return {name: capture.excerpt().text for name, capture in streams.items()}


def write_printed(
    printed: Mapping[str, str], outputs: Path, taken: Iterable[str], say: Callable[[str], None]
) -> dict[str, OutputFile]:
    """Write what a task has printed.

    :raises OSError: it could not be written.
    """
    described = {}
    for name, text in printed.items():
        data = text.encode("utf-8", "backslashreplace")
        if not is_folder(outputs):
            set_aside(outputs, say)
            outputs.mkdir()
        path = outputs / (f"{name}%" if name in taken else name)
        new = outputs / f"{RESERVED}.{name}"
        remove_anything(new)
        try:
            with new.open("xb") as file:
                file.write(data)
            put(new, path, say)
        finally:
            new.unlink(missing_ok=True)
        described[name] = OutputFile.of(data, path)
    return described


def remove_printed(outputs: Path, names: Iterable[str]) -> None:
    """Remove what a task has printed, from the folder of its outputs."""
    for name in names:
        # One is an output where the other is.
        own = outputs / f"{name}%" if (outputs / f"{name}%").exists() else outputs / name
        with suppress(OSError):
            own.unlink()
