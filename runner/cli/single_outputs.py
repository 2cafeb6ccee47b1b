"""The folder of a single task's outputs (``exec --output``)."""

from collections.abc import Callable
from pathlib import Path

from runner.cli.kept_files import kept_files, remove_files
from runner.cli.outputs_folder import (
    read_manifest,
    remove_single,
    write_manifest,
    write_outputs,
)
from runner.cli.result_lines import remove_results, results_in
from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.events import Phase
from runner.result import Result
from runner.study.lines import FILE, Manifest
from runner.study.output_files import RESERVED, OutputFile, file_name
from runner.study.run_file import stories
from runner.study.shards import parts

_CHILD_PHASES = (Phase.SPAWN, Phase.HANDSHAKE, Phase.LOAD, Phase.EXECUTE, Phase.SHUTDOWN)


class SingleOutputs:
    """Keeps a task's outputs in place of those of the single task before, whatever its bundle.

    Whatever else is in the folder stays: a reader's own files, the results of a file of tasks.

    :param overwrite: the results of a file of tasks go.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self._folder = folder
        self._overwrite = overwrite

    def write(self, result: Result, say: Callable[[str], None]) -> dict[str, OutputFile]:
        """Write a task's outputs.

        :param say: takes a line for each thing that was in the way and has another name now.
        :raises Failure: one would take the place of the results of a file of tasks.
        :raises OSError: they could not be written; then what was there is still there.
        """
        if not self._overwrite and (count := results_in(self._folder)):
            taken = {*parts(self._folder, FILE), *stories(self._folder)}
            for name in result:
                if (file := file_name(name)) in taken or file.isdigit():
                    raise Failure(_in_the_way(name, self._folder, count))
        before = read_manifest(self._folder) or Manifest()
        manifest = Manifest(tuple(result), tuple(result.files))
        # A run that is killed in between leaves nothing that is not listed.
        both = manifest.and_of(before)

        def when_whole() -> None:
            write_manifest(self._folder, both)
            remove_files(self._folder, before.files)

        described = write_outputs(
            *(result, self._folder, self._folder / f"{RESERVED}.new"),
            *(before.outputs, when_whole, say),
            named=True,
        )
        write_manifest(self._folder, manifest)
        if self._overwrite:
            remove_results(self._folder, [*map(file_name, result)])
        return described

    def write_files(self, result: Result, say: Callable[[str], None]) -> dict[str, OutputFile]:
        """Keep the files that a task has left, after :meth:`write`.

        :param say: as for that.
        :raises OSError: one could not be written.
        """
        return kept_files(result, self._folder, say)

    def failed(self, failure: Failure) -> None:
        """Remove what an earlier task has left, once a child was started for this one.

        :raises OSError: it could not be removed.
        """
        finding = failure.finding
        if finding.phase in _CHILD_PHASES and finding.code is not Code.PARAMS_INVALID:
            remove_single(self._folder)


def _in_the_way(name: str, folder: Path, count: int) -> Finding:
    return Finding(
        phase=Phase.EXECUTE,
        code=Code.RESULT_INVALID,
        summary=f"the output {name!r} would take the place of results of tasks in {folder}",
        explanation=f"The folder has the results of a file of tasks ({count}).",
        hints=[
            Hint(title="name another folder for --output"),
            Hint(title="or add --overwrite: the results of the file of tasks go then"),
        ],
    )
