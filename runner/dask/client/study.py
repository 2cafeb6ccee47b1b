"""A bundle on a cluster: sent to its workers and tried there, once, before its tasks are."""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TypeVar
from weakref import WeakValueDictionary, finalize

import dask
from distributed import Client
from distributed import Future as DaskFuture
from msgspec import Struct, field

from runner.bundle.content import empty_folders
from runner.bundle.folder import bundle_path
from runner.bundle.functions import function_of
from runner.bundle.model import Bundle
from runner.dask.answer import Answer
from runner.dask.archive import Archive, packed
from runner.dask.client.batches import Batches
from runner.dask.client.cluster_task import ClusterTask, size_of
from runner.dask.client.connection import check_open, connection_of, reported_gone
from runner.dask.client.eligibility import Eligibility, Placement
from runner.dask.client.in_flight import InFlight
from runner.dask.client.lost import edited, is_closed, no_able_worker
from runner.dask.client.preflight import require_fit
from runner.dask.client.preparation import Preparation
from runner.dask.client.sending import forget, send
from runner.dask.client.shared import Shared
from runner.dask.client.study_scheduler import StudyScheduler
from runner.dask.client.work import KeptTasks, Work, asking
from runner.dask.failures import error_of, unfit
from runner.dask.scheduler import NOWHERE
from runner.dask.study_environment import Made, wanted_of
from runner.dask.worker.work import keep_result, run_tasks
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.model import BundleInfo, Hint
from runner.diagnosis.report.text import size_text
from runner.environment.cache_folder import cache_folder
from runner.execution.bundle_watch import Appeared, BundleFingerprint
from runner.execution.prepare import read_as_content
from runner.execution.run_task import reported
from runner.execution.worker_info import worker_info
from runner.result import Result

T = TypeVar("T")

_log = logging.getLogger(__name__)

# The scheduler keeps a bundle in memory, and sends it to every worker.
MAX_ARCHIVE_BYTES = 64 << 20


class Study(Struct, frozen=True, weakref=True):
    """A bundle that the workers have, and whose environment they have built.

    :param bundle: as the client has it.
    :param key: what the workers know it by.
    :param eligibility: which of them can run it.
    :param outputs: the folder of large outputs, which client and workers share, if any.
    """

    bundle: BundleInfo
    name: str
    key: str
    eligibility: Eligibility
    outputs: str | None
    made: Made | None
    """The environment that all its tasks run in; ``None``: not known yet."""
    files: Bundle
    """The bundle as its files here describe it."""
    scheduler: StudyScheduler
    """The scheduler that it was sent to."""
    in_flight: InFlight

    def work(
        self,
        one: ClusterTask,
        placement: Placement,
        printed: Callable[[Mapping[str, str]], None] | None = None,
        batches: Batches | None = None,
    ) -> Work[Result]:
        """Return what runs a task of it.

        :param printed: is called with what the task has printed.
        :param batches: those that it may share a call with.
        :raises RunnerError: the bundle has no such function.
        """

        def result_of(answer: Answer) -> Result:
            if printed is not None:
                printed(answer.printed)
            return answer.result_of(self.bundle)

        task = one.as_sent()
        return Work(
            name=self.key_of(one, placement),
            unwrap=result_of,
            function=run_tasks,
            asked=task,
            arguments=(self.key, one.futures, self.outputs, self.made, printed is not None),
            bundle=self.bundle,
            eligibility=self.eligibility,
            size=size_of(task),
            futures=one.futures,
            placement=placement,
            scheduler=self.scheduler,
            batches=None if one.futures else batches,
        )

    def keep(
        self, tasks: Sequence[ClusterTask], placement: Placement
    ) -> "list[DaskFuture[Result]]":
        """Send tasks whose results stay on the workers.

        :raises RunnerError: the bundle has no such function, or no worker can run it.
        """
        keys = [f"{self.key_of(one, placement)}-{uuid.uuid4().hex}" for one in tasks]
        there = self.in_flight.workers(self.eligibility)
        able, named = placement.among(self.eligibility, there), placement.workers
        may_run = there if named is None else set(named).intersection(there)
        may_come = named is None and not there
        if able == [] and not (may_come or self.eligibility.unknown(may_run)):
            raise error_of(no_able_worker(self.eligibility.unable.values()), self.bundle)
        with reported_gone(self.in_flight.client):
            futures: list[DaskFuture[Result]] = self.in_flight.client.map(
                keep_result,
                [one.as_sent() for one in tasks],
                [one.futures for one in tasks],
                key=keys,
                pure=False,
                workers=[NOWHERE] if able == [] else able,
                priority=placement.priority,
                resources=placement.resources,
                bundle=self.key,
                here=self.bundle,
                study=self.made,
                tries=1 + placement.retries,
            )
        for future in futures:
            # The workers have the bundle for as long as somebody may need its results made again.
            finalize(future, _held, self).atexit = False
        self.in_flight.keep(
            KeptTasks(
                futures=WeakValueDictionary({str(one.key): one for one in futures}),
                # Those that the caller has named, maybe by their hosts, stand.
                movable="workers" not in dask.get_annotations(),  # type: ignore[attr-defined]
                sent_to=able,
                bundle=self.bundle,
                eligibility=self.eligibility,
                placement=placement,
            )
        )
        return futures

    def ask(self, question: Callable[..., T]) -> Future[T]:
        """:param question: a :data:`~runner.dask.worker.work.Question`."""
        wanted = wanted_of(self.made)
        return self.in_flight.start(
            asking(question, self.key, wanted, self.bundle, self.eligibility, self.scheduler)
        )

    def key_of(self, one: ClusterTask, placement: Placement) -> str:
        """How the key of a task begins.

        :raises RunnerError: the bundle has no such function.
        """
        function = one.task.function
        try:
            function_of(self.files, function)
        except Failure as failure:
            raise error_of(failure.finding, self.bundle) from None
        if placement.key is not None:
            return placement.key
        return f"modelops-{self.name}" + ("" if function is None else f"-{function}")


def _held(study: Study) -> None:
    """Let go of a study."""


def open_study(
    in_flight: InFlight, path: Path, shared: Shared | None, again: Callable[[], Study]
) -> Study:
    """Send a bundle to a cluster, and see that its workers can run it.

    :param shared: a folder that client and workers share.
    :param again: opens it at a scheduler that has taken the place of this one.
    :raises RunnerError: the bundle cannot be read, or no worker can run it: one report, whose
        code is the cause's.
    """
    client = in_flight.client
    connection = connection_of(client)
    files, archive = _packed(path, shared)
    bundle = files.info()
    fit = require_fit(client)
    sending = send(client, fit.workers, archive, shared)
    eligibility, made = Preparation(in_flight, sending, archive.key, bundle, fit.unfit).run()
    in_flight.meet(eligibility, sending.silent)

    def eligibility_again() -> Eligibility:
        opened = again()
        if opened.key != archive.key:
            raise error_of(edited(), bundle)
        return opened.eligibility

    return Study(
        bundle=bundle,
        name=archive.name,
        key=archive.key,
        eligibility=eligibility,
        outputs=None if shared is None else str(shared.outputs),
        made=made,
        files=files,
        scheduler=StudyScheduler(client, connection, eligibility, eligibility_again),
        in_flight=in_flight,
    )


def _packed(path: Path, shared: Shared | None) -> tuple[Bundle, Archive]:
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
        return bundle, Archive(bundle.digest, name, file=str(file), folders=folders)
    if len(data) > MAX_ARCHIVE_BYTES:
        raise error_of(
            unfit(
                f"the bundle takes {size_text(len(data))} packed; through Dask go at most"
                f" {size_text(MAX_ARCHIVE_BYTES)}",
                "The scheduler keeps a bundle in its memory, and sends it to every worker.",
                Hint("name a folder that client and workers share: map(..., shared=FOLDER)"),
                Hint("or take the data out of the bundle, and pass it as inputs"),
            ),
            info,
        )
    return bundle, Archive(bundle.digest, name, data, folders=folders)


class Studies:
    """The studies and tasks that a client has under way on its cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = Lock()
        self._slots: dict[tuple[Path, Path | None], _Slot] = {}
        self._shared: dict[Path, Shared] = {}
        self._in_flight = InFlight(client)

    def study(
        self, bundle: str | PathLike[str], shared: str | PathLike[str] | None, *, look: bool = False
    ) -> Study:
        """Opened at the first call, and again where the bundle or the scheduler is another since.

        :param look: whether it was, at any price.
        :raises RunnerError: it cannot be opened.
        """
        check_open(self._client)
        path = bundle_path(bundle).absolute()
        folder = None if shared is None else Path(shared).absolute()
        with self._lock:
            slot = self._slots.setdefault((path, folder), _Slot())
            if folder is not None and folder not in self._shared:
                self._shared[folder] = Shared(folder)
                finalize(self, self._shared[folder].remove_outputs)
        # Others go on with theirs while this one is being opened.
        with slot.lock:
            if (
                slot.study is None
                or slot.study.scheduler.lost
                or slot.fingerprint is None
                or slot.fingerprint.changed(at_once=look)
            ):
                fingerprint = BundleFingerprint(path)
                study = open_study(
                    self._in_flight,
                    path,
                    None if folder is None else self._shared[folder],
                    again=partial(self.study, bundle, shared),
                )
                if slot.study is not None and slot.study.key != study.key:
                    # Once the last of its tasks is done.
                    finalize(slot.study, _forget, self._client, slot.study.key)
                slot.fingerprint, slot.study = fingerprint, study
            return slot.study


class _Slot(Struct):
    """Where a study is kept, for one bundle and shared folder."""

    lock: Lock = field(default_factory=Lock)
    fingerprint: BundleFingerprint | None = None
    study: Study | None = None


def _forget(client: Client, bundle: str) -> None:
    if not is_closed(client) and client.loop is not None:
        client.loop.add_callback(forget, client, bundle)


def studies_of(client: Client) -> Studies:
    """Kept on the client itself, with which it ends.

    :raises TypeError: the client is an asynchronous one.
    """
    if client.asynchronous:
        raise TypeError("this needs a Client that is not asynchronous; its calls may be threaded")
    studies: Studies = vars(client).setdefault("_modelops_runner", Studies(client))
    return studies
