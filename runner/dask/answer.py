"""The answer of a worker to a client: plain data of our own types.

No function and no class of a user's, so that client and workers may run different Pythons.
"""

import errno
import logging
import os
import uuid
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from runner.child.mapped_file import map_file
from runner.dask.failures import error_of, lost
from runner.diagnosis.case import Finding
from runner.diagnosis.errors import error_for
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Hint, Report
from runner.diagnosis.report.sanitise import map_texts
from runner.events import Phase
from runner.result import Result
from runner.stored_files import whole_file

# An output from this size on stays in the folder that client and workers share, where there is one.
LARGE_BYTES = 1 << 20

_log = logging.getLogger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT}


class Answer(Struct, frozen=True):
    """The outcome of a task: a result, without the outputs that were kept, or a report.

    A report is a value and not an exception: Dask would pickle the traceback with it, which another
    Python may not read.
    """

    result: Result | None = None
    kept: dict[str, str] = field(default_factory=dict)
    """The files of the outputs that stay where they are, by name."""
    report: Report | None = None
    told: Any = None
    """The answer of a :data:`~runner.dask.worker.work.Question`, in place of a result."""
    printed: dict[str, str] = field(default_factory=dict)
    """The output that the task has printed, by stream, where it is kept."""
    worker: str = ""
    """The address of the one that answers."""
    seconds: float = 0.0
    """That it took there."""

    @property
    def size(self) -> int:
        """How many bytes come with it."""
        printed = sum(map(len, self.printed.values()))
        result = self.result
        return printed + (0 if result is None else sum(len(result.buffer(n)) for n in result))

    def told_of(self, bundle: BundleInfo) -> Any:
        """:raises RunnerError: it could not be told."""
        self._check(bundle)
        return self.told

    def result_of(self, bundle: BundleInfo) -> Result:
        """The result, with the caller's own folder of the bundle where the worker's was named.

        :raises RunnerError: the task failed, or an output that was kept cannot be read here.
        """
        self._check(bundle)
        assert self.result is not None
        result = self.result
        if self.kept:
            result = result.with_outputs({n: _kept(n, Path(f)) for n, f in self.kept.items()})
        # Where this is asked on a worker, its runner has the same object, and knows paths by it.
        result.bundle = replace(result.bundle, path=bundle.path)
        return result

    def _check(self, bundle: BundleInfo) -> None:
        """:raises RunnerError: it failed; where the worker's own folder of the bundle was named, it
        is the caller's.
        """
        if (report := self.report) is None:
            return
        if report.bundle is not None:
            unpacked, path = report.bundle.path, bundle.path
            report = map_texts(report, lambda text: text.replace(unpacked, path))
        raise error_for(report)


def answer(result: Result, shared: Path | None) -> Answer:
    """The answer that a result makes.

    :param shared: where what is large of it goes: a folder of the client's in the one that it
        shares with the workers.
    :raises RunnerError: that cannot be written to.
    """
    if shared is None:
        return Answer(result)
    large = [name for name in result if len(result.buffer(name)) >= LARGE_BYTES]
    try:
        kept = {name: _keep(result.buffer(name), shared) for name in large}
    except OSError as error:
        raise error_of(
            Finding.of(
                Code.DISK_FULL if error.errno in _FULL else Code.RESULT_INVALID,
                f"large outputs cannot be put into {shared}: {error.strerror}",
                "",
                Hint("give the worker room there, and leave to write"),
                phase=Phase.EXECUTE,
            )
        ) from error
    return Answer(result.without_outputs(large), kept)


def _kept(name: str, file: Path) -> memoryview:
    """Map an output, whose file goes: what is mapped stays for as long as anything refers to it."""
    try:
        with file.open("rb") as opened:
            mapped = map_file(opened.fileno(), os.fstat(opened.fileno()).st_size)
    except OSError as error:
        raise error_of(
            lost(
                f"the output {name!r} is in {file}, which cannot be read here: {error.strerror}",
                "The worker put it there: the folder is one that client and workers share.",
                Hint("make the folder visible here under the same path"),
            )
        ) from error
    try:
        file.unlink()
    except OSError as error:  # the folder goes with the client, and it with that
        _log.warning("%s is not removed: %s", file, error.strerror)
    return mapped


def _keep(data: memoryview, folder: Path) -> str:
    """A file of this answer's own: its reader removes it.

    Where the folder is not there any more, nor is its client.
    """
    file = folder / uuid.uuid4().hex
    with whole_file(file, 0o644) as written:
        written.write(data)
    return str(file)
