"""Values beside the wire, as a real child on every Python sends and takes them."""

import base64
import errno
import os
import resource
import shutil
import socket
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import need_python
from driver import Child

from bundle_protocol import bulk
from bundle_protocol.messages import INLINE_BYTES, ErrorCode

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memfds are Linux's")

PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "pypy3"]
LARGE = bytes(range(256)) * 1000
ECHO = """
def wire(entrypoint, params, seed):
    return {name: view for name, view in params.items()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "wire.py").write_text(ECHO)
    return folder


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with own, theirs:
        yield own, theirs


def interpreter(version: str) -> str | Path:
    if version != "pypy3":
        return need_python(version)
    return shutil.which("pypy3") or pytest.skip("no PyPy on this machine")


def record(name: str, data: bytes, where: dict[str, object] | None) -> dict[str, object]:
    assert where is not None
    return {"name": name, "size": len(data), **where}


def taken(child: Child, answer: dict[str, Any], request_id: int) -> dict[str, bytes]:
    """The outputs of an answer, each with the way that it took."""
    assert "error" not in answer, (answer, child.stderr)
    outputs = {}
    for index, output in enumerate(answer["result"]["outputs"]):
        if output.get("memfd"):
            fd = bulk.receive(child.bulk, request_id, index, output["size"])
            data = os.pread(fd, output["size"], 0)
            os.close(fd)
        else:
            data = base64.b64decode(output["data"])
        assert zlib.crc32(data) == output["crc32"]
        outputs[output["name"]] = data
    return outputs


@pytest.mark.parametrize("version", PYTHONS)
def test_every_supported_python_takes_and_sends_memfds(version: str, bundle: Path) -> None:
    with Child(interpreter(version), bundle, bulk=True) as child:
        child.initialize(bundle)
        inputs = [
            record("large", LARGE, bulk.send(LARGE, child.bulk, None, 2, 0)),
            {"name": "tiny", "size": 1, "crc32": zlib.crc32(b"t"), "data": "dA=="},
        ]
        answer = child.execute(inputs=inputs)
        assert [output.get("memfd") for output in answer["result"]["outputs"]] == [True, None]
        assert taken(child, answer, 2) == {"large": LARGE, "tiny": b"t"}


def test_inputs_come_as_files_where_there_is_no_socket(bundle: Path, tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    with Child(sys.executable, bundle) as child:
        child.initialize(bundle, exchange)
        where = bulk.send(LARGE, None, str(exchange), 2, 0)
        (output,) = child.execute(inputs=[record("x", LARGE, where)])["result"]["outputs"]
        assert [path.name for path in exchange.iterdir()] == [output["file"]]
        assert (exchange / output["file"]).read_bytes() == LARGE


def test_an_input_that_is_not_as_announced_is_named_and_the_child_goes_on(bundle: Path) -> None:
    with Child(sys.executable, bundle, bulk=True) as child:
        child.initialize(bundle)
        for request_id, problem, change in (
            (2, "its memfd did not arrive", {}),
            (3, "its memfd has 256000 bytes where 7 were announced", {"size": 7}),
            (4, "its size or its CRC-32 is not the one announced", {"crc32": 7}),
            (5, "there is no way to it", {"memfd": None}),
        ):
            where = bulk.send(LARGE, child.bulk, None, request_id or 1, 0 if change else 9)
            announced = {**record("x", LARGE, where), **change}
            error = child.execute(inputs=[announced])["error"]
            assert error["code"] == ErrorCode.INTERNAL_ERROR
            assert error["message"] == f"input 'x' cannot be had: ValueError: {problem}"
        error = child.execute(inputs=[{"name": "x"}])["error"]
        assert error["code"] == ErrorCode.INVALID_PARAMS
        assert child.execute(inputs=[])["error"]["code"] == ErrorCode.RESULT_INVALID  # no outputs


def test_a_socket_that_the_bundle_closed_is_done_without(bundle: Path, tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    (bundle / "wire.py").write_text(
        "import os, stat\n"
        "for fd in range(3, 1024):\n"
        "    try:\n"
        "        if stat.S_ISSOCK(os.fstat(fd).st_mode):\n"
        "            os.dup2(os.open('/dev/null', os.O_RDWR), fd)\n"
        "    except OSError:\n"
        "        pass\n"
        f"def wire(entrypoint, params, seed):\n    return {{'x': bytes({INLINE_BYTES + 1})}}\n"
    )
    with Child(sys.executable, bundle, bulk=True) as child:
        child.initialize(bundle, exchange)
        (output,) = child.execute()["result"]["outputs"]
        assert (exchange / output["file"]).read_bytes() == bytes(INLINE_BYTES + 1)


def test_a_memfd_cannot_be_changed_by_whoever_sent_it(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    sent = bulk.send(LARGE, pair[0], None, 7, 3)
    assert sent == {"memfd": True, "crc32": zlib.crc32(LARGE)}
    fd = bulk.receive(pair[1], 7, 3, len(LARGE))
    try:
        assert not os.get_inheritable(fd)
        for change in (
            lambda: os.pwrite(fd, b"x", 0),
            lambda: os.ftruncate(fd, 1),
            lambda: os.ftruncate(fd, len(LARGE) + 1),
        ):
            with pytest.raises(PermissionError):
                change()
    finally:
        os.close(fd)


def test_a_message_with_many_descriptors_leaves_none_open(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    reading, writing = os.pipe()
    socket.send_fds(pair[0], [b"[7,0]"], [reading] * 50)
    os.close(reading)
    os.close(writing)
    with pytest.raises(ValueError, match="not a memfd"):
        bulk.receive(pair[1], 7, 0, 1)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


def test_a_descriptor_that_this_process_has_no_room_for_is_no_fault_of_the_sender(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    assert bulk.send(LARGE, pair[0], None, 7, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files") as caught:
            bulk.receive(pair[1], 7, 0, len(LARGE))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.errno == errno.EMFILE


def test_whoever_floods_the_socket_is_not_listened_to_for_ever(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    count = 0
    pair[0].setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            pair[0].send(b"[1,0]")
            count += 1
    assert count < 1000  # as bulk.py has it
    with pytest.raises(ValueError, match="did not arrive"):
        bulk.receive(pair[1], 2, 0, 1)
    pair[0].send(b"[1,0]")
    bulk.discard(pair[1])
    with pytest.raises(BlockingIOError):
        pair[1].recv(100, socket.MSG_DONTWAIT)


def test_nothing_is_lost_when_the_sender_is_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    assert bulk.send(LARGE, pair[0], None, 1, 0)
    pair[0].close()
    fd = bulk.receive(pair[1], 1, 0, len(LARGE))
    assert os.pread(fd, len(LARGE), 0) == LARGE
    os.close(fd)
    with pytest.raises(ValueError, match="did not arrive"):
        bulk.receive(pair[1], 1, 1, 1)
