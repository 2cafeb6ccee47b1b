"""A bundle on a cluster: sent to its workers and tried there, once, before its tasks are."""

import logging
from pathlib import Path

from distributed import Client
from msgspec import Struct

from runner.bundle import empty_folders
from runner.dask.archive import Archive, packed
from runner.dask.client.fitness import Fitness
from runner.dask.client.in_flight import InFlight, Work
from runner.dask.client.preflight import require_fit
from runner.dask.client.preparation import Preparation
from runner.dask.client.sending import send
from runner.dask.client.shared import Shared
from runner.dask.environment import Made
from runner.dask.failures import error_of, unfit
from runner.dask.messages import Answer, Call
from runner.dask.worker.work import run_task
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.model import BundleInfo, Hint, Report
from runner.diagnosis.report.sanitise import map_texts
from runner.diagnosis.report.text import size_text
from runner.environment.cache_folder import cache_folder
from runner.execution.appeared import Appeared
from runner.execution.prepare import read_as_content
from runner.execution.run_task import reported
from runner.execution.worker_info import worker_info
from runner.result import Result
from runner.task import Task

_log = logging.getLogger(__name__)

# The scheduler keeps a bundle in memory, and sends it to every worker.
MAX_ARCHIVE_BYTES = 64 << 20

# How often a failure that may pass by itself is tried again.
RETRIES = 3


class Study(Struct, frozen=True, weakref=True):
    """A bundle that the workers have, and whose environment they have built.

    :param bundle: as the client has it.
    :param key: what the workers know it by.
    :param fitness: which of them can run it.
    :param outputs: the folder of large outputs, which client and workers share, if any.
    """

    bundle: BundleInfo
    name: str
    key: str
    fitness: Fitness
    outputs: str | None
    made: Made | None
    """The environment that all its tasks run in; ``None``: not known yet."""

    def work(self, task: Task, retries: int) -> Work[Result]:
        """Return what runs a task of it."""
        return Work(
            f"modelops-{self.name}",
            self._result,
            run_task,
            self.key,
            Call.of(task),
            self.outputs,
            self.made,
            bundle=self.bundle,
            fitness=self.fitness,
            retries=retries,
        )

    def _result(self, answer: Answer) -> Result:
        if answer.report is not None:
            raise error_for(_as_here(answer.report, self.bundle))
        result = answer.unwrap()
        result.bundle.path = self.bundle.path
        return result


def open_study(client: Client, in_flight: InFlight, path: Path, shared: Shared | None) -> Study:
    """Send a bundle to a cluster, and see that its workers can run it.

    :param shared: a folder that client and workers share.
    :raises RunnerError: the bundle cannot be read, or no worker can run it: one report, whose
        code is the cause's.
    """
    bundle, archive = _packed(path, shared)
    fit = require_fit(client)
    sending = send(client, fit.workers, archive, shared)
    preparation = Preparation(
        client, in_flight, sending, archive.key, bundle, RETRIES, unfit=fit.unfit
    )
    try:
        fitness, made = preparation.run()
    except RunnerError as error:
        raise error_for(_as_here(error.report, bundle)) from None
    sending.tell_later(fitness)
    return Study(
        bundle=bundle,
        name=archive.name,
        key=archive.key,
        fitness=fitness,
        outputs=None if shared is None else str(shared.outputs),
        made=made,
    )


def _packed(path: Path, shared: Shared | None) -> tuple[BundleInfo, Archive]:
    case = Case()
    case.worker = worker_info()
    with reported(case):
        cache = cache_folder()
        bundle = read_as_content(path, cache)
        info = case.bundle = bundle.info()
        folders = empty_folders(bundle.path, bundle.files, Appeared(cache, path).names())
        data = packed(bundle)
    name = path.resolve().name or "bundle"
    if shared is not None:
        file = shared.keep(data, bundle.digest)
        return info, Archive(bundle.digest, name, file=str(file), folders=folders)
    if len(data) > MAX_ARCHIVE_BYTES:
        raise error_of(
            unfit(
                f"the bundle takes {size_text(len(data))} packed; through Dask go at most"
                f" {size_text(MAX_ARCHIVE_BYTES)}",
                "The scheduler keeps a bundle in its memory, and sends it to every worker.",
                Hint(title="name a folder that client and workers share: map(..., shared=FOLDER)"),
                Hint(title="or take the data out of the bundle, and pass it as inputs"),
            ),
            info,
        )
    return info, Archive(bundle.digest, name, data, folders=folders)


def _as_here(report: Report, bundle: BundleInfo) -> Report:
    """A worker's report, with the bundle's own folder where it names the one it was unpacked to."""
    if report.bundle is None:
        return report
    unpacked, path = report.bundle.path, bundle.path
    return map_texts(report, lambda text: text.replace(unpacked, path))
