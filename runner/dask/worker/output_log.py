"""Puts what a task's child writes into the worker's log and among Dask's events."""

import logging
import os
from collections.abc import Mapping
from functools import lru_cache

from distributed import Worker

from runner.dask.throttled_log import ThrottledLog
from runner.diagnosis.report.model import Report
from runner.diagnosis.report.sanitise import sanitise_text, secrets_of
from runner.diagnosis.report.shown_lines import ShownLines
from runner.events import Event, Note, Output, Stream
from runner.study.outputs.printed import Printed

# Dask's own handlers show what is logged below "distributed".
log = logging.getLogger("distributed.modelops_runner")

throttled = ThrottledLog(log)

TOPIC = "modelops-runner"

# What a task writes beyond these many lines is counted: a log is read by people, and Dask keeps
# events in the scheduler's memory.
LOG_LINES = 1000
EVENT_LINES = 100


@lru_cache(maxsize=1)
def _secrets(environ: tuple[tuple[str, str], ...]) -> list[str]:
    """As :func:`secrets_of`, which takes as long as a tenth of a small task."""
    return secrets_of(dict(environ))


class OutputLog:
    """The output of one task.

    :param key: the task's, in Dask.
    """

    def __init__(self, key: str, worker: Worker) -> None:
        self._key = key
        self._worker = worker
        self.variables: Mapping[str, str] = {}
        """Those that the worker's settings give to children."""
        self._shown: dict[Stream, ShownLines] = {}
        self._printed = Printed()
        self._lines = 0

    def handle(self, event: Event) -> None:
        self._printed.listen(event)
        if isinstance(event, Output):
            if event.stream not in self._shown:
                self._shown[event.stream] = ShownLines(self._secrets())
            for line in self._shown[event.stream].feed(event.data):
                self._line(event.stream, line)
        elif isinstance(event, Note):
            log.info("[%s] note: %s", self._key, event.text)

    def failed(self, report: Report) -> None:
        line = ("[%s] %s: %s", self._key, report.code.value, report.summary)
        if report.retryable:  # it may be the fault of the worker, and so of all its tasks
            throttled.say(logging.ERROR, report.summary, *line)
        else:
            log.error(*line)
        self._event(code=report.code.value, summary=report.summary, report=report.id)

    def printed(self) -> dict[str, str]:
        """The output that the task has printed, by stream, as a study's folder keeps it."""
        printed = self._printed.take(0)
        if not printed:
            return {}
        secrets = self._secrets()
        return {name: sanitise_text(text, secrets) for name, text in printed.items()}

    def close(self) -> None:
        """The task has ended: what it has written last has no line end."""
        for stream, shown in self._shown.items():
            for line in shown.feed(b"", final=True):
                self._line(stream, line)
        if self._lines > LOG_LINES:
            log.warning("[%s] %d more lines", self._key, self._lines - LOG_LINES)

    def _secrets(self) -> list[str]:
        return _secrets((*os.environ.items(), *self.variables.items()))

    def _line(self, stream: Stream, line: str) -> None:
        self._lines += 1
        if self._lines <= LOG_LINES:
            log.info("[%s] %s | %s", self._key, stream.value, line)
        if self._lines <= EVENT_LINES:
            self._event(stream=stream.value, line=line)

    def _event(self, **said: str) -> None:
        self._worker.log_event(TOPIC, {"key": self._key, **said})
