"""Asks a worker what it is, and says it in its place where it cannot."""

from distributed import Client

from runner.dask.client.lost import GONE
from runner.dask.failures import report_of, unfit
from runner.dask.worker.work import Survey, survey
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.text import one_line


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
    return report_of(
        unfit(
            f"the worker {address} does not answer",
            "It is in the scheduler's list, and hangs, is busy with a call that keeps Python's"
            " lock, or is out of the scheduler's reach.",
            Hint(
                title="look at its log, and at the load of its machine; restart it",
                command="modelops-runner doctor --scheduler ADDRESS",
            ),
        )
    )


def _without_runner(address: str, error: Exception) -> Report:
    return report_of(
        unfit(
            f"the worker {address} cannot load modelops-runner:"
            f" {one_line(f'{type(error).__name__}: {error}')}",
            "Its Python has no modelops-runner, or another version of it than the client.",
            Hint(
                title="install the client's version there, and restart the worker",
                command="modelops-runner doctor --scheduler ADDRESS",
            ),
        )
    )
