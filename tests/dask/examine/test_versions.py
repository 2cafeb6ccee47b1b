"""Asking real clusters what they are made of, and what is said where there is no cluster."""

import asyncio
import operator
import platform
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from distributed import Client, Security
from distributed.versions import get_versions
from loopback import DaskCluster

import runner
from runner.dask.client.connection import in_thread
from runner.dask.examine.cluster import Cluster, NoScheduler
from runner.dask.examine.versions import _software, gather
from runner.version import runner_version


def asked(address: str, **arguments: object) -> Cluster:
    found = gather(address, **arguments)  # type: ignore[arg-type]
    assert isinstance(found, Cluster), found
    return found


def reason(address: str, **arguments: object) -> str:
    found = gather(address, **arguments)  # type: ignore[arg-type]
    assert isinstance(found, NoScheduler), found
    assert found.advice
    return found.reason


def test_client_scheduler_and_every_worker_say_what_they_are_made_of(two: DaskCluster) -> None:
    found = asked(two.address)
    assert found.client.software and found.client.software.python == platform.python_version()
    assert found.client.software.packages["modelops-runner"]
    assert found.scheduler.software == found.client.software
    assert {worker.address for worker in found.workers} == {one.address for one in two.workers}
    assert all(worker.software == found.client.software for worker in found.workers)
    assert {worker.host for worker in found.workers} == {"127.0.0.1"}


def test_an_address_needs_no_scheme(two: DaskCluster) -> None:
    assert len(asked(two.address.removeprefix("tcp://")).workers) == 2


def test_a_cluster_can_be_asked_from_within_a_running_loop(two: DaskCluster) -> None:
    async def within() -> Cluster:
        return asked(two.address)

    assert len(asyncio.run(within()).workers) == 2


def test_a_cluster_can_be_asked_beside_a_connected_client(two: DaskCluster) -> None:
    client = Client(two.address, set_as_default=False, timeout=10)
    try:
        assert len(asked(two.address).workers) == 2
        assert client.submit(operator.add, 1, 2).result(timeout=10) == 3
    finally:
        client.close(timeout=2)


def test_a_worker_that_hangs_keeps_nothing_back_of_the_others(two: DaskCluster) -> None:
    hung, sound = two.workers
    hung.process.send_signal(signal.SIGSTOP)
    found = asked(two.address)
    assert {worker.address: worker.software is None for worker in found.workers} == {
        hung.address: True,
        sound.address: False,
    }
    hung.process.send_signal(signal.SIGCONT)


def test_a_scheduler_that_hangs_is_named(tmp_path: Path) -> None:
    with DaskCluster(0) as started:
        started.scheduler.process.send_signal(signal.SIGSTOP)
        assert "accepts connections and says nothing" in reason(started.address)


def test_where_nothing_listens_it_is_said() -> None:
    with socket.socket() as free:  # bound, and not listening
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert reason(f"tcp://127.0.0.1:{port}") == f"nothing listens on port {port} of 127.0.0.1"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "missing port number"),
        ("", "missing port number"),
        ("http://127.0.0.1:8787/status", "web page, probably of Dask's dashboard"),
        ("nonsense://127.0.0.1:8786", "nonsense"),
    ],
)
def test_what_is_no_address_is_said_to_be_none(address: str, said: str) -> None:
    assert said in reason(address)


def test_the_address_of_a_worker_is_not_the_schedulers(two: DaskCluster) -> None:
    assert "the address of a Dask worker" in reason(two.workers[0].address)


def test_the_dashboards_port_is_named_as_such(two: DaskCluster) -> None:
    page = two.scheduler.wait_for(r"dashboard at: +http://(127\.0\.0\.1:\d+)")[1]
    assert "a web server, probably Dask's dashboard, not the scheduler" in reason(page)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_a_web_server_is_named_as_such() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            said = reason(f"127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    assert said.endswith("is a web server, not the scheduler")


@contextmanager
def says(greeting: bytes) -> Iterator[str]:
    """A listener that says this to everyone, and listens to nobody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"\x00" * 64, b"\xff" * 64])
def test_a_listener_that_speaks_otherwise_is_no_scheduler(greeting: bytes) -> None:
    with says(greeting) as address:
        assert "not a Dask scheduler" in reason(address)


def test_a_silent_name_server_does_not_hold_up_who_waits() -> None:
    never = threading.Event()
    with pytest.raises(FutureTimeoutError):
        in_thread(never.wait, 0.05)
    never.set()


def test_what_dask_of_2024_and_of_today_answer_is_read_alike() -> None:
    # Dask of 2024 imports what it is asked for; Dask of today looks for distributions.
    host = get_versions()["host"] | {"python": "3.14.0.candidate.1"}
    packages = {"dask": "2024.8.0", "numpy": None, "modelops-runner": None, "runner": "0.1.0"}
    imported = _software({"host": host, "packages": packages})
    packages |= {"modelops-runner": "0.1.0", "runner": None}
    assert imported == _software({"host": host, "packages": packages})
    assert imported and imported.python == "3.14.0rc1" and imported.minor == "3.14"
    assert imported.packages["modelops-runner"] == "0.1.0"
    assert _software(None) is None and _software({"status": "uncaught-error"}) is None


def test_the_version_is_where_dask_of_2024_looks_for_it() -> None:
    assert runner.__version__ == runner_version()


# TLS.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine")
    folder = tmp_path_factory.mktemp("tls")
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    subject = ["-subj", "/CN=localhost", "-days", "2", "-out", files[0], "-keyout", files[1]]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return files


@pytest.fixture(scope="module")
def encrypted(certificate: tuple[str, str]) -> Iterator[DaskCluster]:
    names = ("CA_FILE", "SCHEDULER__CERT", "SCHEDULER__KEY", "WORKER__CERT", "WORKER__KEY")
    file, key = certificate
    values = (file, file, key, file, key)
    environ = {
        f"DASK_DISTRIBUTED__COMM__TLS__{name}": value
        for name, value in zip(names, values, strict=True)
    }
    with DaskCluster(
        1, environ={**environ, "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true"}
    ) as started:
        yield started


def test_a_cluster_behind_tls_is_asked_with_its_certificates(
    encrypted: DaskCluster, certificate: tuple[str, str]
) -> None:
    file, key = certificate
    security = Security(
        tls_ca_file=file, tls_client_cert=file, tls_client_key=key, require_encryption=True
    )
    assert encrypted.address.startswith("tls://")
    assert "there are no certificates" in reason(encrypted.address)
    assert asked(encrypted.address, security=security).workers[0].software
    assert asked(encrypted.address.removeprefix("tls://"), security=security).scheduler.software


def test_a_cluster_behind_tls_that_is_asked_without_says_so(encrypted: DaskCluster) -> None:
    address = encrypted.address.replace("tls://", "tcp://")
    assert "speaks TLS, and was asked without" in reason(address)


def test_a_cluster_without_tls_that_is_asked_with_it_says_so(
    two: DaskCluster, certificate: tuple[str, str]
) -> None:
    file, key = certificate
    security = Security(
        tls_ca_file=file, tls_client_cert=file, tls_client_key=key, require_encryption=True
    )
    address = two.address.replace("tcp://", "tls://")
    assert "Dask without TLS" in reason(address, security=security)
