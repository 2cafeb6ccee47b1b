"""Writes the events of runs to the standard library's ``logging``."""

import logging
import os
import threading

from runner.diagnosis.report.sanitise import secrets_of
from runner.diagnosis.report.shown_lines import ShownLines
from runner.events import Diagnosed, Event, Note, Output, Phase, PhaseFinished, PhaseStarted, Stream

_MOST_STREAMS = 1000
_SHOWN_ID = 8


class LoggingHandler:
    """An event handler that logs: ``Runner(on_event=LoggingHandler())``; from any thread.

    What the bundle's code and uv write is of level INFO, line by line; notes too; the phases of a
    run are DEBUG, its failure is ERROR. Each record has the attributes ``run_id`` and ``task_id``,
    for formatters and filters; its message begins with them.

    :param logger: by default ``logging.getLogger("runner.run")``.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("runner.run") if logger is None else logger
        self._lock = threading.Lock()
        self._secrets = secrets_of(os.environ)
        self._streams: dict[tuple[str, int | None, Stream], tuple[Output, ShownLines]] = {}
        """The streams that may go on."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, Output):
            with self._lock:
                self._output(event)
        elif isinstance(event, Note):
            self._log(logging.INFO, event, "note: %s", event.text)
        elif isinstance(event, PhaseStarted):
            self._log(logging.DEBUG, event, "%s started", event.phase.value)
        elif isinstance(event, PhaseFinished):
            if event.phase in (Phase.EXECUTE, Phase.SHUTDOWN) or event.outcome != "ok":
                with self._lock:
                    self._end(event)
            said = "%s %s after %.3f s"
            self._log(logging.DEBUG, event, said, event.phase.value, event.outcome, event.seconds)
        elif isinstance(event, Diagnosed):
            self._log(logging.ERROR, event, "%s: %s", event.code, event.summary)

    def _output(self, event: Output) -> None:
        key = event.run_id, event.task_id, event.stream
        _, shown = self._streams.pop(key, (event, None))
        shown = shown or ShownLines(self._secrets)
        self._lines(event, shown.feed(event.data))
        self._streams[key] = event, shown
        if len(self._streams) > _MOST_STREAMS:  # such as of tasks that wrote after their end
            self._end(next(iter(self._streams.values()))[0])

    def _end(self, event: Event) -> None:
        """Nothing follows of a run's task that would end its lines."""
        for stream in Stream:
            found = self._streams.pop((event.run_id, event.task_id, stream), None)
            if found is not None:
                self._lines(found[0], found[1].feed(b"", final=True))

    def _lines(self, event: Output, lines: list[str]) -> None:
        for line in lines:
            self._log(logging.INFO, event, "%s | %s", event.stream.value, line)

    def _log(self, level: int, event: Event, message: str, *arguments: object) -> None:
        name = event.run_id[:_SHOWN_ID]
        if event.task_id is not None:
            name += f"/{event.task_id}"
        ids = {"run_id": event.run_id, "task_id": event.task_id}
        self._logger.log(level, f"[%s] {message}", name, *arguments, extra=ids)
