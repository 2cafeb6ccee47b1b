"""Tasks in forks leave nothing to one another but what the bundle's import has left."""

import http.server
import json
import os
import shlex
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from children import still_running
from conftest import write_bundle

from runner import Runner, RunnerError

WIRE = """\
import atexit, errno, os, subprocess, sys, tempfile, time
HERE = os.path.dirname(os.path.abspath(__file__))
DATA = open(os.path.join(HERE, "data.txt"), "rb")
SPARE = tempfile.TemporaryDirectory()
atexit.register(print, "the bundle's own handler")
HELPER = subprocess.Popen(["sleep", "1000"])
fork, forks = os.fork, []
def counted():
    forks.append(1)
    if os.path.exists(os.path.join(SPARE.name, "no-forks")):
        os.unlink(os.path.join(SPARE.name, "no-forks"))
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = counted
def wire(entrypoint, params, seed):
    return globals()[entrypoint](params)
def parent(params):
    return {"pid": str(os.getppid()).encode(), "helper": str(HELPER.pid).encode()}
def read(params):
    return {"read": DATA.read(10)}
def nonblock(params):
    os.set_blocking(1, False)
    os.set_blocking(2, False)
    return {"done": b"1"}
def blocking(params):
    return {"seen": repr([os.get_blocking(fd) for fd in (0, 1, 2)]).encode()}
def leave(params):
    print("last line without its end", end="")
    sys.exit(params["status"])
def spare(params):
    return {"there": str(os.path.isdir(SPARE.name)).encode()}
def refuse(params):
    open(os.path.join(SPARE.name, "no-forks"), "w").close()
    return {"done": b"1"}
def daemon(params):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(params["file"], "w") as file:
                file.write(str(os.getpid()))
            held = bytearray(b"x") * params.get("bytes", 0)
            time.sleep(1000)
        os._exit(0)
    while not (os.path.exists(params["file"]) and os.path.getsize(params["file"])):
        time.sleep(0.01)
    time.sleep(params.get("seconds", 0))
    return {"done": b"1"}
def leave_open(params):
    global FILE
    FILE = open(params["file"], "w")
    FILE.write("a result")
    return {"done": b"1"}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    if sys.platform != "linux":
        pytest.skip("a child forks on Linux alone")
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "requirements.txt").write_text("")
    (folder / "data.txt").write_text("0123456789abcdefghij")
    (folder / "wire.py").write_text(WIRE)
    return folder


def test_a_file_opened_at_import_is_read_from_the_same_place_by_each(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, children=1) as runner:
        seen = [runner.execute(bundle, "read")["read"] for _ in range(3)]
    assert seen == [b"0123456789"] * 3


def test_what_a_task_does_to_the_consoles_flags_is_undone(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, children=1) as runner:
        runner.execute(bundle, "nonblock")
        assert runner.execute(bundle, "blocking")["seen"] == b"[True, True, True]"


@pytest.mark.parametrize(
    ("status", "code", "said"), [(0, 0, ""), (3, 3, ""), ("gone", 1, "gone"), (None, 0, "")]
)
def test_a_task_that_exits_does_not_end_what_the_others_need(
    bundle: Path, cache: Path, status: object, code: int, said: str
) -> None:
    with Runner(cache=cache, children=1) as runner:
        before = runner.execute(bundle, "parent")["pid"]
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle, "leave", {"status": status})
        report = caught.value.report
        assert report.code == "child-exited"
        assert report.child is not None and report.child.exit_code == code
        assert report.evidence.stdout is not None and report.evidence.stderr is not None
        assert report.evidence.stdout.text == "last line without its end"
        assert said in report.evidence.stderr.text
        assert runner.execute(bundle, "spare")["there"] == b"True"
        assert runner.execute(bundle, "parent")["pid"] == before


def test_a_daemon_that_a_task_has_started_ends_with_it(
    bundle: Path, cache: Path, tmp_path: Path
) -> None:
    with Runner(cache=cache, children=1) as runner:
        before = runner.execute(bundle, "parent")
        file = tmp_path / "pid"
        runner.execute(bundle, "daemon", {"file": str(file)})
        assert not still_running([int(file.read_text())])
        # What the import has started is there for all tasks.
        after = runner.execute(bundle, "parent")
        assert dict(after) == dict(before)
        assert psutil.pid_exists(int(after["helper"]))


def test_a_daemon_ends_with_a_task_that_hangs(bundle: Path, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with Runner(cache=cache, children=1, timeout=0.5) as runner:
        before = runner.execute(bundle, "parent")["pid"]
        with pytest.raises(RunnerError, match="child-hung"):
            runner.execute(bundle, "daemon", {"file": str(file), "seconds": 1000})
        assert not still_running([int(file.read_text())])
        assert runner.execute(bundle, "parent")["pid"] == before


def test_what_a_daemon_holds_counts(bundle: Path, cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with Runner(cache=cache, children=1, memory_limit=100 << 20, timeout=30) as runner:
        with pytest.raises(RunnerError, match="out-of-memory"):
            runner.execute(
                bundle, "daemon", {"file": str(file), "bytes": 200 << 20, "seconds": 1000}
            )
        assert not still_running([int(file.read_text())])


def test_a_fork_that_the_system_refuses_is_the_tasks_failure_and_not_the_childs(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, children=1) as runner:
        before = runner.execute(bundle, "parent")["pid"]
        runner.execute(bundle, "refuse")
        with pytest.raises(RunnerError) as caught:
            runner.execute(bundle, "parent")
        report = caught.value.report
        assert report.code == "spawn-failed"
        assert report.phase == "execute"
        assert report.retryable
        assert "no process could be forked for the task" in report.summary
        assert runner.execute(bundle, "parent")["pid"] == before


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_a_file_that_a_task_leaves_open_has_all_of_it(
    bundle: Path, cache: Path, tmp_path: Path, isolation: str
) -> None:
    file = tmp_path / "file"
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        runner.execute(bundle, "leave_open", {"file": str(file)})
        if isolation == "fork":
            assert file.read_text() == "a result"
    assert file.read_text() == "a result"


CAREFUL = """
LOG = open("log.txt", "a")
LOCK = multiprocessing.Lock()
DATA = open("data.txt", "rb")
SEEN = mmap.mmap(DATA.fileno(), 0, access=mmap.ACCESS_COPY)
BASE = sqlite3.connect("file:base.db?mode=ro", uri=True)
BASE.execute("select * from sqlite_master").fetchall()
# Event loops and selectors wake themselves; logs write and read nothing; a process that has ended
# says nothing more.
LOOP = asyncio.new_event_loop()
LOOP.run_until_complete(asyncio.sleep(0))
SELECTOR = selectors.DefaultSelector()
DATAGRAMS = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
DATAGRAMS[0].connect(("127.0.0.1", 9))
TRACKER = multiprocessing.resource_tracker.ensure_running()
ENDED = subprocess.Popen(["true"], stdout=subprocess.PIPE, stdin=subprocess.PIPE)
ENDED.wait()
def count():
    SEEN[0] += 1
    LOOP.run_until_complete(asyncio.sleep(0))
    return SEEN[0] - ord("0")
"""


@pytest.mark.parametrize(
    ("model", "shared"),
    [
        ("V = multiprocessing.Value('i')\ndef count():\n    V.value += 1\n    return V.value",
         "model.V"),
        ("V = mmap.mmap(-1, 8)\ndef count():\n    V[0] += 1\n    return V[0]", "model.V"),
        ("F = open('data.txt', 'r+b')\nV = mmap.mmap(F.fileno(), 0)\n"
         "def count():\n    V[0] += 1\n    return V[0] - ord('0')", "model.V"),
        ("C = sqlite3.connect('new.db')\nC.execute('create table t (x)')\ndef count():\n"
         "    C.execute('insert into t values (1)')\n    C.commit()\n"
         "    return C.execute('select count(*) from t').fetchone()[0]", "new.db"),
        # Of what the first one puts in, the next one would take the rest.
        ("Q = multiprocessing.SimpleQueue()\ndef count():\n    Q.put(1)\n    Q.put(2)\n"
         "    return Q.get()", "model.Q"),
        ("Q = multiprocessing.Queue()\ndef count():\n    Q.put(1)\n    Q.put(2)\n"
         "    return Q.get()", "model.Q"),
        ("A, B = multiprocessing.Pipe()\ndef count():\n    A.send(1)\n    A.send(2)\n"
         "    return B.recv()", "model.A, model.B"),
        ("A, B = socket.socketpair()\ndef count():\n    A.send(b'12')\n"
         "    return int(B.recv(1))", "model.A, model.B"),
        ("F = tempfile.TemporaryFile()\ndef count():\n    F.write(b'x')\n    F.flush()\n"
         "    return F.seek(0, 2)", "a temporary file"),
        ("R, W = os.pipe()\nSEED = 42\ndef count():\n    os.write(W, b'12')\n"
         "    return int(os.read(R, 1))",
         "model.R"),
        # It remembers what those before have asked.
        ("P = subprocess.Popen([sys.executable, '-uc', 'import itertools\\n"
         "for n in itertools.count(1):\\n    input(); print(n)'],\n"
         "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
         "def count():\n    P.stdin.write(b'next\\n')\n    P.stdin.flush()\n"
         "    return int(P.stdout.readline())", "model.P"),
        ("M, S = pty.openpty()\ntty.setraw(S)\ndef count():\n    os.write(S, b'12')\n"
         "    return int(os.read(M, 1))", "a terminal of a process"),
        (CAREFUL, None),
    ],
)  # fmt: skip
def test_what_forks_would_share_is_named_and_each_task_has_its_own(
    model: str, shared: str | None, bundle: Path, cache: Path
) -> None:
    sqlite3.connect(bundle / "base.db").execute("create table t (x)").connection.close()
    (bundle / "model.py").write_text(
        "import asyncio, mmap, multiprocessing, multiprocessing.resource_tracker, os, pty\n"
        "import selectors, socket, sqlite3, subprocess, sys, tempfile, tty\n"
        f"{model}\n"
    )
    (bundle / "wire.py").write_text(
        "import model\n"
        "def wire(entrypoint, params, seed): return {'count': str(model.count()).encode()}\n"
    )
    with Runner(cache=cache, children=1) as runner:
        results = [runner.execute(bundle) for _ in range(3)]
    assert [result["count"] for result in results] == [b"1"] * 3
    for result in results:
        assert result.isolation == ("fork" if shared is None else "fresh")
        assert (result.isolation_note or "").endswith(f"opened for writing: {shared}") == bool(
            shared
        )


class Counting(http.server.BaseHTTPRequestHandler):
    """Says how many requests have come over its connection."""

    protocol_version = "HTTP/1.1"
    count = 0

    def do_GET(self) -> None:
        self.count += 1
        said = str(self.count).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting) as made:
        made.daemon_threads = True
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("model", "shared"),
    [
        # As in the pool of a library's session.
        ("class Session:\n    def __init__(self): self.pools = {'a': [connected()]}\n"
         "SESSION = Session()\ndef one(): return SESSION.pools['a'][0]", "model.SESSION"),
        # As in what is compiled: no object of Python's has it.
        ("C = connected()\nFD = str(os.dup(C.sock.fileno()))\nC.close()\ndef one():\n"
         "    made = http.client.HTTPConnection('there')\n"
         "    made.sock = socket.socket(fileno=os.dup(int(FD)))\n"
         "    return made", "a connection to 127.0.0.1:{port}"),
        # One for each request, and none left open.
        ("connected().close()\none = connected", None),
    ],
)  # fmt: skip
def test_a_connection_that_a_library_holds_is_no_two_tasks(
    model: str,
    shared: str | None,
    bundle: Path,
    cache: Path,
    server: http.server.ThreadingHTTPServer,
) -> None:
    (bundle / "model.py").write_text(
        "import http.client, os, socket\n"
        "def connected():\n"
        f"    made = http.client.HTTPConnection('127.0.0.1', {server.server_port})\n"
        "    made.connect()\n    return made\n"
        f"{model}\n"
    )
    (bundle / "wire.py").write_text(
        "import model\n"
        "def wire(entrypoint, params, seed):\n"
        "    one = model.one()\n    one.request('GET', '/')\n"
        "    return {'count': one.getresponse().read()}\n"
    )
    with Runner(cache=cache, children=1) as runner:
        results = [runner.execute(bundle) for _ in range(3)]
    assert [result["count"] for result in results] == [b"1"] * 3
    for result in results:
        note = result.isolation_note or ""
        if shared is None:
            assert (result.isolation, note) == ("fork", "")
        else:
            assert result.isolation == "fresh"
            assert note.endswith(f"writing: {shared.format(port=server.server_port)}")


def test_where_there_is_no_proc_tasks_have_children_of_their_own(
    cache: Path, tmp_path: Path
) -> None:
    bundle = write_bundle(tmp_path / "bundle", "def wire(e, p, s):\n    return {'x': b'1'}\n")
    command = [sys.executable, "-m", "runner", "exec", str(bundle), "--seeds", "0:2"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f"umount -l /proc && {shlex.join(command)}"],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode in (1, 32):
        pytest.skip(f"/proc cannot be taken away: {done.stderr}")
    assert done.returncode == 0, done.stderr
    for line in map(json.loads, done.stdout.splitlines()):
        assert line["isolation"] == "fresh" and "/proc is not there" in line["isolation_note"]
