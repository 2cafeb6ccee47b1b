"""How far a run of many tasks is: a bar on a terminal, a line now and then in a log."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol, TextIO

from runner.diagnosis.report.codes import Code

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
        self._began = time.monotonic()
        self._first_began: float | None = None

    def begin(self) -> None:
        """A task begins: the rate counts from the first, and not from the environment's build."""
        if self._first_began is None:
            self._first_began = time.monotonic()

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


def duration(seconds: float) -> str:
    """A duration for people: ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress(Protocol):
    def update(self) -> None:
        """A task has ended."""

    def say(self, text: str) -> None:
        """Show a line."""


class _Log:
    def __init__(self, totals: Totals, file: TextIO) -> None:
        self._totals = totals
        self._file = file
        self._due = time.monotonic() + LOG_SECONDS

    def update(self) -> None:
        now = time.monotonic()
        if now >= self._due and self._totals.left:
            self._due = now + LOG_SECONDS
            self.say(self._totals.line())

    def say(self, text: str) -> None:
        with suppress(BrokenPipeError):  # nobody reads it; the results are what counts
            print(text, file=self._file, flush=True)


@contextmanager
def shown_progress(totals: Totals, file: TextIO) -> Iterator[Progress]:
    """Show the progress until leaving."""
    if not file.isatty():
        yield _Log(totals, file)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        BarColumn(bar_width=None),
        TextColumn("{task.description}", markup=False),
        console=Console(file=file),
        transient=True,
        expand=True,
    )
    number = bar.add_task(totals.line(), total=totals.total, completed=totals.skipped)

    class OnTerminal:
        def update(self) -> None:
            ended = totals.total - totals.left
            bar.update(number, completed=ended, description=totals.line())

        def say(self, text: str) -> None:
            bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    with bar:
        yield OnTerminal()
