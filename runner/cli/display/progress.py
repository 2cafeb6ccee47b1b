"""How far a run of many tasks is: a display on a terminal, a line now and then in a log."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from runner.cli.display.running import Running
from runner.cli.study.seed_effect import SeedEffect
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.text import duration
from runner.study.lines import DoneLine
from runner.task import Task

LOG_SECONDS = 10.0
"""How long a log has nothing to read, at least, after a line on the progress."""


class Totals:
    """The outcomes of the tasks so far.

    :param total: how many there are.
    :param skipped: how many of them an earlier run has done.
    :param failed_before: those that have failed in one, and are not run again.
    """

    def __init__(
        self, total: int, skipped: int, failed_before: Counter[Code] | None = None
    ) -> None:
        self.total = total
        self.skipped = skipped
        self.failed_before = failed_before or Counter()
        self.done = 0
        self.failures: Counter[Code] = Counter()
        self.seed_effect = SeedEffect()
        self._began = time.monotonic()
        self._first_began: float | None = None

    def begin(self) -> None:
        """A task begins: the rate counts from the first, and not from the environment's build."""
        if self._first_began is None:
            self._first_began = time.monotonic()

    def add_done(self, task: Task, line: DoneLine) -> None:
        self.done += 1
        self.seed_effect.done(task, line)

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def left(self) -> int:
        ended = self.skipped + self.done + self.failed + self.failed_before.total()
        return self.total - ended

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def line(self) -> str:
        """The progress on one line, with the rate and the time that is left."""
        parts = [f"{self.skipped + self.done} of {self.total} done", f"{self.failed} failed"]
        ended = self.done + self.failed
        if ended and self._first_began is not None:
            rate = ended / (time.monotonic() - self._first_began)
            pace = f"{rate:.1f} a second" if rate >= 1 else f"{60 * rate:.1f} a minute"
            parts += [pace, f"{duration(self.left / rate)} left"]
        return ", ".join(parts)


class Progress:
    """Shows nothing but what fails."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def update(self) -> None:
        """A task has ended."""

    def refresh(self) -> None:
        """Show how far it is by now; to be called every now and then."""

    def say(self, text: str) -> None:
        """Show a line."""

    def fail(self, text: str) -> None:
        """Show a line on what has failed."""
        print(text, file=self._file, flush=True)


class _Log(Progress):
    def __init__(self, totals: Totals, file: TextIO, running: Running) -> None:
        super().__init__(file)
        self._totals = totals
        self._running = running
        self._due = time.monotonic() + LOG_SECONDS

    def update(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        now = time.monotonic()
        if now >= self._due and self._totals.left:
            self._due = now + LOG_SECONDS
            self.say("; ".join([self._totals.line(), *self._running.lines(now, 2)]))

    def say(self, text: str) -> None:
        with suppress(BrokenPipeError):  # nobody reads it; the results are what counts
            print(text, file=self._file, flush=True)

    fail = say


@contextmanager
def shown_progress(
    totals: Totals, file: TextIO, running: Running | None = None, *, quiet: bool = False
) -> Iterator[Progress]:
    """Show the progress until leaving."""
    running = Running(str) if running is None else running
    if quiet:
        yield Progress(file)
    elif not file.isatty():
        yield _Log(totals, file, running)
    else:
        from runner.cli.display.terminal_progress import terminal_progress

        with terminal_progress(totals, file, running) as progress:
            yield progress
