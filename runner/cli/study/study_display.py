"""Shows what becomes of a study while it runs: its progress, what fails, notes, what uv says."""

import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from runner.cli.command_line.commands import Exec
from runner.cli.command_line.verbosity import Verbosity
from runner.cli.display.progress import Progress, Totals, shown_progress
from runner.cli.display.running import PrintedLines, Running
from runner.diagnosis.case import SUMMARY_CHARACTERS
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.sanitise import sanitise_text
from runner.diagnosis.report.shown_lines import ShownLines
from runner.diagnosis.report.text import one_line, printable
from runner.events import Event, Note, Output, PhaseFinished, PhaseStarted, Stream
from runner.result import Result
from runner.study.outputs.kept_files import left_note
from runner.study.plan import GivenTask

SHOWN_FAILURES = 5
"""How many failures are shown as they happen."""

SHOWN_NOTES = 20
"""How many different notes are shown as they come; thousands of tasks may each have the same."""


class StudyDisplay:
    """The display of a study, from any thread.

    :param notes: those that have been shown already.
    """

    def __init__(
        self,
        command: Exec,
        progress: Progress,
        running: Running,
        in_hand: dict[int, tuple[int, GivenTask]],
        secrets: list[str],
        notes: Iterable[str],
    ) -> None:
        self._command = command
        self._verbose = command.verbosity is Verbosity.VERBOSE
        self._secrets = secrets
        self._running = running
        self._uv = ShownLines(secrets)
        self._printed = PrintedLines(running.name, secrets)
        self._failures = 0
        self._shown_notes = set(notes)
        self._left_shown = False
        self._progress = progress
        self._lock = threading.RLock()
        self.in_hand = in_hand
        """The tasks that have begun, by their numbers in the run, with those in the study."""

    def say(self, text: str) -> None:
        """Show a line."""
        with self._lock:
            self._progress.say(text)

    def note(self, text: str) -> None:
        """Show something that is not as a user would expect it."""
        self.say(f"note: {text}")

    def refresh(self) -> None:
        """Show how far the study is."""
        with self._lock:
            self._progress.refresh()
            sys.stderr.flush()

    def listen(self, event: Event) -> None:
        """Show notes and what uv says, and not what thousands of tasks print: that is kept."""
        self._running.listen(event)
        if not self._verbose and isinstance(event, PhaseStarted | PhaseFinished):
            return  # of each small task: no lock is waited for
        with self._lock:
            if isinstance(event, Note):
                self._show_notes((event.text,))
            elif isinstance(event, Output) and event.stream is Stream.UV:
                for line in self._uv.feed(event.data):
                    self.say(f"  uv | {line}")
            if self._verbose:
                for line in self._printed.lines(event):
                    self.say(line)

    def done(self, index: int, given: GivenTask, result: Result, asides: Sequence[str]) -> None:
        """Show what there is to say of a task that was done.

        :param asides: of what was in the way of its outputs.
        """
        with self._lock:
            self._show_notes((*result.notes, *asides))
            self._show_left(result)
            if self._verbose:
                self.say(f"{task_name(index, given)}: done, {result.timings.total_seconds:.3f} s")
            self._progress.update()

    def failed(self, index: int, given: GivenTask, error: RunnerError) -> None:
        """Show that a task has failed; of many, the first ones."""
        self._failures += 1
        if self._verbose or self._failures <= SHOWN_FAILURES:
            text = printable(f"{task_name(index, given)}: {error}")
            with self._lock:
                self._progress.fail(one_line(text, SUMMARY_CHARACTERS))
                self._progress.update()

    def _show_notes(self, notes: tuple[str, ...]) -> None:
        for note in notes:
            if note not in self._shown_notes and len(self._shown_notes) < SHOWN_NOTES:
                self._shown_notes.add(note)
                self.say(f"note: {sanitise_text(note, self._secrets)}")

    def _show_left(self, result: Result) -> None:
        """Say once that tasks leave files which are not kept."""
        left = left_note(result, kept=self._command.output is not None)
        if left is not None and not self._left_shown:
            self._left_shown = True
            self.say(f"note: {left}")


@contextmanager
def shown_study(
    command: Exec, totals: Totals, secrets: list[str], notes: Iterable[str]
) -> Iterator[StudyDisplay]:
    """Show a study until leaving.

    :param notes: those that have been shown already: each preparation of the bundle has them.
    """
    in_hand: dict[int, tuple[int, GivenTask]] = {}

    def name(number: int) -> str:
        return task_name(*in_hand[number]) if number in in_hand else "a task"

    running = Running(name, secrets)
    quiet = command.verbosity is Verbosity.QUIET
    with shown_progress(totals, sys.stderr, running, quiet=quiet) as progress:
        yield StudyDisplay(command, progress, running, in_hand, secrets, notes)


def task_name(index: int, given: GivenTask) -> str:
    """The name of a task: its number in the study, and what the caller calls it."""
    return f"task {index}" + ("" if given.id is None else f" ({given.id})")
