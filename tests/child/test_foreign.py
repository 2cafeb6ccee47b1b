"""Children that are not ours: one in another language, and some that lie."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from children import PYTHON_VERSION, WIRE, Child

from runner.child.start import open_session
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.task import Task

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
NODE_CHILD = ROOT / "tests" / "data" / "children" / "child.js"

# A child that says what its test wants. `answer` gets the id of each request and the exchange
# folder; what it returns is the answer.
LIAR = """\
#!{python}
import binascii, json, os, sys
buffer = b""
exchange = None

def send(**message):
    body = json.dumps({{"jsonrpc": "2.0", **message}}).encode()
    os.write(1, b"Content-Length: %d\\r\\n\\r\\n%s" % (len(body), body))

def receive():
    global buffer
    while b"\\r\\n\\r\\n" not in buffer:
        data = os.read(0, 65536)
        if not data:
            sys.exit()
        buffer += data
    head, _, rest = buffer.partition(b"\\r\\n\\r\\n")
    size = int(head.split(b":")[1])
    while len(rest) < size:
        rest += os.read(0, 65536)
    buffer = rest[size:]
    return json.loads(rest[:size])

def done(request, **record):
    output = {{"name": "n", "size": 1, "crc32": 0, **record}}
    send(id=request["id"], result={{"outputs": [output], "wall_seconds": 1, "cpu_seconds": 1}})

python = {{"implementation": "X", "version": "{version}", "executable": "", "prefix": "",
          "platform": ""}}
send(method="hello", params={{"protocol_versions": [1], "python": python, "pid": 1}})
first = receive()
exchange = first["params"]["exchange"]
send(id=first["id"], result={{"protocol_version": 1, "wire": "w:w"}})
{loaded}
request = receive()
{answer}
receive()
"""


@pytest.fixture
def liar(tmp_path: Path) -> Callable[..., Child]:
    def make(answer: str, loaded: str = "") -> Child:
        bundle = tmp_path / "bundle"
        bundle.mkdir()
        (bundle / "wire.py").write_text(WIRE)
        program = tmp_path / "liar"
        parts = {"answer": textwrap.dedent(answer), "loaded": textwrap.dedent(loaded)}
        program.write_text(LIAR.format(python=sys.executable, version=PYTHON_VERSION, **parts))
        program.chmod(0o755)
        return Child(bundle, program)

    return make


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("done(request, file='..')", 'outputs[0].file is ".."'),
        ("os.mkdir(f'{exchange}/d'); done(request, file='d')", "not a plain one of 1 bytes"),
        (
            "open(f'{exchange}/f', 'wb').truncate(1 << 30); done(request, size=1 << 30, file='f')",
            "its file has holes",
        ),
        ("done(request, size=1 << 30, memfd=True)", "its memfd did not arrive"),
        ("os.mkfifo(f'{exchange}/p'); done(request, file='p')", "not a plain one of 1 bytes"),
        ("os.symlink('/etc/passwd', f'{exchange}/l'); done(request, file='l')", "'n'"),
        (
            "send(id=request['id'], error={'code': -32011, 'message': 'm', 'data': {'ended': {"
            "'pid': 1, 'exit_code': 1, 'signal': None, 'max_rss_bytes': 0, 'cpu_seconds': 0,"
            "'lifetime_seconds': 0, 'limits': {}}}})",
            "was not to fork any",
        ),
        (
            "send(id=request['id'], error={'code': -32002, 'message': 'it failed'})",
            "an error TASK_FAILED without data.exception: it failed",
        ),
    ],
)
async def test_an_answer_that_lies_is_a_violation_and_leaks_nothing(
    liar: Callable[..., Child], answer: str, told: str
) -> None:
    before = psutil.Process().num_fds()
    report = await liar(answer).fail()
    assert report.code is Code.PROTOCOL_VIOLATION
    assert told in report.summary
    assert "wrote to it" not in report.explanation and "check_child" in report.hints[0].title
    assert psutil.Process().num_fds() == before


async def test_a_child_that_reads_no_more_and_lives_is_not_waited_for(
    liar: Callable[..., Child],
) -> None:
    # No pipe takes so much at once: part of it is left to be written when the child closes its end.
    params: dict[str, object] = {"contacts": "x" * (4 << 20)}
    report = await liar("pass", "os.close(0); import time; time.sleep(1000)").fail(params=params)
    assert report.code is Code.PROTOCOL_VIOLATION
    assert report.summary == "the child's end of the wire was closed while it ran the task"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC])
async def test_an_output_that_this_side_has_no_room_for_is_no_violation(
    liar: Callable[..., Child], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("runner.child.bulk._take_file", refused)
    report = await liar("done(request, size=1, file='f')").fail()
    code = Code.DISK_FULL if number == errno.ENOSPC else Code.SPAWN_FAILED
    assert report.code is code
    assert os.strerror(number) in report.summary


async def test_more_outputs_than_the_child_may_hold_are_not_read(
    liar: Callable[..., Child],
) -> None:
    child = liar("done(request, size=1 << 62, file='f')")
    report = await child.fail()
    assert report.code is Code.MESSAGE_TOO_LARGE
    assert f"{1 << 62} bytes together" in report.summary


async def test_the_time_limit_holds_while_outputs_are_read(
    liar: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(deadline: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("runner.child.bulk._check_time", slow)
    answer = (
        "open(f'{exchange}/f', 'wb').write(b'x' * (1 << 20));done(request, size=1 << 20, file='f')"
    )
    report = await liar(answer).fail(limit=25)
    assert report.code is Code.CHILD_HUNG
    assert report.summary == "the task's outputs were not all read within 25 s"


async def test_an_answer_that_nobody_asked_for_is_not_the_next_ones(
    liar: Callable[..., Child], tmp_path: Path
) -> None:
    fifo = tmp_path / "said"
    os.mkfifo(fifo)
    loaded = f"request = {{'id': 2}}; done(request, data='eA=='); open({str(fifo)!r}, 'w').close()"
    child = liar("pass", loaded)
    with pytest.raises(Failure) as caught:
        async with open_session(
            child.launch, case=child.case, environ=child.environ, startup_timeout=30
        ) as session:
            fifo.read_text()  # it has been said
            await session.execute(Task("main"), 30)
    assert caught.value.finding.code is Code.PROTOCOL_VIOLATION
    assert "request 2, which is not open" in caught.value.finding.summary


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None:
        pytest.skip("no Node on this machine")
    return found


def check_child(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "check_child.py"), *command],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


async def test_a_child_in_another_language_runs_tasks(node: str, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "wire.py").write_text(WIRE)
    program = tmp_path / "child"
    program.write_text(
        f"#!/bin/sh\nCHILD_PYTHON_VERSION={PYTHON_VERSION} exec {node} {NODE_CHILD}\n"
    )
    program.chmod(0o755)
    outputs = await Child(bundle, program).run(params={"beta": 0.3})
    assert outputs == {"echo": b'{"beta":0.3}'}


async def test_check_child_finds_nothing_wrong_with_one_that_is_right(node: str) -> None:
    done = check_child(node, str(NODE_CHILD))
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("ok ") == 4


async def test_check_child_says_what_is_wrong(node: str, tmp_path: Path) -> None:
    wrong = tmp_path / "child.js"
    source = NODE_CHILD.read_text()
    assert "~crc >>> 0" in source
    wrong.write_text(source.replace("~crc >>> 0", "0"))
    done = check_child(node, str(wrong))
    assert done.returncode == 1
    assert "WRONG" in done.stdout
    assert "output 'echo': its CRC-32 is not the one announced" in done.stdout
