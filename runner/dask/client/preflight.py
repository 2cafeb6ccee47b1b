"""Checks before a study is sent that the cluster can run it at all."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from distributed import Client
from msgspec import Struct

from runner.dask.client.connection import check_open, reported_gone, something_to_do, workers_of
from runner.dask.client.lost import GONE
from runner.dask.examine.canary import canary, send_importable
from runner.dask.examine.cluster import Cluster, NoScheduler
from runner.dask.examine.compare import Examination, compare, one_of_each
from runner.dask.examine.versions import gather
from runner.dask.failures import error_of, report_of, unfit
from runner.diagnosis.case import Finding
from runner.diagnosis.report.model import Hint, Report
from runner.doctor.observation import Observation, Verdict

_log = logging.getLogger(__name__)

# A cluster that grows when there is something to do may have to start machines for it.
FIRST_WORKER_SECONDS = 300.0
_POLL_SECONDS = 0.1

CANARY_SECONDS = 5.0

# Addresses of schedulers that can be asked without the client; not those in this process
# (inproc://), nor behind a gateway of Dask Gateway's.
_REACHABLE = ("tcp", "tls", "ws", "wss", "ucx")


class Fit(Struct, frozen=True):
    """A cluster that can run tasks."""

    workers: dict[str, bool]
    """The addresses of its workers that may, and whether each has answered."""
    unfit: dict[str, Report]
    """The reasons that keep the others from it, by their addresses."""


def require_fit(client: Client) -> Fit:
    """See that a cluster can run tasks, without pickling anything before its versions are known.

    What lambdas would do there is logged, where Pythons differ: tasks carry none.

    :returns: which of its workers may get tasks.
    :raises RunnerError: it cannot; the report says why.
    """
    check_open(client)
    address: str = client.scheduler.address  # type: ignore[union-attr,assignment]
    if address.partition("://")[0] not in _REACHABLE:
        return Fit(dict.fromkeys(workers_of(client) or _first_workers(client), True), {})
    cluster, examination = _examined(client, address)
    if not cluster.workers:
        _first_workers(client)
        cluster, examination = _examined(client, address)
    _send_canaries(client, one_of_each(cluster))
    unfit = {
        address: report_of(_obstacle(observation))
        for address, observation in examination.unfit.items()
    }
    answers = {worker.address: worker.software is not None for worker in cluster.workers}
    return Fit({at: said for at, said in answers.items() if at not in unfit}, unfit)


def _send_canaries(client: Client, workers: Sequence[str]) -> None:
    """:raises RunnerError: none comes back; what is wrong with some workers is logged."""
    steps = {"an importable function": send_importable}
    with reported_gone(client):
        came_back = canary(client, workers, steps, CANARY_SECONDS)
    check_open(client)
    # A warning is that others keep the cluster busy.
    problems = [one for one in came_back if one.verdict is Verdict.PROBLEM]
    if problems and len(problems) == len(workers):
        raise error_of(_obstacle(problems[0]))
    for observation in problems:
        _log.warning("%s: %s", observation.subject, observation.text)


def _examined(client: Client, address: str) -> tuple[Cluster, Examination]:
    """:raises RunnerError: its versions keep it from running tasks, or nobody answers."""
    cluster = gather(address, security=client.security)
    if isinstance(cluster, NoScheduler):
        raise error_of(unfit(f"{address}: {cluster.reason}", "", Hint(cluster.advice)))
    examination = compare(cluster)
    if examination.obstacles:
        raise error_of(_obstacle(examination.obstacles[0]))
    for observation in examination.for_lambdas:
        _log.warning("%s", observation.text)
    return cluster, examination


def _first_workers(client: Client) -> Mapping[str, int]:
    """Wait for workers; a cluster that adapts starts some only when there is something to do.

    :raises RunnerError: none came.
    """
    _log.warning("the cluster has no workers: waiting up to %g s", FIRST_WORKER_SECONDS)
    with reported_gone(client):
        something = something_to_do(client)
    deadline = time.monotonic() + FIRST_WORKER_SECONDS
    try:
        while time.monotonic() < deadline:
            if workers := workers_of(client):
                return workers
            time.sleep(_POLL_SECONDS)
    finally:
        with suppress(*GONE):
            something.release()
    raise error_of(
        unfit(
            f"the cluster has no workers, and none came within {FIRST_WORKER_SECONDS:.0f} s",
            "Dask would keep the tasks and say nothing.",
            Hint(
                "start workers, and look at their log if they did start",
                command="dask worker ADDRESS",
            ),
        )
    )


def _obstacle(observation: Observation) -> Finding:
    return unfit(observation.text, f"Seen at: {observation.subject}.", *observation.hints)
