"""The folder of a single task's outputs (``exec --output``)."""

from functools import partial
from pathlib import Path

from anyio import to_thread

from runner.bundle import read_bundle
from runner.cli.kept_files import kept_files, remove_files
from runner.cli.outputs_folder import (
    Manifest,
    Study,
    read_manifest,
    refused,
    remove_single,
    write_manifest,
    write_outputs,
)
from runner.cli.result import RESERVED, OutputFile
from runner.cli.result_lines import remove_results, results_in
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.events import Phase
from runner.result import Result

_CHILD_PHASES = (Phase.SPAWN, Phase.HANDSHAKE, Phase.LOAD, Phase.EXECUTE, Phase.SHUTDOWN)


class SingleOutputs:
    """Keeps a task's outputs in place of those of the task before.

    :param overwrite: whether what another study has left may be replaced.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self._folder = folder
        self._overwrite = overwrite

    async def check(self, bundle: Path) -> None:
        """:raises UsageError: what is there is not this bundle's, or of a file of tasks."""
        if self._overwrite:
            return
        if count := results_in(self._folder):
            raise refused(self._folder, f"the results of a file of tasks ({count})")
        manifest = read_manifest(self._folder)
        if manifest is None:
            return
        try:
            info = (await to_thread.run_sync(read_bundle, bundle)).info()
        except Failure:
            return  # the run itself says it
        study = Study.of(info)
        if not study.is_same(info.digest, manifest.study, manifest.digest):
            raise refused(self._folder, f"the outputs of {manifest.study}, not of {study}")

    def write(self, result: Result) -> dict[str, OutputFile]:
        """Write a task's outputs.

        :raises OSError: they could not be written; then what was there is still there.
        """
        before = read_manifest(self._folder)
        left = () if before is None else before.outputs
        manifest = Manifest(
            Study.of(result.bundle), result.bundle.digest, tuple(result), bool(result.files)
        )
        # A run that is killed in between leaves nothing that is not listed.
        both = Manifest(
            manifest.study,
            manifest.digest,
            (*result, *(name for name in left if name not in result)),
            manifest.files or (before is not None and before.files),
        )
        described = write_outputs(
            result,
            self._folder,
            self._folder / f"{RESERVED}.new",
            left,
            partial(write_manifest, self._folder, both),
        )
        if before is not None and before.files:
            remove_files(self._folder)
        write_manifest(self._folder, manifest)
        if self._overwrite:
            remove_results(self._folder)
        return described

    def write_files(self, result: Result) -> dict[str, OutputFile]:
        """Keep the files that a task has left, after :meth:`write`.

        :raises OSError: one could not be written.
        """
        return kept_files(result, self._folder)

    def failed(self, failure: Failure) -> None:
        """Remove what an earlier task has left, once a child was started for this one.

        :raises OSError: it could not be removed.
        """
        finding = failure.finding
        if finding.phase in _CHILD_PHASES and finding.code is not Code.PARAMS_INVALID:
            remove_single(self._folder)
