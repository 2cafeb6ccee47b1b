"""Tasks of bundles over a client: one in a future, or many, as many at a time as it can use."""

from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import closing
from os import PathLike
from typing import TYPE_CHECKING, Literal, overload

from distributed import Client
from distributed import Future as DaskFuture

from runner.dask.client.cluster_task import ClusterTask
from runner.dask.client.eligibility import Placement, PlacementOptions
from runner.dask.client.outcomes import outcomes, unless_raised
from runner.dask.client.output import kept_outcomes
from runner.dask.client.study import studies_of
from runner.execution.bounded_map import Outcome
from runner.inputs import InputCopies
from runner.result import Result
from runner.task import Task

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def submit(
    client: Client,
    bundle: str | PathLike[str],
    task: Task | None = None,
    *,
    keep: Literal[False] = False,
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
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> "DaskFuture[Result]": ...


def submit(
    client: Client,
    bundle: str | PathLike[str],
    task: Task | None = None,
    *,
    keep: bool = False,
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
    :param shared: a folder that client and workers see under the same path: the bundle goes that
        way, and outputs of 1 MiB and more are mapped from there.
    :param placement: ``retries``, how often a failure that may pass by itself is tried again
        (three times unless given); ``key``, how the tasks' keys begin, by which the dashboard
        groups them; ``priority``, ``workers`` (by their addresses) and ``resources`` as
        ``Client.submit`` has them.
    :returns: what the result comes in. Its ``cancel()`` ends the task; its exception is a
        ``RunnerError``.
    :raises RunnerError: the bundle, the cluster or the two together cannot run any task.
    :raises TypeError: the client is an asynchronous one.
    :raises ValueError: a worker is not named by its address, or a number is none.
    """
    where = Placement.of(**placement)
    given = ClusterTask.of(Task() if task is None else task)
    study = studies_of(client).study(bundle, shared)
    if keep:
        return study.keep([given], where)[0]
    return study.in_flight.start(study.work(given, where))


@overload
def map(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    keep: Literal[False] = False,
    return_exceptions: Literal[False] = False,
    output: str | PathLike[str] | None = None,
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
    output: str | PathLike[str] | None = None,
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
    output: str | PathLike[str] | None = None,
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
        an environment that cannot be built, a cluster without workers.
    :param output: a folder that keeps what ``modelops-runner exec --tasks --output`` keeps, each
        task's results as soon as they are here, and from which a call goes on: it gives what is
        there, failures too, and runs the other tasks. All of the tasks are taken at once then, and
        none has inputs.
    :returns: the results, in the tasks' order.
    :raises RunnerError: a task failed, or none can run. The other parameters, and what they raise,
        are those of :func:`submit`.
    :raises ValueError: ``output`` cannot be written to, has the results of another bundle, or goes
        with ``keep``.
    """
    where = Placement.of(**placement)
    if output is not None:
        if keep:
            raise ValueError("with keep=True results stay on the workers: output= has none to keep")
        return kept_outcomes(
            *(client, bundle, tasks, shared, where, output), return_exceptions=return_exceptions
        )
    if not keep:
        return _in_order(
            _outcomes(
                *(client, bundle, tasks, shared, where),
                return_exceptions=return_exceptions,
                ordered=True,
            )
        )
    if return_exceptions:
        raise ValueError("with keep=True each future has its own exception")
    copies = InputCopies()
    given = [ClusterTask.of(task, copies) for task in tasks]
    study = studies_of(client).study(bundle, shared, look=True)
    return study.keep(given, where)


def _outcomes(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    shared: str | PathLike[str] | None,
    placement: Placement,
    *,
    return_exceptions: bool,
    ordered: bool,
) -> Generator[tuple[int, Outcome], None, None]:
    study = studies_of(client).study(bundle, shared, look=True)
    with closing(outcomes(study, tasks, placement, ordered=ordered)) as run:
        for index, outcome in run:
            yield index, unless_raised(outcome, return_exceptions)


def _in_order(run: Generator[tuple[int, Outcome], None, None]) -> Generator[Outcome, None, None]:
    with closing(run):
        for _, outcome in run:
            yield outcome


@overload
def map_unordered(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    return_exceptions: Literal[False] = False,
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
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[tuple[int, Outcome], None, None]: ...


def map_unordered(
    client: Client,
    bundle: str | PathLike[str],
    tasks: Iterable[Task],
    *,
    return_exceptions: bool = False,
    shared: str | PathLike[str] | None = None,
    **placement: "Unpack[PlacementOptions]",
) -> Generator[tuple[int, Outcome], None, None]:
    """As :func:`map`, each as soon as it is there, with its task's number, from 0 on."""
    return _outcomes(
        *(client, bundle, tasks, shared, Placement.of(**placement)),
        return_exceptions=return_exceptions,
        ordered=False,
    )
