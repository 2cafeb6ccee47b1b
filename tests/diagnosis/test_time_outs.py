"""A task that is not done in time says what it was waiting for."""

from pathlib import Path

import pytest

from runner import Runner, RunnerError

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
