"""What is looked at before a study is sent: whether the cluster can run it at all."""

import asyncio
import logging

from distributed import Client

from runner.dask.canary import canary, send_importable
from runner.dask.cluster import NoScheduler
from runner.dask.compare import compare, one_of_each
from runner.dask.failures import error_of, unfit
from runner.dask.versions import gather
from runner.diagnosis.case import Finding
from runner.diagnosis.report import Hint
from runner.doctor.observation import Observation, Verdict

_log = logging.getLogger(__name__)

# A cluster that was just started has no workers yet.
FIRST_WORKER_SECONDS = 30.0

CANARY_SECONDS = 5.0


def require_fit(client: Client) -> None:
    """See that a cluster can run tasks, without pickling anything before its versions are known.

    What lambdas would do there is logged, where Pythons differ: tasks carry none.

    :raises RunnerError: it cannot; the report says why.
    """
    _require_workers(client)
    address: str = client.scheduler.address  # type: ignore[union-attr,assignment]
    if address.startswith("inproc:"):
        return  # the workers are in this process
    cluster = gather(address, security=client.security)
    if isinstance(cluster, NoScheduler):
        raise error_of(unfit(f"{address}: {cluster.reason}", "", Hint(title=cluster.advice)))
    examination = compare(cluster)
    if examination.obstacles:
        raise error_of(_obstacle(examination.obstacles[0]))
    for observation in examination.for_lambdas:
        _log.warning("%s", observation.text)
    steps = {"an importable function": send_importable}
    for observation in canary(client, one_of_each(cluster), steps, CANARY_SECONDS):
        # A warning is that others keep the cluster busy.
        if observation.verdict is Verdict.PROBLEM:
            raise error_of(_obstacle(observation))


def _require_workers(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
    except (TimeoutError, asyncio.TimeoutError):  # one and the same from 3.11 on
        raise error_of(
            unfit(
                f"the cluster has no workers, and none came within {FIRST_WORKER_SECONDS:.0f} s",
                "Dask would keep the tasks and say nothing.",
                Hint(
                    title="start workers, and look at their log if they did start",
                    command="dask worker ADDRESS",
                ),
            )
        ) from None


def _obstacle(observation: Observation) -> Finding:
    return unfit(observation.text, f"Seen at: {observation.subject}.", *observation.hints)
