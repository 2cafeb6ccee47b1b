"""The display of a run of many tasks on a terminal: a bar, and what each child is at."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from runner.cli.display.progress import Progress, Totals
from runner.cli.display.running import Running

_REFRESH_SECONDS = 0.1
_OTHER_LINES = 2
"""The lines of the terminal that are not for tasks: the bar, and where the cursor is."""


class _OnTerminal(Progress):
    def __init__(self, totals: Totals, file: TextIO, running: Running) -> None:
        super().__init__(file)
        self._totals = totals
        self._running = running
        self._console = Console(file=file)
        self._bar = Bar(
            BarColumn(bar_width=None),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            expand=True,
        )
        self._number = self._bar.add_task(totals.line(), total=totals.total)
        self.live = Live(
            console=self._console, get_renderable=self._shown, transient=True, auto_refresh=False
        )
        self._due = 0.0

    def update(self) -> None:
        now = time.monotonic()
        if now >= self._due:  # to draw takes a thousand times as long as a small task
            self.refresh()

    def refresh(self) -> None:
        self.live.refresh()
        self._due = time.monotonic() + _REFRESH_SECONDS

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    fail = say

    def _shown(self) -> Group:
        totals = self._totals
        ended = totals.total - totals.left
        self._bar.update(self._number, completed=ended, description=totals.line())
        most = max(self._console.size.height - _OTHER_LINES, 0)
        lines = self._running.lines(time.monotonic(), most)
        shown = (Text(f"  {line}", no_wrap=True, overflow="ellipsis") for line in lines)
        return Group(self._bar.get_renderable(), *shown)


@contextmanager
def terminal_progress(totals: Totals, file: TextIO, running: Running) -> Iterator[_OnTerminal]:
    """Show the progress until leaving."""
    shown = _OnTerminal(totals, file, running)
    with shown.live:
        yield shown
