"""Wrong messages of a child: a violation that says where, and what came."""

import json
from typing import Any

import pytest

from bundle_protocol.messages import MAX_VALUES
from runner.child.messages import (
    Connection,
    Executed,
    Hello,
    Initialized,
    ProtocolViolation,
    Response,
    decode_result,
)
from runner.child.state import Event

PYTHON = {
    "implementation": "CPython", "version": "3.13.0", "executable": "/p", "prefix": "/p",
    "platform": "linux-x86_64", "soabi": None,
}  # fmt: skip
HELLO = {"method": "hello", "params": {"protocol_versions": [1], "python": PYTHON, "pid": 7}}
OUTPUT = {"name": "n", "size": 1, "crc32": 2212294583, "data": "MQ=="}
EXECUTED = {"outputs": [OUTPUT], "wall_seconds": 0.1, "cpu_seconds": 0.1}


def frame(message: dict[str, Any] | bytes) -> bytes:
    body = message
    if isinstance(body, dict):
        body = json.dumps({"jsonrpc": "2.0", **body}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def greeted(*events: Event) -> Connection:
    connection = Connection()
    list(connection.receive(frame(HELLO)))
    connection.initialize({})
    for event in events:
        connection.life.move(event)
    return connection


WAITING = (Event.REQUEST, Event.SENT)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\xff"}}', r'"message":"\xff"'),
        (b'{"jsonrpc":"2.0","id":' + b"9" * 5000 + b',"result":{}}', "id is 999"),
        (b'{"jsonrpc":"2.0","id":1,"result":' + b"[" * 100_000, "not JSON-RPC"),
        ({"jsonrpc": "9", "id": 1, "result": {}}, 'jsonrpc is "9"'),
        ({"id": "1", "result": {}}, 'id is "1"'),
        ({"id": 2, "result": {}}, "the child answered request 2, which is not open"),
        ({"result": {}}, "an answer without the id of a request"),
        ({"id": None, "error": {"code": -32700, "message": "m"}}, "could not read a request: m"),
        ({"id": 1}, "neither a result nor an error"),
        ({"id": 1, "error": {"code": "x", "message": "m"}}, 'error.code is "x"'),
        ({"id": 1, "method": "m" * 1000}, "the child sent a request ('mmm"),
        (HELLO, "the child said hello twice"),
    ],
)
def test_what_no_answer_is(message: dict[str, Any] | bytes, told: str) -> None:
    with pytest.raises(ProtocolViolation) as caught:
        list(greeted(*WAITING).receive(frame(message)))
    assert told in str(caught.value)
    assert "UNSET" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("events", [(), (Event.REQUEST,), (*WAITING, Event.ANSWER)])
def test_an_answer_that_nobody_waits_for_is_a_violation(events: tuple[Event, ...]) -> None:
    with pytest.raises(ProtocolViolation, match="request 1, which is not open"):
        list(greeted(*events).receive(frame({"id": 1, "result": {}})))


def test_an_exit_that_is_announced_twice_is_a_violation() -> None:
    exiting = {"method": "exiting", "params": {"exception": {"type": "SystemExit", "message": ""}}}
    connection = greeted(*WAITING)
    list(connection.receive(frame(exiting)))
    with pytest.raises(ProtocolViolation, match="said twice that it exits"):
        list(connection.receive(frame(exiting)))


@pytest.mark.parametrize("version", ["9" * 5000, "", "three", "3.13\n", "3.13.0 " + "x" * 5000])
def test_a_version_that_is_none_is_told(version: str) -> None:
    params = {"protocol_versions": [1], "python": {**PYTHON, "version": version}, "pid": 7}
    with pytest.raises(
        ProtocolViolation, match=r"python\.version is not a version of Python"
    ) as caught:
        list(Connection().receive(frame({"method": "hello", "params": params})))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"outputs": []}, "outputs is []"),
        ({"outputs": [OUTPUT, OUTPUT]}, "2 outputs have the name 'n'"),
        ({"outputs": [{**OUTPUT, "size": -1}]}, "outputs[0].size is -1"),
        ({"outputs": [{**OUTPUT, "crc32": 2**32}]}, "outputs[0].crc32 is 4294967296"),
        ({"outputs": [{**OUTPUT, "data": "*"}]}, 'outputs[0].data is "*"'),
        ({"wall_seconds": -1}, "wall_seconds is -1"),
        ({"cpu_seconds": "x" * 1000}, 'cpu_seconds is "xxx'),
        ({"max_rss_bytes": 2**64}, "max_rss_bytes is 18446744073709551616"),
        *(
            ({"outputs": [{**OUTPUT, "file": name}]}, f"outputs[0].file is {json.dumps(name)}"[:60])
            for name in ("", ".", "..", "/", "a/b", "../x", "a\0b", "x" * 256)
        ),
    ],
)
def test_what_no_result_is(changed: dict[str, Any], told: str) -> None:
    connection = greeted(*WAITING)
    (answer,) = connection.receive(frame({"id": 1, "result": {**EXECUTED, **changed}}))
    assert isinstance(answer, Response)
    with pytest.raises(ProtocolViolation) as caught:
        decode_result(answer.result, Executed)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_files_that_a_task_has_read_are_bounded_and_harmless() -> None:
    read = ["/data/a.csv", "/\x1b[2J", "/a\nb", "/" + "x" * 5000, *("/f" for _ in range(100))]
    (answer,) = greeted(*WAITING).receive(
        frame({"id": 1, "result": {**EXECUTED, "read_files": read}})
    )
    assert isinstance(answer, Response)
    executed = decode_result(answer.result, Executed)
    assert executed.bounded().read_files == ("/data/a.csv", *["/f"] * 16)


def test_a_message_of_very_many_values_is_refused_before_it_is_decoded() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":[%s0]}' % (b"0," * (MAX_VALUES + 1))
    with pytest.raises(ProtocolViolation, match="over the limit of 1000000"):
        list(greeted(*WAITING).receive(frame(body)))


def test_what_is_as_specified_is_taken() -> None:
    (hello,) = Connection().receive(frame(HELLO))
    assert isinstance(hello, Hello)
    (answer,) = greeted(*WAITING).receive(
        frame({"id": 1, "result": {"protocol_version": 1, "wire": "w:w"}})
    )
    assert isinstance(answer, Response)
    assert decode_result(answer.result, Initialized).wire == "w:w"
