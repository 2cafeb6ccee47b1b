"""The folder of a single task (``exec --output``): its outputs, and what they came of."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from runner.cli.command_line.commands import Exec
from runner.cli.study.recorded import recorded
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.sanitise import secrets_of
from runner.diagnosis.report.text import printable
from runner.events import Event, EventHandler, Phase
from runner.execution.prepare import Prepared
from runner.result import Result
from runner.settings import Isolation
from runner.study.line_writer import encoded
from runner.study.lines import FILE, Asked, DoneLine, FailedLine, Manifest, Study, task_digest
from runner.study.output_files import RESERVED, OutputFile, file_name
from runner.study.outputs.kept_files import kept_files, remove_files
from runner.study.outputs.outputs_folder import (
    read_manifest,
    remove_single,
    write_manifest,
    write_outputs,
)
from runner.study.outputs.places import is_file, put, remove_anything
from runner.study.outputs.printed import Printed, remove_printed, write_printed
from runner.study.plan import GivenTask
from runner.study.result_lines import has_study, remove_results, results_in
from runner.study.run_file import STORY, RunFile, stories
from runner.study.shards import parts
from runner.study.study_record import StudyRecord
from runner.study.task_lines import TaskLines
from runner.study.writing import results_into, results_size
from runner.task import Task

_CHILD_PHASES = (Phase.SPAWN, Phase.HANDSHAKE, Phase.LOAD, Phase.EXECUTE, Phase.SHUTDOWN)


class SingleOutputs:
    """Keeps a task's outputs in place of those of the single task before, whatever its bundle.

    Its line and its account lie beside them, as a study's do. Whatever else is in the folder
    stays: a reader's own files, the results of a study.
    """

    def __init__(self, command: Exec, folder: Path) -> None:
        self._command = command
        self._folder = folder
        self._overwrite = command.overwrite
        self._beside = folder / f"{RESERVED}.story"
        """Where line and account are until the task has ended."""
        self._printed = Printed()
        self._story: tuple[StudyRecord, TaskLines, GivenTask] | None = None
        self.notes: list[str] = []
        """Things that are not as the user would expect them."""

    def listening(self, handler: EventHandler) -> EventHandler:
        """Return a handler that keeps what the task prints, and hands all events on."""

        def handle(event: Event) -> None:
            handler(event)
            self._printed.listen(event)

        return handle

    @asynccontextmanager
    async def account(self, ready: Prepared, task: Task) -> AsyncIterator[None]:
        """Write down what the task runs with, while it runs.

        :raises OSError: it cannot be written.
        """
        settings = self._command.settings
        before = read_manifest(self._folder)
        if not self._overwrite and has_study(self._folder, before):
            self.notes.append(
                f"{printable(str(self._folder))} has a study, whose run.json stays: what this task"
                " ran with is not kept; a folder of its own would have it"
            )
            yield
            return
        lines = TaskLines(
            Study.of(ready.bundle_info),
            Asked.of(settings),
            secrets_of(settings.variables()),
            single=True,
        )
        self.close()
        self._beside.mkdir()
        if before is not None and before.story:
            # What it has of this very bundle and its versions is not made once more.
            for name in STORY:
                if is_file(self._folder / name):
                    with suppress(OSError):  # a file system without links: then it is
                        (self._beside / name).hardlink_to(self._folder / name)
        words, bundle = self._command.words, ready.bundle
        run = RunFile.begun(words, settings, bundle, ready.worker, Isolation.FRESH)
        record = StudyRecord(self._beside, run, bundle, self.notes.append)
        self._story = record, lines, GivenTask(task, digest=task_digest(task))
        async with recorded(record, ready, settings):
            yield

    def done(self, result: Result) -> tuple[dict[str, OutputFile], dict[str, OutputFile]]:
        """Write what the task has made.

        :returns: its outputs, and the files that it has left.
        :raises Failure: an output would take the place of the results of a study, or there is no
            room.
        :raises OSError: they could not be written; then what was there is still there.
        """
        names = {file_name(name) for name in result}
        if not self._overwrite and (count := results_in(self._folder)):
            taken = {*parts(self._folder, FILE), *stories(self._folder)}
            for name in result:
                if (file := file_name(name)) in taken or file.isdigit():
                    raise Failure(_in_the_way(name, self._folder, count))
        own = sorted(names.intersection((FILE, *STORY)))
        printed = self._take_printed()
        if own and self._story is not None:
            self._story = None
            self.notes.append(
                f"the output {own[0]} has the name of a file of the run's own: what this task ran"
                " with is not kept"
            )
        before = read_manifest(self._folder) or Manifest()
        has_story = before.story and not has_study(self._folder, before)
        manifest = Manifest(
            tuple(result), tuple(result.files), tuple(printed), self._story is not None
        )
        # A run that is killed in between leaves nothing that is not listed.
        both = manifest.and_of(before)

        def when_whole() -> None:
            write_manifest(self._folder, both)
            remove_files(self._folder, before.files)
            remove_printed(self._folder, before.printed)
            if has_story:
                self._remove_story()

        say = self.notes.append
        with results_into(self._folder, results_size(result)):
            outputs = write_outputs(
                *(result, self._folder, self._folder / f"{RESERVED}.new"),
                *(before.outputs, when_whole, say),
                named=True,
            )
            write_manifest(self._folder, manifest)
            if self._overwrite:
                remove_results(self._folder, names)
            files = kept_files(result, self._folder, say)
            kept = write_printed(printed, self._folder, result, say)
            if self._story is not None:
                record, lines, given = self._story
                record.ran_with(result.threads)
                self._tell(record, lines.done(0, given, result, outputs, files, kept))
        return outputs, files

    def failed(self, report: Report) -> None:
        """Remove what an earlier task has left, once a child was started for this one.

        What it has printed, its line and its account are kept.

        :raises OSError: something could not be removed or written.
        """
        if report.phase not in _CHILD_PHASES or report.code is Code.PARAMS_INVALID:
            return
        before = read_manifest(self._folder)
        if before is not None and before.story and not has_study(self._folder, before):
            self._remove_story()
        remove_single(self._folder)
        if self._story is None:
            return
        record, lines, given = self._story
        printed = self._take_printed()
        write_manifest(self._folder, Manifest(printed=tuple(printed), story=True))
        kept = write_printed(printed, self._folder, (), self.notes.append)
        self._tell(record, lines.failed(0, given, report, kept))

    def close(self) -> None:
        """Remove what waits for the end of the task."""
        remove_anything(self._beside)

    def _take_printed(self) -> Mapping[str, str]:
        printed = self._printed.take(None)
        return {} if self._story is None else self._story[1].masked(printed)

    def _tell(self, record: StudyRecord, line: DoneLine | FailedLine) -> None:
        """Put the line and the account into their places."""
        record.finished()
        (self._beside / FILE).write_bytes(encoded(line) + b"\n")
        for name in (FILE, *STORY):
            if (self._beside / name).exists():
                put(self._beside / name, self._folder / name, self.notes.append)

    def _remove_story(self) -> None:
        for name in (FILE, *STORY):
            (self._folder / name).unlink(missing_ok=True)


def _in_the_way(name: str, folder: Path, count: int) -> Finding:
    return Finding.of(
        Code.RESULT_INVALID,
        f"the output {name!r} would take the place of results of tasks in {folder}",
        f"The folder has the results of a file of tasks ({count}).",
        Hint("name another folder for --output"),
        Hint("or add --overwrite: the results of the file of tasks go then"),
    )
