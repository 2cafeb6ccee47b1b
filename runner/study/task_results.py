"""The results of a study's tasks: their outputs and files, what they print, and a line of each."""

from collections.abc import Mapping
from pathlib import Path

from runner.diagnosis.report.model import Report
from runner.result import Result
from runner.study.lines import DoneLine, FailedLine, Manifest
from runner.study.output_files import OutputFile, describe_outputs, outputs_folder
from runner.study.outputs.kept_files import kept_files, remove_files
from runner.study.outputs.outputs_folder import write_outputs
from runner.study.outputs.printed import Printed, remove_printed, write_printed
from runner.study.plan import GivenTask
from runner.study.result_lines import discard
from runner.study.task_lines import TaskLines
from runner.study.writing import results_into, results_size


class TaskResults:
    """Writes what tasks come to, in a thread: outputs may be large.

    :param output: the study's folder; ``None``: nothing is kept.
    :param made: the outputs and files that earlier runs have left there, by the tasks' numbers.
    """

    def __init__(
        self,
        output: Path | None,
        made: Mapping[int, Manifest],
        lines: TaskLines,
    ) -> None:
        self._output = output
        self._made = made
        self._lines = lines
        self.printed = Printed()
        self.asides: list[str] = []
        """Things that were in the way, and have another name now."""

    def done(
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

    def failed(
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
