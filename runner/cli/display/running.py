"""The state of a run's tasks, one line for each child; sans-IO."""

import re
from collections.abc import Callable, Iterable, Iterator

from runner.diagnosis.report.shown_lines import ShownLines
from runner.diagnosis.report.text import duration, one_line
from runner.events import Event, Output, Phase, PhaseFinished, PhaseStarted, Stream

DOING = {
    Phase.INTERPRETER: "looking for an interpreter",
    Phase.ENVIRONMENT: "making the environment",
    Phase.SPAWN: "starting a child",
    Phase.HANDSHAKE: "starting a child",
    Phase.LOAD: "loading the bundle",
    Phase.EXECUTE: "running the task",
}
"""The phases that a person waits for, in words."""

_LABELS = {Stream.STDOUT: "out", Stream.STDERR: "err"}

_TAIL_BYTES = 2048
_LINE_END = re.compile(rb"[\r\n]")


class _Task:
    """A task that is under way."""

    __slots__ = ("phase", "since", "tail")

    def __init__(self, phase: Phase, since: float) -> None:
        self.phase = phase
        self.since = since
        self.tail = b""
        """The last that it has printed, or that uv has said."""


class Running:
    """The tasks that are under way, as their events tell it.

    :param name: what a task is called, by its number in the run.
    """

    def __init__(self, name: Callable[[int], str], secrets: Iterable[str] = ()) -> None:
        self.name = name
        self._secrets = list(secrets)
        self._tasks: dict[int | None, _Task] = {}

    def listen(self, event: Event) -> None:
        """Take an event of the run, or of one of its tasks."""
        if isinstance(event, PhaseStarted):
            if event.phase in DOING:
                self._tasks[event.task_id] = _Task(event.phase, event.at)
        elif isinstance(event, PhaseFinished):
            self._tasks.pop(event.task_id, None)
        elif isinstance(event, Output):
            task = self._tasks.get(event.task_id)
            if task is not None:
                task.tail = (task.tail + event.data)[-_TAIL_BYTES:]

    def lines(self, now: float, most: int) -> list[str]:
        """A line for each, those first that take longest."""
        # A copy: other threads go on.
        tasks = sorted(self._tasks.copy().items(), key=lambda item: item[1].since)
        if len(tasks) > most:
            left_out = len(tasks) - most + 1
            tasks = tasks[: most - 1]
            return [*self._shown(tasks, now), f"and {left_out} more"] if most > 0 else []
        return list(self._shown(tasks, now))

    def _shown(self, tasks: list[tuple[int | None, _Task]], now: float) -> Iterator[str]:
        for number, task in tasks:
            doing = DOING[task.phase]
            if number is not None:
                name = self.name(number)
                doing = name if task.phase is Phase.EXECUTE else f"{name}, {doing}"
            said = self._last_line(task.tail)
            line = f"{doing}, {duration(now - task.since)}" + (f": {said}" if said else "")
            yield one_line(line, 300)

    def _last_line(self, tail: bytes) -> str:
        """The last line in what was printed; of a progress bar, its last state."""
        if len(tail) == _TAIL_BYTES:
            # Its first line may be cut, in the middle of a secret.
            end = _LINE_END.search(tail)
            tail = b"" if end is None else tail[end.end() :]
        lines = ShownLines(self._secrets)
        ended = lines.feed(tail)
        begun = lines.begun.strip()
        return begun or next((line.strip() for line in reversed(ended) if line.strip()), "")


class PrintedLines:
    """The lines that tasks print, each with the name of its task before it."""

    def __init__(self, name: Callable[[int], str], secrets: Iterable[str] = ()) -> None:
        self._name = name
        self._secrets = list(secrets)
        self._streams: dict[tuple[int, Stream], ShownLines] = {}

    def lines(self, event: Event) -> list[str]:
        """Return the lines that have ended with an event."""
        number = event.task_id
        if number is None:
            return []
        ended = []
        if isinstance(event, Output) and event.stream in _LABELS:
            key = number, event.stream
            if key not in self._streams:
                self._streams[key] = ShownLines(self._secrets)
            ended = [(event.stream, self._streams[key].feed(event.data))]
        elif isinstance(event, PhaseFinished) and event.phase is Phase.EXECUTE:
            ended = [
                (stream, self._streams.pop((number, stream)).feed(b"", final=True))
                for stream in _LABELS
                if (number, stream) in self._streams
            ]
        name = self._name(number)
        return [f"{name} {_LABELS[stream]} | {line}" for stream, lines in ended for line in lines]
