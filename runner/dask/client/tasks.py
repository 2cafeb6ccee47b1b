"""Tasks of bundles over a client: one in a future, or many, as many at a time as it can use."""

from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Literal, overload
from weakref import finalize

from distributed import Client
from distributed import Future as DaskFuture

from runner.dask.client.cluster_task import ClusterTask
from runner.dask.client.connection import LOOK_SECONDS, ask, check_open
from runner.dask.client.in_flight import WATCH_SECONDS, InFlight
from runner.dask.client.lost import is_closed
from runner.dask.client.placement import Placement, PlacementOptions
from runner.dask.client.sending import forget
from runner.dask.client.shared import Shared
from runner.dask.client.study import RETRIES, Study, open_study
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.codes import Code
from runner.events import Phase
from runner.execution.bounded_map import Outcome, Window
from runner.execution.bundle_watch import BundleFingerprint
from runner.result import Result
from runner.task import Task

if TYPE_CHECKING:
    from typing_extensions import Unpack

# How many tasks are on the cluster for each thread of its workers: enough that none waits for the
# way to the client and back.
WINDOW = 4


@overload
def submit(
    client: Client,
    bundle: str | PathLike[str],
    task: Task | None = None,
    *,
    keep: Literal[False] = False,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Future[Result]: ...


@overload
def submit(
    client: Client,
    bundle: str | PathLike[str],
    task: Task | None = None,
    *,
    keep: Literal[True],
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> "DaskFuture[Result]": ...


def submit(
    client: Client,
    bundle: str | PathLike[str],
    task: Task | None = None,
    *,
    keep: bool = False,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> "Future[Result] | DaskFuture[Result]":
    """Run one task of a bundle on a cluster.

    The first call for a bundle looks at the cluster, sends the bundle to the workers and has each
    machine build its environment, and returns once that is done.

    An input of the task may be a future of the client's: the cluster brings what it gives, a result
    or a buffer, to the task, and nothing of it comes here.

    :param client: a ``distributed.Client`` of a cluster whose workers have modelops-runner.
    :param bundle: the bundle's folder, here.
    :param task: the bundle's default task, unless given.
    :param keep: leave the result on its worker. The future is the client's own then, for
        ``client.gather``, ``distributed.wait``, ``as_completed``, ``client.submit``,
        ``dask.delayed``, or the input of another task; Dask does with it as with any other.
    :param retries: how often a failure that may pass by itself is tried again.
    :param shared: a folder that client and workers see under the same path: the bundle goes that
        way, and outputs of 1 MiB and more are mapped from there.
    :param placement: ``key``, how the tasks' keys begin, by which the dashboard groups them;
        ``priority``, ``workers`` (by their addresses) and ``resources`` as ``Client.submit`` has
        them.
    :returns: what the result comes in. Its ``cancel()`` ends the task; its exception is a
        ``RunnerError``.
    :raises RunnerError: the bundle, the cluster or the two together cannot run any task.
    :raises TypeError: the client is an asynchronous one.
    :raises ValueError: a worker is not named by its address.
    """
    where = Placement.of(**placement)
    given = ClusterTask.of(Task() if task is None else task)
    cluster = _cluster(client)
    study = cluster.study(bundle, shared)
    if keep:
        return cluster.keep(study, [given], retries, where)[0]
    return cluster.in_flight.start(study.work(given, retries, where))


@overload
def map(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    keep: Literal[False] = False,
    return_exceptions: Literal[False] = False,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[Result, None, None]: ...


@overload
def map(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    keep: Literal[False] = False,
    return_exceptions: bool,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[Outcome, None, None]: ...


@overload
def map(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    keep: Literal[True],
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> "list[DaskFuture[Result]]": ...


def map(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    keep: bool = False,
    return_exceptions: bool = False,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> "Generator[Outcome, None, None] | list[DaskFuture[Result]]":
    """Run many tasks of a bundle on a cluster.

    Tasks are taken from the iterator as results are read: a bounded number of either is on the
    cluster. Leaving the iterator early ends the tasks under way.

    :param keep: leave the results on their workers, and give all futures at once, as
        :func:`submit` does.
    :param return_exceptions: give the error in place of the result where a task fails; else it is
        raised, which ends the iteration. What would befall every other task too is always raised:
        an environment that cannot be built, a task that kills its workers.
    :returns: the results, in the tasks' order.
    :raises RunnerError: a task failed, or none can run. The other parameters, and what they raise,
        are those of :func:`submit`.
    """
    where = Placement.of(**placement)
    if not keep:
        outcomes = _outcomes(client, bundle, tasks, retries, shared, where, ordered=True)
        return _in_order(outcomes, return_exceptions)
    if return_exceptions:
        raise ValueError("with keep=True each future has its own exception")
    cluster = _cluster(client)
    given = [ClusterTask.of(task) for task in tasks]
    return cluster.keep(cluster.study(bundle, shared, look=True), given, retries, where)


def _in_order(
    outcomes: Generator[tuple[int, Outcome], None, None], return_exceptions: bool
) -> Generator[Outcome, None, None]:
    with closing(outcomes):
        for _, outcome in outcomes:
            yield _unless_raised(outcome, return_exceptions)


@overload
def map_unordered(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    return_exceptions: Literal[False] = False,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[tuple[int, Result], None, None]: ...


@overload
def map_unordered(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    return_exceptions: bool,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[tuple[int, Outcome], None, None]: ...


def map_unordered(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    return_exceptions: bool = False,
    retries: int = RETRIES,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[tuple[int, Outcome], None, None]:
    """As :func:`map`, each as soon as it is there, with its task's number, from 0 on."""
    where = Placement.of(**placement)
    outcomes = _outcomes(client, bundle, tasks, retries, shared, where, ordered=False)
    with closing(outcomes):
        for index, outcome in outcomes:
            yield index, _unless_raised(outcome, return_exceptions)


class _Cluster:
    """The studies and tasks that a client has under way on its cluster."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = Lock()
        self._slots: dict[tuple[Path, Path | None], _Slot] = {}
        self._shared: dict[Path, Shared] = {}
        self.in_flight = InFlight(client)

    def study(
        self,
        bundle: str | PathLike[str],
        shared: str | PathLike[str] | None,
        *,
        look: bool = False,
    ) -> Study:
        """Opened at the first call, and again where the bundle or the scheduler is another since.

        :param look: whether it was, at any price.
        :raises RunnerError: it cannot be opened.
        """
        check_open(self._client)
        path = Path(bundle).absolute()
        folder = None if shared is None else Path(shared).absolute()
        with self._lock:
            slot = self._slots.setdefault((path, folder), _Slot())
            if folder is not None and folder not in self._shared:
                self._shared[folder] = Shared(folder)
                finalize(self, self._shared[folder].remove_outputs)
        # Others go on with theirs while this one is being opened.
        with slot.lock:
            # A client that has lost its connection makes another one, maybe to a scheduler that has
            # taken the lost one's place and knows of nothing.
            connection = self._client.scheduler_comm
            if (
                slot.study is None
                or slot.connection is not connection
                or slot.fingerprint is None
                or slot.fingerprint.changed(at_once=look)
            ):
                fingerprint = BundleFingerprint(path)
                study = open_study(
                    self._client,
                    self.in_flight,
                    path,
                    None if folder is None else self._shared[folder],
                )
                if slot.study is not None and slot.study.key != study.key:
                    # Once the last of its tasks is done.
                    finalize(slot.study, _forget, self._client, slot.study.key)
                slot.fingerprint, slot.study, slot.connection = fingerprint, study, connection
            return slot.study

    def keep(
        self, study: Study, tasks: Sequence[ClusterTask], retries: int, placement: Placement
    ) -> "list[DaskFuture[Result]]":
        """:raises RunnerError: none of the workers can run them."""
        threads = ask(self._client, lambda: self._client.nthreads(asynchronous=True), LOOK_SECONDS)
        return study.keep(self._client, self.in_flight, tasks, retries, placement, threads)


class _Slot:
    """Where a study is kept, for one bundle and shared folder."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.fingerprint: BundleFingerprint | None = None
        self.connection: object = None
        """To the scheduler that it was sent to."""
        self.study: Study | None = None


def _forget(client: Client, bundle: str) -> None:
    if not is_closed(client) and client.loop is not None:
        client.loop.add_callback(forget, client, bundle)


def _cluster(client: Client) -> _Cluster:
    """Kept on the client itself, with which it ends.

    :raises TypeError: the client is an asynchronous one.
    """
    if client.asynchronous:
        raise TypeError("this needs a Client that is not asynchronous; its calls may be threaded")
    cluster: _Cluster = vars(client).setdefault("_modelops_runner", _Cluster(client))
    return cluster


def _outcomes(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    retries: int,
    shared: str | PathLike[str] | None,
    placement: Placement,
    *,
    ordered: bool,
) -> Generator[tuple[int, Outcome], None, None]:
    cluster = _cluster(client)
    study = cluster.study(bundle, shared, look=True)
    window = Window(tasks, 1, ordered=ordered)
    running: dict[int, Future[Result]] = {}
    finished: SimpleQueue[int] = SimpleQueue()
    try:
        while True:
            # Workers come and go. Where there are none, the first task may be what makes some come.
            window.size = max(1, WINDOW * cluster.in_flight.threads)
            for index, task in window.to_start():
                try:
                    work = study.work(ClusterTask.of(task), retries, placement)
                except RunnerError as error:
                    window.finish(index, error)
                    continue
                future = running[index] = cluster.in_flight.start(work)
                future.add_done_callback(partial(_put, finished, index))
            if window.empty:
                return
            while (outcome := window.next_outcome()) is None:
                try:
                    index = finished.get(timeout=WATCH_SECONDS)
                except Empty:
                    check_open(client)
                    break
                window.finish(index, _outcome(running.pop(index)))
            else:
                yield outcome
    finally:
        for future in running.values():
            future.cancel()


def _put(finished: SimpleQueue[int], index: int, _: Future[Result]) -> None:
    finished.put(index)


def _outcome(future: Future[Result]) -> Outcome:
    try:
        return future.result()
    except RunnerError as error:
        return error


def _unless_raised(outcome: Outcome, return_exceptions: bool) -> Outcome:
    if isinstance(outcome, RunnerError):
        report = outcome.report
        own = report.phase is Phase.EXECUTE and report.code is not Code.WORKER_LOST
        if not (own and return_exceptions):
            raise outcome
    return outcome
