"""A bundle on a cluster: sent to its workers and tried there, once, before its tasks are."""

import logging
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from weakref import finalize

from distributed import Client
from distributed import Future as DaskFuture
from msgspec import Struct

from runner.bundle.content import empty_folders
from runner.bundle.functions import function_of
from runner.bundle.model import Bundle
from runner.dask.archive import Archive, packed
from runner.dask.client.batches import Batches
from runner.dask.client.cluster_task import ClusterTask
from runner.dask.client.fitness import Fitness
from runner.dask.client.home import Home
from runner.dask.client.in_flight import InFlight
from runner.dask.client.kept import Kept
from runner.dask.client.lost import edited, no_able_worker
from runner.dask.client.placement import Placement
from runner.dask.client.preflight import require_fit
from runner.dask.client.preparation import Preparation
from runner.dask.client.sending import send
from runner.dask.client.shared import Shared
from runner.dask.client.work import Work
from runner.dask.environment import Made
from runner.dask.failures import error_of, unfit
from runner.dask.messages import Answer, Call, as_here
from runner.dask.worker.work import account, keep_result, run_tasks, versions
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.model import BundleInfo, Hint
from runner.diagnosis.report.text import size_text
from runner.environment.cache_folder import cache_folder
from runner.execution.appeared import Appeared
from runner.execution.prepare import read_as_content
from runner.execution.run_task import reported
from runner.execution.worker_info import worker_info
from runner.result import Result
from runner.study.environment_account import Account, Versions

T = TypeVar("T")

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
    files: Bundle
    """The bundle as its files here describe it."""
    home: Home
    """The scheduler that it was sent to."""

    def work(
        self,
        one: ClusterTask,
        retries: int,
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

        call = Call.of(one.task)
        return Work(
            self.key_of(one, placement),
            result_of,
            run_tasks,
            call,
            self.key,
            one.futures,
            self.outputs,
            self.made,
            printed is not None,
            bundle=self.bundle,
            fitness=self.fitness,
            retries=retries,
            size=call.size,
            futures=one.futures,
            placement=placement,
            home=self.home,
            batches=None if one.futures else batches,
        )

    def keep(
        self,
        client: Client,
        in_flight: InFlight,
        tasks: Sequence[ClusterTask],
        retries: int,
        placement: Placement,
        workers: Collection[str],
    ) -> "list[DaskFuture[Result]]":
        """Send tasks whose results stay on the workers.

        :param workers: the addresses of those that the cluster has.
        :raises RunnerError: the bundle has no such function, or no worker can run it.
        """
        keys = [f"{self.key_of(one, placement)}-{uuid.uuid4().hex}" for one in tasks]
        able = placement.among(self.fitness, workers)
        if able == []:
            raise error_of(no_able_worker(self.fitness.unable.values()), self.bundle)
        futures: list[DaskFuture[Result]] = client.map(
            keep_result,
            [Call.of(one.task) for one in tasks],
            [one.futures for one in tasks],
            key=keys,
            pure=False,
            workers=able,
            priority=placement.priority,
            resources=placement.resources,
            bundle=self.key,
            here=self.bundle,
            study=self.made,
            tries=1 + retries,
        )
        for future in futures:
            # The workers have the bundle for as long as somebody may need its results made again.
            finalize(future, _held, self).atexit = False
        in_flight.keep(
            Kept(futures, able, bundle=self.bundle, fitness=self.fitness, placement=placement)
        )
        return futures

    def account(self) -> Work[Account]:
        """Return what tells the conditions that its tasks run on."""
        return self._asked("modelops-account", _account, account)

    def versions(self) -> Work[Versions]:
        """Return what makes the lock of the versions that its tasks have."""
        return self._asked("modelops-versions", _versions, versions)

    def _asked(
        self,
        name: str,
        unwrap: Callable[[Answer], T],
        function: Callable[[list[str], Made | None], list[Answer]],
    ) -> Work[T]:

        def unwrapped(answer: Answer) -> T:
            if answer.report is not None:
                raise error_for(as_here(answer.report, self.bundle))
            return unwrap(answer)

        return Work(
            name,
            unwrapped,
            function,
            self.key,
            self.made,
            bundle=self.bundle,
            fitness=self.fitness,
            retries=RETRIES,
            home=self.home,
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


def _account(answer: Answer) -> Account:
    assert answer.account is not None
    return answer.account


def _versions(answer: Answer) -> Versions:
    assert answer.versions is not None
    return answer.versions


def _held(study: Study) -> None:
    """Let go of a study."""


def open_study(
    client: Client,
    in_flight: InFlight,
    path: Path,
    shared: Shared | None,
    again: Callable[[], Study],
) -> Study:
    """Send a bundle to a cluster, and see that its workers can run it.

    :param shared: a folder that client and workers share.
    :param again: opens it at a scheduler that has taken the place of this one.
    :raises RunnerError: the bundle cannot be read, or no worker can run it: one report, whose
        code is the cause's.
    """
    connection = client.scheduler_comm
    files, archive = _packed(path, shared)
    bundle = files.info()
    fit = require_fit(client)
    sending = send(client, fit.workers, archive, shared)
    preparation = Preparation(
        client, in_flight, sending, archive.key, bundle, RETRIES, unfit=fit.unfit
    )
    try:
        fitness, made = preparation.run()
    except RunnerError as error:
        raise error_for(as_here(error.report, bundle)) from None
    sending.tell_later(fitness)

    def fitness_again() -> Fitness:
        opened = again()
        if opened.key != archive.key:
            raise error_of(edited(), bundle)
        return opened.fitness

    return Study(
        bundle=bundle,
        name=archive.name,
        key=archive.key,
        fitness=fitness,
        outputs=None if shared is None else str(shared.outputs),
        made=made,
        files=files,
        home=Home(client, connection, fitness, fitness_again),
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
                Hint(title="name a folder that client and workers share: map(..., shared=FOLDER)"),
                Hint(title="or take the data out of the bundle, and pass it as inputs"),
            ),
            info,
        )
    return bundle, Archive(bundle.digest, name, data, folders=folders)
