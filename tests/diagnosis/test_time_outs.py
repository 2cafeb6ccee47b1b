"""A task that is not done in time says what it was waiting for."""

import textwrap
from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner, RunnerError
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import BundleInfo
from runner.diagnosis.time_outs import failed_workers

WAITS = {
    "pool": (
        "import multiprocessing, os",
        "multiprocessing.get_context('fork').Pool(1).apply(os._exit, (1,))",
        "a worker of a multiprocessing.Pool",
        "ProcessPoolExecutor",
    ),
    "queue of processes": (
        "import multiprocessing",
        "multiprocessing.get_context('fork').Queue().get()",
        "an item from another process",
        "give get() a timeout",
    ),
    "queue of threads": ("import queue", "queue.Queue().get()", "another thread", "timeout"),
    "program": (
        "import subprocess",
        "subprocess.run(['sleep', '60'])",
        "a program that it has started",
        "give the call a timeout",
    ),
    "server": (
        "import http.server",
        "http.server.HTTPServer(('127.0.0.1', 0), None).serve_forever()",
        "requests, as a web server does",
        "without the server",
    ),
    "events": (
        "import asyncio",
        "asyncio.run(asyncio.sleep(60))",
        "events, in an event loop",
        "asyncio.wait_for(...",
    ),
    "event": ("import threading", "threading.Event().wait()", "another thread, by an event", "set"),
    # Its own stack is the one that is told, and not that of the process that it waits for.
    "process": (
        "import multiprocessing, time",
        "p = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
        "    p.start(); p.join()",
        "a process that it has started",
        "its queues are emptied, which comes before join()",
    ),
    "network": (
        "import socket, urllib.request",
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "    urllib.request.urlopen('http://127.0.0.1:%d' % listener.getsockname()[1])",
        "an answer from the network",
        "give the request a timeout",
    ),
}


@pytest.mark.parametrize("kind", WAITS)
def test_what_a_hung_task_waits_for_is_said(kind: str, tmp_path: Path, cache: Path) -> None:
    imports, call, what, advice = WAITS[kind]
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        f"{imports}\ndef wire(e, p, s):\n    {call}\n    return {{'a': b''}}\n"
    )
    with Runner(cache=cache, timeout=1) as runner, pytest.raises(RunnerError) as raised:
        runner.execute(tmp_path)
    report = raised.value.report
    assert report.code == "child-hung"
    assert f"waiting for {what}" in report.summary
    assert advice in report.hints[0].title


def test_code_that_computes_waits_for_nothing(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text("def wire(e, p, s):\n    while True: pass\n")
    with Runner(cache=cache, timeout=1) as runner, pytest.raises(RunnerError) as raised:
        runner.execute(tmp_path)
    assert raised.value.report.summary.endswith("it stood in wire.py:2 (wire)")


LOCKS = """
import threading
FIRST, SECOND, BOTH = threading.Lock(), threading.Lock(), threading.Barrier(2)

def north():
    with FIRST:
        BOTH.wait()
        with SECOND:
            pass

def south():
    with SECOND:
        BOTH.wait()
        with FIRST:
            pass

def wire(entrypoint, params, seed):
    if entrypoint == "alone":
        with FIRST:
            FIRST.acquire()
    threads = [threading.Thread(target=each) for each in (north, south)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


@pytest.mark.parametrize("isolation", ["fork", "warm"])
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no states of threads")
def test_threads_that_wait_for_each_other_are_named(
    isolation: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(LOCKS)
    with Runner(cache=cache, timeout=1, isolation=isolation) as runner:
        with pytest.raises(RunnerError) as both:
            runner.execute(tmp_path)
        with pytest.raises(RunnerError) as alone:
            runner.execute(tmp_path, "alone")
    report = both.value.report
    assert "it stood in wire.py:23 (wire), waiting for a thread" in report.summary
    assert "; none of its threads computed" in report.summary
    assert "wire.py:8 (north)" in report.summary and "wire.py:14 (south)" in report.summary
    assert "wire.py:8 (north)" in report.hints[0].title
    assert alone.value.report.summary.endswith(
        "it stood in wire.py:20 (wire), and waited there for FIRST, which wire.py:19 (wire) has"
        " taken before"
    )
    stderr = report.evidence.stderr.text if report.evidence.stderr else ""
    assert "in north" in stderr and "Fatal Python error" not in stderr


def test_a_pool_that_an_import_spawns_belongs_into_the_task(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(
        "import multiprocessing\ndef square(x): return x * x\n"
        "multiprocessing.set_start_method('spawn')\n"
        "with multiprocessing.Pool(1) as pool:\n    SQUARES = pool.map(square, [1])\n"
    )
    with Runner(cache=cache, startup_timeout=5) as runner, pytest.raises(RunnerError) as raised:
        runner.execute(tmp_path)
    report = raised.value.report
    assert (report.code, report.phase) == ("child-hung", "load")
    assert report.hints[0].title.startswith(
        # Where, the child has 0.3 s to say, which may not do on a machine with other work.
        (
            "start processes in the task, and not at the import as wire.py:5 does",
            "start processes in the task, and not at the import as the bundle does",
        )
    )


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("RuntimeError: context has already been set", "say force=True in wire.py:2 (<module>)"),
        ("KeyError: 'beta'", "correct first what its processes fail upon in wire.py:2 (<module>)"),
    ],
)
def test_a_pool_whose_processes_end_as_they_begin_is_told_by_that(said: str, title: str) -> None:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    text = (
        "Process SpawnPoolWorker-1:\nTraceback (most recent call last):\n"
        f'  File "/b/wire.py", line 2, in <module>\n    mp.set()\n{said}\n'
    )
    assert failed_workers(case, text)[0].title.startswith(title)
    assert failed_workers(case, f"{said}\n") == []


def test_a_task_whose_end_is_not_done_is_said_to_have_returned(cache: Path, tmp_path: Path) -> None:
    wire = """
    import atexit, time
    def last():
        time.sleep(1000)
    def wire(entrypoint, params, seed):
        atexit.register(last)
        return {"x": b""}
    """
    bundle = write_bundle(tmp_path / "bundle", textwrap.dedent(wire))
    with Runner(cache=cache, timeout=1) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    report = caught.value.report
    said = "the task's function had ended, but the end of its process was not done within 1 s"
    assert report.summary == f"{said}; it stood in wire.py:4 (last), and waited there"
    assert "registered with atexit" in report.explanation
    assert report.hints[0].title == "see what wire.py:4 (last) waits for"
