"""Asks client, scheduler and workers what they are made of, without pickling anything.

Dask's own requests are spoken, but not through its ``Client``: one of 2026.8 cannot even connect to
a scheduler of 2024.10, and just that is to be told. The requests ``identity``, ``versions`` and
``broadcast`` are the same from 2024.8 to 2026.8, and their answers are plain msgpack.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import msgspec
from distributed import Security
from distributed.comm.core import connect
from distributed.core import send_recv
from distributed.versions import get_versions
from msgspec import Struct, field

from runner.dask.client.connection import in_thread
from runner.dask.examine.cluster import PACKAGES, Cluster, Member, NoScheduler, Software
from runner.dask.examine.listener import Endpoint, parse_endpoint, what_listens
from runner.diagnosis.report.text import one_line

CONNECT_SECONDS = 2.0
MEMBER_SECONDS = 1.5

# Dask of today knows a package by its distribution's name; Dask of 2024 imports what it is asked
# for, and reads its `__version__`.
_ASKED = ["modelops-runner", "runner"]
# A worker that has just joined is in the scheduler's list before it answers.
_PAUSE_SECONDS = 0.2
# Each worker that is asked by itself takes a connection to the scheduler.
_ASKED_AT_ONCE = 16


def gather(
    address: str, *, security: Security | None = None, seconds: float = 4.0
) -> Cluster | NoScheduler:
    """Ask a cluster what it is made of.

    May be called where an event loop runs or a client is connected: it has a loop of its own, in a
    thread of its own.

    :param address: the scheduler's, with or without a scheme: ``tcp://10.0.0.1:8786``.
    :param security: the certificates where the cluster uses TLS; ``None``: those that Dask's
        configuration names.
    :param seconds: how long it may take. Workers that have not answered by then are members without
        software.
    """
    deadline = time.monotonic() + seconds
    try:
        # The slack is for a name server: looking up a name knows no deadline.
        return in_thread(lambda: asyncio.run(_gather(address, security, deadline)), seconds + 0.5)
    except FutureTimeoutError:
        advice = "look at the scheduler's log, and at the load of its machine"
        return NoScheduler(f"it did not answer in {seconds:g} s", advice)


async def _gather(
    address: str, security: Security | None, deadline: float
) -> Cluster | NoScheduler:
    security = security or Security()
    try:
        endpoint = parse_endpoint(address, security)
        connection = security.get_connection_args("client")
    except (ValueError, OSError) as error:  # no address at all; no certificate
        advice = "give it as tcp://HOST:PORT, as the scheduler's log has it behind «Scheduler at»"
        return NoScheduler(one_line(str(error)), advice)
    if endpoint.scheme == "tls" and connection.get("ssl_context") is None:
        advice = "name the cluster's: distributed.comm.tls.ca-file, .client.cert and .client.key in"
        advice += " Dask's configuration (DASK_DISTRIBUTED__COMM__TLS__CA_FILE=... for the first)"
        return NoScheduler("it is to be asked by TLS, and there are no certificates", advice)
    scheduler = _Scheduler(endpoint, connection, deadline)
    try:
        identity = msgspec.convert(await scheduler.ask(CONNECT_SECONDS, op="identity"), _Identity)
    except Exception as error:  # noqa: BLE001 - whatever is there, it does not speak as Dask does
        return NoScheduler(*await what_listens(endpoint, error))
    if identity.type != "Scheduler":
        reason = f"that is the address of a Dask {identity.type.lower()}, not of a scheduler"
        advice = "give the address that the scheduler's log has behind «Scheduler at»"
        return NoScheduler(reason, advice)
    own = _software(get_versions(_ASKED))
    return Cluster(
        client=Member("", socket.gethostname(), own),
        scheduler=Member(endpoint.url, endpoint.host, await scheduler.software()),
        workers=[
            Member(at, identity.workers[at].host, software)
            for at, software in (await scheduler.workers(list(identity.workers))).items()
        ],
    )


class _WorkerIdentity(Struct):
    host: str = ""


class _Identity(Struct):
    type: str
    workers: dict[str, _WorkerIdentity] = field(default_factory=dict)


class _Scheduler:
    """A scheduler that is asked, in the time there is."""

    def __init__(self, endpoint: Endpoint, connection: dict[str, Any], deadline: float) -> None:
        self._endpoint = endpoint
        self._connection = connection
        self._deadline = deadline
        self._turns = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(self, seconds: float, **request: Any) -> Any:
        """The answer to one request.

        :raises Exception: of any type, where no answer comes. Dask lets through what its
            layers raise.
        """
        seconds = min(seconds, self._deadline - time.monotonic())

        async def exchange() -> Any:
            # Not deserialised: nothing that comes from an unknown address is unpickled.
            comm = await connect(
                self._endpoint.url, timeout=seconds, deserialize=False, **self._connection
            )
            try:
                return await send_recv(comm, **request)
            finally:
                comm.abort()

        return await asyncio.wait_for(exchange(), seconds)

    async def software(self) -> Software | None:
        try:
            return _software(await self.ask(MEMBER_SECONDS, op="versions", packages=_ASKED))
        except Exception:  # noqa: BLE001 - see ask
            return None

    async def workers(self, addresses: Sequence[str]) -> dict[str, Software | None]:
        """Ask the workers what they are made of, through the scheduler: it alone may reach them."""
        found = await self._broadcast(addresses)
        # One that hangs keeps back the answers of all, so the rest is asked one by one.
        silent = [address for address in addresses if found.get(address) is None]
        again = await asyncio.gather(*(self._worker(address) for address in silent))
        return {**dict.fromkeys(addresses), **found, **dict(zip(silent, again, strict=True))}

    async def _worker(self, address: str) -> Software | None:
        async with self._turns:
            until = min(self._deadline, time.monotonic() + MEMBER_SECONDS)
            while (left := until - time.monotonic()) > 0:
                found = (await self._broadcast([address], left)).get(address)
                if found is not None:
                    return found
                await asyncio.sleep(min(_PAUSE_SECONDS, left))
        return None

    async def _broadcast(
        self, addresses: Sequence[str], seconds: float = MEMBER_SECONDS
    ) -> dict[str, Software | None]:
        message = {"op": "versions", "packages": _ASKED}
        try:
            # Errors are left out: as exceptions they would come pickled.
            answer = await self.ask(
                seconds, op="broadcast", msg=message, workers=list(addresses), on_error="ignore"
            )
            answers = msgspec.convert(answer, dict[str, object])
        except Exception:  # noqa: BLE001 - see ask
            return {}
        return {address: _software(answer) for address, answer in answers.items()}


class _Host(Struct):
    """The host part of the answer to ``versions``."""

    python: str
    os: str = field(name="OS")
    machine: str
    bits: int = field(name="python-bits")


class _Versions(Struct):
    host: _Host
    packages: dict[str, str | None]


def _software(answer: object) -> Software | None:
    try:
        versions = msgspec.convert(answer, _Versions)
    except msgspec.ValidationError:
        return None
    packages, host = versions.packages, versions.host
    packages["modelops-runner"] = packages.get("modelops-runner") or packages.get("runner")
    return Software(
        python=_python(host.python),
        system=f"{host.os} {host.machine}",
        bits=host.bits,
        packages={name: packages.get(name) for name in PACKAGES},
    )


def _python(version_info: str) -> str:
    """Write ``3.14.0.candidate.1``, as :data:`sys.version_info` has it, as ``3.14.0rc1``."""
    major, minor, micro, level, serial = version_info.split(".")
    suffix = {"alpha": f"a{serial}", "beta": f"b{serial}", "candidate": f"rc{serial}"}
    return f"{major}.{minor}.{micro}{suffix.get(level, '')}"
