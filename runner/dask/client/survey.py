"""Asks workers what they are, and says it in their place where they cannot."""

import asyncio
import logging

from distributed import Client

from runner.dask.client.fitness import Fitness
from runner.dask.client.lost import GONE
from runner.dask.failures import report_of, unfit
from runner.dask.worker.work import Survey, survey
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.text import one_line

_log = logging.getLogger(__name__)

# A worker that has just joined may still be setting up its plugins.
ANSWER_SECONDS = 10.0


async def survey_of(
    client: Client, address: str, bundle: str, probe: str | None, seconds: float
) -> Survey | None:
    """Ask one; to be awaited on the client's own event loop, for as long as it may take.

    :param bundle: the key of one that is on its way there.
    :param probe: a file that client and workers should share.
    :param seconds: how long the bundle may take.
    :returns: its account of itself; ``None``: it is not there any more.
    """
    try:
        said = await client.run(
            survey, bundle, probe, seconds, workers=[address], on_error="return"
        )
        found = said.get(address)
    except GONE:
        return None
    except Exception as error:  # noqa: BLE001 - whatever the worker raised, as it has no such function
        found = error
    if isinstance(found, Exception) and not isinstance(found, OSError):
        return Survey("", insists=False, refusal=_without_runner(address, found), sees=True)
    return found if isinstance(found, Survey) else None


def silent(address: str) -> Report:
    return _report(
        f"the worker {address} does not answer",
        "It is in the scheduler's list, and hangs, is busy with a call that keeps Python's lock, or"
        " is out of the scheduler's reach.",
        "look at its log, and at the load of its machine; restart it",
    )


def _without_runner(address: str, error: Exception) -> Report:
    return _report(
        f"the worker {address} cannot load modelops-runner:"
        f" {one_line(f'{type(error).__name__}: {error}')}",
        "Its Python has no modelops-runner, or another version of it than the client.",
        "install the client's version there, and restart the worker",
    )


def _report(summary: str, explanation: str, advice: str) -> Report:
    look = "modelops-runner doctor --scheduler ADDRESS"
    return report_of(unfit(summary, explanation, Hint(title=advice, command=look)))


class Newcomers:
    """Workers that join a cluster under a study, or become silent.

    To be used on the client's own event loop.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[tuple[Fitness, str], asyncio.Task[None]] = {}

    def meet(self, fitness: Fitness, address: str) -> None:
        """Ask a worker whether it runs tasks of a study, unless that is under way."""
        key = (fitness, address)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(fitness, address))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key))

    async def _ask(self, fitness: Fitness, address: str) -> None:
        asking = asyncio.ensure_future(
            survey_of(self._client, address, fitness.bundle, None, ANSWER_SECONDS)
        )
        # One that was heard of before has no plugins to set up.
        timeout = 2 * ANSWER_SECONDS if fitness.unknown([address]) else ANSWER_SECONDS
        done, _ = await asyncio.wait([asking], timeout=timeout)
        if not done and address not in fitness.unable:
            report = silent(address)
            _log.warning("%s: it gets no tasks until it does", report.summary)
            fitness.refuse(address, report)
        found = await asking
        if found is None:
            fitness.left(address)
        elif found.refusal is None:
            fitness.welcome(address)
        else:
            _log.warning("%s gets no tasks: %s", address, found.refusal.summary)
            fitness.refuse(address, found.refusal)
