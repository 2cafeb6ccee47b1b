"""The results of a study's tasks, read again from its folder."""

from pathlib import Path

import msgspec

from runner.child.left_files import LeftFiles
from runner.diagnosis.errors import error_for
from runner.diagnosis.report.model import BundleInfo, ChildInfo, WorkerInfo
from runner.execution.bounded_map import Outcome
from runner.result import Result, Timings
from runner.stored_files import open_stored
from runner.study.lines import FILE, MOST_LINE_BYTES, DoneLine, FailedLine, Place, decoded_as
from runner.study.output_files import OutputError, file_name, outputs_folder
from runner.study.outputs.kept_files import kept_file
from runner.study.run_file import read_run
from runner.study.shards import parts


class KeptResults:
    """The results and the failures of tasks that have ended in earlier runs.

    A result's time is that of its task alone, and its child has no more than its line tells.

    :param worker: the machine, where the folder does not tell which it was.
    """

    def __init__(self, folder: Path, bundle: BundleInfo, worker: WorkerInfo) -> None:
        self._folder = folder
        self._bundle = bundle
        self._workers = {}
        for name, shard in parts(folder, FILE).items():
            run = read_run(folder, shard)
            self._workers[name] = worker if run is None else run.worker

    def at(self, place: Place) -> Outcome:
        """The outcome of a task.

        :raises OSError: it cannot be read.
        :raises OutputError: it is not there any more.
        """
        with open_stored(self._folder / place.file, follow=False) as file:
            file.seek(place.at)
            text = file.readline(MOST_LINE_BYTES)
        line = decoded_as(text, DoneLine)
        if line is None:
            failed = decoded_as(text, FailedLine)
            if failed is None:
                raise OutputError(f"{self._folder / place.file} has changed while it was read")
            return error_for(failed.report)
        outputs = outputs_folder(self._folder, line.index)
        files = {name: _content(kept_file(outputs, line.outputs, name)) for name in line.files}
        return Result(
            {name: _content(outputs / file_name(name)) for name in line.outputs},
            msgspec.structs.replace(self._bundle),
            ChildInfo(argv=[], pid=line.child.pid, python=line.child.python),
            self._workers[place.file],
            Timings(line.cost.wall_seconds, {}),
            line.cost,
            line.isolation,
            line.isolation_note,
            line.notes,
            line.threads,
            LeftFiles({name: len(data) for name, data in files.items()}, contents=files),
            line.read_files,
        )


def _content(path: Path) -> bytes:
    with open_stored(path, follow=False) as file:
        return file.read()
