"""Bundles whose files have the names of modules of the standard library."""

import base64
import binascii
import sys
from pathlib import Path

import pytest
from conftest import installed_python, write_files
from driver import Child

from bundle_protocol.messages import ErrorCode
from runner import Result, Runner, RunnerError, Task

NAMES = sorted(sys.stdlib_module_names)
LIBRARIES = ["tempfile", "csv", "logging.handlers", "concurrent.futures", "http.client"]
WIRE = """
class Wire:
    def __call__(self, entrypoint, params, seed):
        return globals()[entrypoint](params)
wire = Wire()
def large(params):
    return {"out": bytes(params["data"]) * 2}
def own(params):
    import array, inspect, mmap, token
    return {"out": b"".join(module.VALUE for module in (array, inspect, mmap, token))}
def fail(params):
    params["missing"]
"""


@pytest.mark.parametrize("isolation", ["warm", "fork"])
@pytest.mark.parametrize("version", ["3.8", "3.11", "3.13"])
def test_a_bundle_with_all_of_its_names_runs(tmp_path: Path, version: str, isolation: str) -> None:
    python = installed_python(version)
    if python is None or (isolation == "fork" and sys.platform != "linux"):
        pytest.skip("it cannot be run here")
    bundle, exchange = tmp_path / "bundle", tmp_path / "exchange"
    bundle.mkdir()
    exchange.mkdir()
    for name in NAMES:
        (bundle / f"{name}.py").write_text("VALUE = b'1'\n")
    (bundle / "wire.py").write_text(WIRE)
    (exchange / "input").write_bytes(b"x" * 20_000)
    with Child(python, bundle) as child:
        assert "result" in child.initialize(bundle, exchange, isolation=isolation)
        record = {
            "name": "data",
            "size": 20_000,
            "crc32": binascii.crc32(b"x" * 20_000),
            "file": "input",
        }
        for _ in range(2):
            # The bundle's code finds its own, also where the child was the first to need the name.
            answer = child.execute("own")
            (own,) = answer["result"]["outputs"]
            assert base64.b64decode(own["data"]) == b"1111"
            error = child.execute("fail")["error"]
            (frame,) = error["data"]["exception"]["traceback"][1:]
            assert frame["text"] == 'params["missing"]'
        (out,) = child.execute("large", inputs=[record])["result"]["outputs"]
        assert out["size"] == 40_000


@pytest.mark.skipif(sys.platform != "linux", reason="a child forks on Linux alone")
def test_a_thread_that_a_fork_leaves_is_told_beside_a_file_threading(tmp_path: Path) -> None:
    (tmp_path / "threading.py").write_text("VALUE = b'1'\n")
    (tmp_path / "wire.py").write_text(
        "import _thread, threading\nlock = _thread.allocate_lock()\nlock.acquire()\n"
        "_thread.start_new_thread(lock.acquire, ())\n"
        "def wire(entrypoint, params, seed):\n    return {'out': threading.VALUE}\n"
    )
    with Child(sys.executable, tmp_path) as child:
        loaded = child.initialize(tmp_path, isolation="fork")["result"]
        assert "thread" in loaded["fork_unsafe"]


def test_what_is_no_result_is_told_with_its_line_beside_modules_of_these_names(
    tmp_path: Path,
) -> None:
    for name in ("ast", "inspect", "linecache", "textwrap", "types"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "wire.py").write_text("def wire(entrypoint, params, seed):\n    return [1]\n")
    with Child(sys.executable, tmp_path) as child:
        assert "result" in child.initialize(tmp_path)
        error = child.execute("default")["error"]
    assert error["code"] == ErrorCode.RESULT_INVALID
    assert error["data"]["defined"]["text"] == "return [1]"


def test_a_name_that_is_not_there_is_told_with_what_is_near(tmp_path: Path) -> None:
    for name in ("difflib", "re", "heapq", "_heapq", "types"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "wire.py").write_text("def wires(entrypoint, params, seed): pass\n")
    with Child(sys.executable, tmp_path) as child:
        assert child.initialize(tmp_path)["error"]["data"]["near"] == ["wires"]


def test_what_fails_by_a_file_of_that_name_says_which_file_it_is(
    tmp_path: Path, cache: Path
) -> None:
    """Each name by itself, in a folder that the task puts on sys.path: a fork costs little."""
    if sys.platform != "linux":
        pytest.skip("a child forks on Linux alone")
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(f"""
import importlib, os, sys
HERE = os.path.dirname(os.path.abspath(__file__))
def wire(entrypoint, params, seed):
    if entrypoint == "needed":
        before = set(sys.modules)
    else:
        sys.path.insert(0, os.path.join(HERE, "names", entrypoint))
    for name in {LIBRARIES}:
        importlib.import_module(name)
    if entrypoint == "needed":
        return {{"names": " ".join(set(sys.modules) - before).encode()}}
    if params["raises"]:
        raise ValueError("as it should")
    return {{"out": bytes(20_000)}}
""")
    for name in NAMES:
        folder = tmp_path / "names" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text("VALUE = 1\n")
    told = ran = 0
    with Runner(cache=cache) as runner:
        needed = set(runner.execute(tmp_path, "needed")["names"].decode().split())
        names = [name for name in NAMES if name in needed or name in ("msvcrt", "_winapi", "token")]
        tasks = [Task(name, {"raises": number % 2 == 0}) for number, name in enumerate(names)]
        for task, outcome in zip(
            tasks, runner.map(tmp_path, tasks, return_exceptions=True), strict=True
        ):
            if not isinstance(outcome, RunnerError):
                ran += 1
                continue
            report = outcome.report
            if report.code == "task-raised" and "as it should" in report.summary:
                ran += 1
                assert report.exception is not None
                assert "as it should" in (report.exception.traceback[-1].text or "")
            else:
                told += 1
                hiding = f"names/{task.entrypoint}/{task.entrypoint}.py of the bundle hides"
                assert report.summary.startswith(hiding), report.summary
                assert report.code == "import-failed"
                assert any(hint.command and "mv" in hint.command for hint in report.hints)
    assert told > 20
    assert ran > 3


def test_a_child_that_exits_for_it_says_so_too(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "random.py").write_text("LENGTH = 3\n")
    (tmp_path / "wire.py").write_text("""
import os, traceback
def wire(entrypoint, params, seed):
    try:
        import tempfile
    except ImportError:
        traceback.print_exc()
        os._exit(3)
""")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(tmp_path, "x")
    summary = caught.value.report.summary
    assert summary.startswith("random.py of the bundle hides the standard library's random")
    assert "exited with status 3" in summary


def test_a_built_in_module_that_hides_a_file_is_named(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "time.py").write_text("STEP = 3\n")
    (tmp_path / "wire.py").write_text("""
import time
def wire(entrypoint, params, seed):
    return {"out": bytes(time.STEP)}
""")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(tmp_path, "x")
    assert "time hides time.py of the bundle" in caught.value.report.summary


def test_a_library_that_fails_in_other_words_by_it_says_so(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    # What a call of a library's meets is a function of another signature.
    (tmp_path / "random.py").write_text("class Random:\n    def __init__(self, a, b): pass\n")
    (tmp_path / "wire.py").write_text("""
def wire(entrypoint, params, seed):
    import tempfile
    return {"out": tempfile.mktemp().encode()}
""")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(tmp_path, "x")
    summary = caught.value.report.summary
    assert summary.startswith("random.py of the bundle hides the standard library's random")


FORGETFUL = """
import sys
def wire(entrypoint, params, seed):
    if entrypoint == "forget":
        sys.modules.clear()
    if entrypoint == "nothing":
        return None
    return {"error" if seed else "out": params["data"].encode()}
"""


def test_a_task_is_told_by_what_it_does_after_one_that_forgot_all_modules(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_files(tmp_path / "b", {"requirements.txt": "", "wire.py": FORGETFUL})
    returned = {"data": '{"type": "ValueError"}'}
    tasks = [Task("forget", returned), Task("nothing"), Task("return", returned, seed=1)]
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        kept, *failed = runner.map(bundle, tasks, return_exceptions=True)
    assert isinstance(kept, Result)
    for error, said in zip(failed, ("returned None", "ValueError"), strict=True):
        assert isinstance(error, RunnerError) and said in error.report.summary
