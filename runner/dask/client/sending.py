"""A bundle on its way to the workers of a cluster, and what each says of itself meanwhile."""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext, suppress

from distributed import Client
from msgspec import Struct

from runner.dask.archive import Archive
from runner.dask.client.connection import ask
from runner.dask.client.lost import GONE, is_closed
from runner.dask.client.shared import Shared
from runner.dask.client.survey import silent, survey_of
from runner.dask.owners import disown, own
from runner.dask.worker.bundles import BUNDLE, BundlePlugin, OutputsPlugin
from runner.dask.worker.plugin import RunnerPlugin
from runner.dask.worker.work import Survey
from runner.diagnosis.report.model import Report

_log = logging.getLogger(__name__)

# How long the workers may take to receive a bundle and to say what they are.
SEND_SECONDS = 60.0

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
    asked = {
        # One that was silent before gets no turn that it would not give back.
        at: asyncio.ensure_future(
            _in_turn(client, at, archive.key, probe, turns if answers else asyncio.Semaphore())
        )
        for at, answers in workers.items()
    }
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
    await client.run_on_scheduler(disown, BUNDLE + key, client.id)


async def _register(client: Client, archive: Archive, shared: Shared | None) -> None:
    plugin = RunnerPlugin()
    plugin.idempotent = True  # one that the caller has registered stays
    owned: list[BundlePlugin | OutputsPlugin] = [BundlePlugin(archive)]
    if shared is not None:
        owned.append(OutputsPlugin(str(shared.outputs)))
    with suppress(*GONE):  # who asks the workers says so
        for one in owned:
            await client.run_on_scheduler(own, one.name, client.id)
    registered = await asyncio.gather(
        *(client.register_plugin(one) for one in (plugin, *owned)),
        # What a worker has not taken in, it says itself, when it is asked.
        return_exceptions=True,
    )
    for failure in registered:
        if isinstance(failure, BaseException) and not is_closed(client):
            _log.warning("while the bundle was sent: %s", failure, exc_info=failure)


async def _in_turn(
    client: Client, address: str, bundle: str, probe: str | None, turn: asyncio.Semaphore
) -> Survey | None:
    async with turn:
        return await survey_of(client, address, bundle, probe, SEND_SECONDS / 2)
