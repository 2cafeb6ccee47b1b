"""A bundle on its way to the workers of a cluster, and what each says of itself meanwhile."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext

from distributed import Client
from msgspec import Struct

from runner.dask.archive import Archive
from runner.dask.client.connection import ask, on_scheduler
from runner.dask.client.eligibility import Eligibility
from runner.dask.client.lost import GONE
from runner.dask.client.shared import Shared
from runner.dask.failures import report_of, unfit
from runner.dask.scheduler import disown, own
from runner.dask.worker.bundles import BUNDLE, BundlePlugin, OutputsPlugin
from runner.dask.worker.plugin import RunnerPlugin
from runner.dask.worker.work import Survey, survey
from runner.diagnosis.report.model import Hint, Report
from runner.diagnosis.report.text import one_line

_log = logging.getLogger(__name__)

# How long the workers may take to receive a bundle and to say what they are.
SEND_SECONDS = 60.0

# How long one may take that joins in the midst, and may still be setting up its plugins.
ANSWER_SECONDS = 10.0

# Each that is asked takes a connection to the scheduler.
_ASKED_AT_ONCE = 16


class Sending(Struct, frozen=True):
    """:param surveys: what workers say of themselves, by their addresses.

    :param silent: what is to be said of those that have not answered, and not left meanwhile.
    """

    surveys: dict[str, Survey]
    silent: dict[str, Report]


def send(
    client: Client, workers: Mapping[str, bool], archive: Archive, shared: Shared | None
) -> Sending:
    """Send a bundle, and the runner's plugin where there is none.

    :param workers: their addresses, and whether each can be expected to answer.
    :raises RunnerError: the scheduler does not answer, or a worker does not see the shared folder.
    """
    with nullcontext() if shared is None else shared.probed() as probe:
        sending = ask(
            client, lambda: _sent(client, workers, archive, shared, probe), SEND_SECONDS + 1.0
        )
    blind = [at for at, found in sending.surveys.items() if not found.sees]
    if shared is not None and blind:
        raise shared.not_seen(blind)
    return sending


async def _sent(
    client: Client,
    workers: Mapping[str, bool],
    archive: Archive,
    shared: Shared | None,
    probe: str | None,
) -> Sending:
    # The scheduler keeps it at once, and answers when all workers have: one that hangs keeps back
    # the others' answers, which are asked for one by one.
    asyncio.ensure_future(_register(client, archive, shared))  # noqa: RUF006 - Dask has it
    turns = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def in_turn(at: str, answers: bool) -> Survey | None:
        # One that was silent before gets no turn that it would not give back.
        async with turns if answers else nullcontext():
            return await survey_of(client, at, archive.key, probe, SEND_SECONDS / 2)

    asked = {at: asyncio.ensure_future(in_turn(at, answers)) for at, answers in workers.items()}
    if expected := [asked[at] for at, answers in workers.items() if answers]:
        await asyncio.wait(expected, timeout=SEND_SECONDS)
    done = {at: one.result() for at, one in asked.items() if one.done()}
    for one in asked.values():
        one.cancel()
    return Sending(
        {at: found for at, found in done.items() if found is not None},
        {at: silent(at) for at in asked.keys() - done.keys()},
    )


async def forget(client: Client, key: str) -> None:
    """This client needs a bundle no more; the cluster keeps it for others that do."""
    await on_scheduler(client, disown, BUNDLE + key, client.id)


async def _register(client: Client, archive: Archive, shared: Shared | None) -> None:
    plugin = RunnerPlugin()
    plugin.idempotent = True  # one that the caller has registered stays
    owned: list[BundlePlugin | OutputsPlugin] = [BundlePlugin(archive)]
    if shared is not None:
        owned.append(OutputsPlugin(str(shared.outputs)))
    for one in owned:
        await on_scheduler(client, own, one.name, client.id)
    registered = await asyncio.gather(
        *(client.register_plugin(one) for one in (plugin, *owned)),
        # What a worker has not taken in, it says itself, when it is asked.
        return_exceptions=True,
    )
    for failure in registered:
        # Who asks the workers finds out that the scheduler is gone.
        if isinstance(failure, BaseException) and not isinstance(failure, GONE):
            _log.warning("while the bundle was sent: %s", failure, exc_info=failure)


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
    return report_of(unfit(summary, explanation, Hint(advice, command=look)))


class Newcomers:
    """Workers that join a cluster under a study, or become silent.

    To be used on the client's own event loop.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[tuple[Eligibility, str], asyncio.Task[None]] = {}

    def meet(self, eligibility: Eligibility, address: str) -> None:
        """Ask a worker whether it runs tasks of a study, unless that is under way."""
        key = (eligibility, address)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(eligibility, address))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key))

    async def _ask(self, eligibility: Eligibility, address: str) -> None:
        asking = asyncio.ensure_future(
            survey_of(self._client, address, eligibility.bundle, None, ANSWER_SECONDS)
        )
        # One that was heard of before has no plugins to set up.
        timeout = 2 * ANSWER_SECONDS if eligibility.unknown([address]) else ANSWER_SECONDS
        done, _ = await asyncio.wait([asking], timeout=timeout)
        if not done and address not in eligibility.unable:
            eligibility.refuse(address, silent(address))
        found = await asking
        if found is None:
            eligibility.left(address)
        elif found.refusal is None:
            eligibility.welcome(address)
        else:
            eligibility.refuse(address, found.refusal)
