"""The results of a study's tasks: their outputs and files, what they print, and a line of each."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from runner.diagnosis.case import Failure
from runner.diagnosis.report.model import Report
from runner.execution.bounded_map import Outcome
from runner.result import Result
from runner.study.line_writer import Lines, StdoutError, encoded
from runner.study.lines import DoneLine, FailedLine, Manifest
from runner.study.output_files import OutputFile, describe_outputs, outputs_folder
from runner.study.outputs.kept_files import kept_files, remove_files
from runner.study.outputs.outputs_folder import write_outputs
from runner.study.outputs.printed import Printed, remove_printed, write_printed
from runner.study.plan import GivenTask
from runner.study.result_lines import discard
from runner.study.task_lines import TaskLines
from runner.study.writing import not_kept, results_into, results_size


class TaskResults:
    """Writes what tasks come to, in a thread: outputs may be large.

    :param output: the study's folder; ``None``: nothing but the lines is kept.
    :param made: the outputs and files that earlier runs have left there, by the tasks' numbers.
    """

    def __init__(
        self, output: Path | None, made: Mapping[int, Manifest], lines: TaskLines, file: Lines
    ) -> None:
        self._output = output
        self._made = made
        self._lines = lines
        self._file = file
        self.printed = Printed()
        self.asides: list[str] = []
        """Things that were in the way, and have another name now."""

    def keep(
        self,
        number: int,
        given: GivenTask,
        outcome: Outcome,
        printed: Mapping[str, str],
        check: Callable[[], None] = lambda: None,
    ) -> DoneLine | FailedLine:
        """Write what a task has come to, and its line.

        :param check: is called while the line waits for a pipe's reader.
        :returns: the line.
        :raises Failure: there is no room, or it may not be written.
        :raises StdoutError: nobody takes the line.
        :raises OSError: outputs could not be written.
        """
        line: DoneLine | FailedLine
        if isinstance(outcome, Result):
            line = self._done(number, given, outcome, printed)
        else:
            line = self._failed(number, given, outcome.report, printed)
        try:
            self._file.write(line, check)
        except OSError as error:
            raise self._not_written(error, line) from error
        return line

    def flush(self) -> None:
        """Write the lines that wait.

        :raises Failure: there is no room, or they may not be written.
        :raises StdoutError: nobody takes them.
        """
        try:
            self._file.flush()
        except OSError as error:
            raise self._not_written(error) from error

    def _done(
        self, number: int, given: GivenTask, result: Result, printed: Mapping[str, str]
    ) -> DoneLine:
        """Write what a task has made; returns its line.

        :raises OSError: it could not be written.
        """
        files: dict[str, OutputFile] = {}
        kept: dict[str, OutputFile] = {}
        if self._output is None:
            outputs = describe_outputs(result)
        else:
            folder = outputs_folder(self._output, number)
            before = self._made.get(number, Manifest())

            def remove_earlier() -> None:
                remove_files(folder, before.files)
                remove_printed(folder, before.printed)

            beside = self._output / f".{number}.new"
            say = self.asides.append
            with results_into(self._output, results_size(result)):
                outputs = write_outputs(result, folder, beside, before.outputs, remove_earlier, say)
                files = kept_files(result, folder, say)
                kept = write_printed(self._lines.masked(printed), folder, result, say)
        return self._lines.done(number, given, result, outputs, files, kept)

    def _failed(
        self, number: int, given: GivenTask, report: Report, printed: Mapping[str, str]
    ) -> FailedLine:
        """Remove what an earlier run has left of a task that has failed now; returns its line.

        :raises OSError: it could not be removed, or what the task has printed not be written.
        """
        kept: dict[str, OutputFile] = {}
        if self._output is not None:
            discard(self._output, number, self._made.get(number, Manifest()))
            folder = outputs_folder(self._output, number)
            with results_into(self._output, sum(map(len, printed.values()))):
                kept = write_printed(self._lines.masked(printed), folder, (), self.asides.append)
        return self._lines.failed(number, given, report, kept)

    def _not_written(self, error: OSError, *lines: DoneLine | FailedLine) -> Exception:
        """The failure of a run that could not write lines: these, or those that wait."""
        lines = tuple(self._file.pending) or lines
        self._file.pending.clear()
        size = sum(len(encoded(line)) for line in lines)
        if self._output is None:
            return StdoutError(error, size)
        for line in lines:
            if isinstance(line, DoneLine):
                # No later run would know whose these are.
                with suppress(OSError):
                    discard(self._output, line.index, line.made)
        return Failure(not_kept(error, self._output, size))
