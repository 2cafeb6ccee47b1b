"""Finds out by hand who listens at an address where no Dask scheduler answered."""

import asyncio
import socket
import ssl
import struct

from distributed import Security
from distributed.comm.addressing import parse_address, parse_host_port
from msgspec import Struct

from runner.diagnosis.report.text import one_line

_SECONDS = 0.5
_MOST_BYTES = 4096


class Endpoint(Struct, frozen=True):
    """An address, taken apart."""

    scheme: str
    host: str
    port: int

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_endpoint(address: str, security: Security) -> Endpoint:
    """Take an address apart as Dask does.

    :param security: without a scheme in the address, it decides whether that is TLS.
    :raises ValueError: it is not an address.
    """
    scheme, location = parse_address(address)
    if scheme in ("http", "https"):
        raise ValueError("that is the address of a web page, probably of Dask's dashboard")
    if "://" not in address and security.require_encryption:
        scheme = "tls"
    host, port = parse_host_port(location)
    return Endpoint(scheme, host, port)


async def what_listens(endpoint: Endpoint, error: Exception) -> tuple[str, str]:
    """Return what is there instead of a scheduler, and what to do about it.

    :param error: what the attempt to speak with a scheduler ended with.
    """
    said = one_line(f"{type(error).__name__}: {error}".rstrip(": "))
    if endpoint.scheme not in ("tcp", "tls"):
        return f"no scheduler answered ({said})", "look at the address, and at the scheduler's log"
    try:
        first = await _first_bytes(endpoint)
        encrypted = not first and await _speaks_tls(endpoint)
    except (ConnectionRefusedError, socket.gaierror) as refused:
        if isinstance(refused, socket.gaierror):
            return f"the name {endpoint.host} is not known here", "look for a slip in the address"
        return (
            f"nothing listens on port {endpoint.port} of {endpoint.host}",
            "start the scheduler (dask scheduler), or look in its log for the address that it has",
        )
    except (OSError, asyncio.TimeoutError):
        return (
            f"{endpoint.host} did not answer on port {endpoint.port}: the machine is down, or"
            " packets to that port are dropped",
            "look at the address, and at what the network lets through",
        )
    if encrypted and endpoint.scheme != "tls":
        return (
            f"port {endpoint.port} of {endpoint.host} speaks TLS, and was asked without",
            "give the address as tls://, with the cluster's certificates",
        )
    return _named(endpoint, first, said)


async def _first_bytes(endpoint: Endpoint) -> bytes:
    """Return what it says: unasked, as Dask does, or when it is asked for a page."""
    reader, writer = await asyncio.wait_for(
        asyncio.open_connection(endpoint.host, endpoint.port), _SECONDS
    )
    try:
        for question in (b"", b"GET / HTTP/1.0\r\n\r\n"):
            writer.write(question)
            try:
                first = await asyncio.wait_for(reader.read(_MOST_BYTES), _SECONDS)
            except asyncio.TimeoutError:
                continue
            except OSError:
                return b""
            return first
        return b""
    finally:
        writer.transport.abort()


async def _speaks_tls(endpoint: Endpoint) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # who it is does not matter: nothing is told to it
    try:
        _, writer = await asyncio.wait_for(
            asyncio.open_connection(endpoint.host, endpoint.port, ssl=context), _SECONDS
        )
    except (OSError, asyncio.TimeoutError):
        return False
    writer.transport.abort()
    return True


def _named(endpoint: Endpoint, first: bytes, said: str) -> tuple[str, str]:
    at = f"port {endpoint.port} of {endpoint.host}"
    if first.startswith(b"HTTP/"):
        # Dask's pages are served by Tornado, as are Jupyter's.
        dashboard = b"tornado" in first.lower()
        what = "a web server, probably Dask's dashboard" if dashboard else "a web server"
        return (
            f"{at} is {what}, not the scheduler",
            "give the scheduler's own port: 8786 unless it was given another; its log has the"
            " address behind «Scheduler at»",
        )
    if _is_dask(first):
        if endpoint.scheme == "tls":
            return f"{at} is Dask without TLS, and was asked with it", "give it as tcp://"
        return (
            f"{at} is Dask, and could not be asked: {said}",
            "look at the scheduler's log: it may be busy, or older than 2024.8",
        )
    if not first and endpoint.scheme == "tls":
        return f"{at} did not accept the certificates, or is not a scheduler: {said}", (
            "compare the certificates with the cluster's, and look at the scheduler's log"
        )
    if not first:
        return (
            f"{at} accepts connections and says nothing: a scheduler that hangs, or no scheduler",
            "look at the scheduler's log, and at the load of its machine",
        )
    return (
        f"{at} is not a Dask scheduler",
        "look in the scheduler's log for the address that it has",
    )


def _is_dask(first: bytes) -> bool:
    """Tell whether a Dask process speaks: a length first, then its side of the handshake.

    ``distributed/comm/tcp.py``: the number of all bytes that follow, eight bytes, little-endian.
    """
    return len(first) > 8 and struct.unpack("<Q", first[:8])[0] < _MOST_BYTES and (
        b"pickle-protocol" in first
    )  # fmt: skip
