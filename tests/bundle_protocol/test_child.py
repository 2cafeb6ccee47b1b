"""A real child: its tasks, its streams, and the end of its runner."""

import base64
import os
import py_compile
import re
import signal
import subprocess
import sys
import textwrap
import time
import zlib
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import need_python
from driver import HELLO, SECONDS, Child

from bundle_protocol.framing import encode_frame
from bundle_protocol.messages import INLINE_BYTES, MAX_MESSAGE_BYTES, ErrorCode, ExitStatus

PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    return folder


def write_wire(bundle: Path, body: str, *, head: str = "") -> None:
    """``wire.py`` with this as the body of its wire function."""
    source = f"{textwrap.dedent(head)}\ndef wire(entrypoint, params, seed):\n"
    (bundle / "wire.py").write_text(source + textwrap.indent(textwrap.dedent(body), "    "))


def start(bundle: Path, python: str | Path = sys.executable, **options: Any) -> Child:
    """A child that has loaded ``wire.py``."""
    child = Child(python, bundle, **options)
    answer = child.initialize(bundle)
    assert "error" not in answer, answer
    return child


def wait_until_gone(pid: int) -> None:
    """Until no such process runs; a zombie does not. Fails the test when that takes too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
    pytest.fail(f"process {pid} is still there")


@pytest.mark.parametrize("version", PYTHONS)
def test_every_supported_python_runs_a_task(version: str, bundle: Path) -> None:
    write_wire(
        bundle,
        """
        print("running", entrypoint)
        return {"echo": repr((entrypoint, params, seed)).encode(), "empty": b""}
        """,
    )
    with start(bundle, need_python(version)) as child:
        answer = child.execute("sir/baseline", {"beta": 0.3, "name": "β"}, 2**64 - 1)
        result = answer["result"]
        expected = b"('sir/baseline', {'beta': 0.3, 'name': '\xce\xb2'}, 18446744073709551615)"
        assert result["outputs"] == [
            {
                "name": "echo",
                "size": len(expected),
                "crc32": zlib.crc32(expected),
                "data": base64.b64encode(expected).decode(),
            },
            {"name": "empty", "size": 0, "crc32": 0, "data": ""},
        ]
        assert 0 <= result["wall_seconds"] < SECONDS
        assert 0 <= result["cpu_seconds"] < SECONDS
        assert child.call("shutdown")["result"] is None
        assert child.wait() == ExitStatus.DONE
        assert child.stdout == b"running sir/baseline\n"
        assert child.stderr == b""


@pytest.mark.parametrize("version", PYTHONS)
def test_the_start_imports_nothing_slow(version: str, bundle: Path) -> None:
    slow = {"importlib.metadata", "inspect", "logging", "pathlib", "platform", "subprocess"}
    if version not in ("3.8", "3.9"):  # Where importlib.util imports it.
        slow |= {"typing"}
    write_wire(
        bundle,
        f"return {{'x': b'', **{{name: b'' for name in {slow} & loaded}}}}",
        head="import sys\nloaded = set(sys.modules)",
    )
    python = need_python(version)
    # What a .pth file of this machine's Python imports is not ours.
    by_itself = subprocess.run(
        [python, "-s", "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True,
        timeout=SECONDS, check=True,
    ).stdout.split()  # fmt: skip
    with start(bundle, python) as child:
        assert child.outputs().keys() <= {"x", *by_itself}


@pytest.mark.parametrize("version", ["3.8", "3.13"])
@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_the_garbage_collector_looks_at_what_the_bundle_has_made(
    isolation: str, version: str, bundle: Path
) -> None:
    write_wire(
        bundle,
        """
        frozen = b"" if gc.get_freeze_count() < 1000 else b"imports"
        made = Made()
        made.itself, left = made, weakref.ref(made)
        del made
        gc.collect()
        return {"enabled": str(gc.isenabled()).encode(), "frozen": frozen, "left": repr(left())}
        """,
        head="import gc, weakref\nclass Made: pass",
    )
    with Child(need_python(version), bundle) as child:
        assert "error" not in child.initialize(bundle, isolation=isolation)
        assert child.outputs() == {"enabled": b"True", "frozen": b"imports", "left": b"None"}


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_nothing_a_task_prints_reaches_the_wire(version: str, bundle: Path) -> None:
    write_wire(
        bundle,
        """
        print("print β")
        os.write(1, b"descriptor\\n")
        subprocess.run(["echo", "subprocess"], check=True)
        libc = ctypes.CDLL(None)
        libc.puts(b"libc")
        print("on stderr", file=sys.stderr)
        os.write(2, b"stderr too\\n")
        return {"x": b"1"}
        """,
        head="import ctypes, os, subprocess, sys",
    )
    with start(bundle, need_python(version), env={"LC_ALL": "C"}) as child:
        assert child.outputs() == {"x": b"1"}
        # No exit is needed for it: libc's line is out before the answer.
        console = "print β\ndescriptor\nsubprocess\nlibc\n".encode()
        child.pump_until(lambda: len(child.stdout) >= len(console))
        assert child.stdout == console
        child.pump_until(lambda: child.stderr.endswith(b"too\n"))
        assert child.stderr == b"on stderr\nstderr too\n"


def test_a_line_that_has_not_ended_is_written_before_the_answer(bundle: Path) -> None:
    write_wire(bundle, "print('50 %', end='')\nreturn {'x': b''}")
    with start(bundle) as child:
        assert child.outputs() == {"x": b""}
        child.pump_until(lambda: child.stdout == b"50 %")


def test_without_a_console_of_its_own_stdout_goes_to_stderr(bundle: Path) -> None:
    write_wire(bundle, "print('hello from the task')\nreturn {'x': b''}")
    with start(bundle, console=False) as child:
        assert child.outputs() == {"x": b""}
        child.pump_until(lambda: child.stderr == b"hello from the task\n")


def test_a_task_that_reads_stdin_meets_its_end(bundle: Path) -> None:
    write_wire(
        bundle,
        """
        try:
            input()
        except EOFError:
            pass
        assert subprocess.run(["cat"], capture_output=True).stdout == b""
        return {"rest": sys.stdin.buffer.read() + os.read(0, 10)}
        """,
        head="import os, subprocess, sys",
    )
    with start(bundle) as child:
        assert child.outputs() == {"rest": b""}


def test_a_subprocess_does_not_inherit_the_wire(bundle: Path) -> None:
    write_wire(
        bundle,
        """
        code = "import os; print(*[fd for fd in range(3, 1024) if is_open(fd)])"
        check = "def is_open(fd):\\n try: return os.fstat(fd)\\n except OSError: return False\\n"
        run = subprocess.run([sys.executable, "-c", "import os\\n" + check + code],
                             stdout=subprocess.PIPE, close_fds=False, check=True)
        return {"open": run.stdout}
        """,
        head="import subprocess, sys",
    )
    with start(bundle) as child:
        assert child.outputs() == {"open": b"\n"}


@pytest.mark.parametrize("version", ["3.8", "3.12", "3.13"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_in_a_task(method: str, version: str, bundle: Path) -> None:
    write_wire(
        bundle,
        """
        context = multiprocessing.get_context(params["method"])
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            return {"squares": bytes(pool.map(square, range(5)))}
        """,
        head="""
        import concurrent.futures, multiprocessing

        def square(x):
            print("squaring", x)
            return x * x
        """,
    )
    with start(bundle, need_python(version)) as child:
        assert child.outputs("default", {"method": method}) == {"squares": bytes([0, 1, 4, 9, 16])}
        assert child.call("shutdown")["result"] is None
        assert child.wait() == 0
        assert child.stdout.count(b"squaring") == 5
        assert child.stderr == b""
        assert not list(bundle.rglob("__pycache__"))


def test_no_bytecode_is_written_into_the_bundle_by_anyone(bundle: Path) -> None:
    (bundle / "model").mkdir()
    (bundle / "model" / "__init__.py").write_text("from . import part\n")
    (bundle / "model" / "part.py").write_text("")
    (bundle / "late.py").write_text("")
    write_wire(
        bundle,
        """
        import late
        subprocess.run([sys.executable, "-c", "import model"], check=True)
        return {'x': b''}
        """,
        head="import model, subprocess, sys",
    )
    before = sorted(bundle.rglob("*"))
    with start(bundle) as child:
        assert child.outputs() == {"x": b""}
    assert sorted(bundle.rglob("*")) == before


def test_bytecode_of_an_earlier_source_does_not_run(bundle: Path) -> None:
    head = "import importlib, sys, model\nfrom pathlib import Path"
    body = """
        sys.path.insert(0, "made")
        for value in 1, 2:  # within the same second
            Path("made").mkdir(exist_ok=True)
            Path("made/settings.py").write_text(f"V = {value}")
            sys.modules.pop("settings", None)
            import settings
        return {'seen': bytes([model.V, settings.V])}
    """
    write_wire(bundle, body, head=head)
    # As rsync and tar leave a file: with its own time, which is that of the bytecode's source.
    for value in 1, 2:
        (bundle / "model.py").write_text(f"V = {value}")
        os.utime(bundle / "model.py", (10**9, 10**9))
        if value == 1:
            py_compile.compile(str(bundle / "model.py"))
    with start(bundle) as child:
        assert child.outputs() == {"seen": bytes([2, 2])}
    assert not list(bundle.glob("made/__pycache__"))


def test_bytecode_is_written_for_what_is_installed(bundle: Path, tmp_path: Path) -> None:
    write_wire(bundle, "return {'x': b''}", head="import installed, venv_in_bundle")
    for site in (tmp_path / "site", bundle / ".site"):
        site.mkdir()
    (tmp_path / "site" / "installed.py").write_text("")
    (bundle / ".site" / "venv_in_bundle.py").write_text("")
    sites = [str(tmp_path / "site"), str(bundle / ".site")]
    with Child(sys.executable, bundle) as child:
        assert "result" in child.initialize(bundle, site=sites)
    assert list((tmp_path / "site" / "__pycache__").glob("installed.*.pyc"))
    assert list((bundle / ".site" / "__pycache__").glob("venv_in_bundle.*.pyc"))
    assert not (bundle / "__pycache__").exists()


def test_large_outputs_travel_as_files(bundle: Path, tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    write_wire(
        bundle,
        """
        return {
            "small": bytes(params["inline"]),
            "large": bytearray(params["inline"] + 1),
            "view": memoryview(bytes(range(256)) * 400)[::2],
        }
        """,
    )
    with Child(sys.executable, bundle) as child:
        child.initialize(bundle, exchange)
        answer = child.execute(params={"inline": INLINE_BYTES})
        small, large, view = answer["result"]["outputs"]
        assert base64.b64decode(small["data"]) == bytes(INLINE_BYTES)
        assert "file" not in small
        for output, data in (
            (large, bytes(INLINE_BYTES + 1)),
            (view, bytes(range(0, 256, 2)) * 400),
        ):
            assert "data" not in output
            assert (exchange / output["file"]).read_bytes() == data
            assert output["size"] == len(data)
            assert output["crc32"] == zlib.crc32(data)
        assert len(list(exchange.iterdir())) == 2


def test_an_exchange_folder_that_cannot_be_written_is_named(bundle: Path, tmp_path: Path) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    write_wire(bundle, "return {'table': bytes(100_000)}")
    with Child(sys.executable, bundle) as child:
        child.initialize(bundle, exchange)
        exchange.rmdir()
        error = child.execute()["error"]
        assert error["code"] == ErrorCode.INTERNAL_ERROR
        assert "output 'table' (100000 bytes) cannot be written" in error["message"]
        assert error["data"]["exception"]["type"] == "FileNotFoundError"


def test_without_an_exchange_folder_an_answer_has_a_limit(bundle: Path) -> None:
    write_wire(bundle, "return {'table': bytes(params['size']), 'log': b'x'}")
    with start(bundle) as child:
        assert len(child.outputs("default", {"size": 1_000_000})["table"]) == 1_000_000
        error = child.execute(params={"size": MAX_MESSAGE_BYTES})["error"]
        assert error["code"] == ErrorCode.MESSAGE_TOO_LARGE
        assert error["data"]["outputs"][0] == {"name": "table", "size": MAX_MESSAGE_BYTES}
        assert "'table' 67108864" in error["message"]
        assert child.outputs("default", {"size": 1})["table"] == b"\0"


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "the wire function returned None, as without a `return`, not a dict of str to"),
        ("[1]", "the wire function returned a list, not a dict of str to bytes"),
        ("{'x': b''}, 1", "returned a tuple of a dict and an int, not a dict of str to bytes"),
        ("{'table': Table()}", "output 'table' is a wire.Table, not bytes"),
        (
            "{'a': None, 'b': b'', 'c': (1,)}",
            "output 'a' is a NoneType, not bytes; output 'c' is a",
        ),
        ("{'a': {1: 2}}", "output 'a' is a dict, not bytes"),
        ("{'a': [1, (2,)]}", "output 'a' is a list, not bytes"),
        ("{'a': {'loss': float('nan')}}", "output 'a' is a dict, not bytes"),
        ("{'a': '\\udc80'}", "output 'a' is a str, not bytes"),
        ("Broken(a=b'')", "the mapping that the wire function returned cannot be read: KeyError"),
        ("Twice(a=b'')", "the wire function returned two outputs with the name 'a'"),
        ("Items(a=b'', b=b'')", "the wire function returned two outputs with the name 'x'"),
        ("{Name('a'): b'x', Name('a'): b'y'}", "returned two outputs with the name 'a'"),
        ("{1: b''}", "the name 1 is an int, not a str"),
        ("{'\\udc80': b''}", r"the name '\udc80' is not valid Unicode"),
        ("{str(n): None for n in range(100)}", "output '19' is a NoneType, not bytes; and 80 more"),
    ],
)
def test_a_result_that_is_not_bytes_is_refused_by_name(
    returned: str, message: str, bundle: Path
) -> None:
    head = "import collections\nclass Table:\n    pass\nclass Broken(collections.UserDict):\n"
    head += """    def __getitem__(self, name):
        raise KeyError(name)
class Twice(collections.UserDict):
    def __iter__(self):
        return iter([*self.data, *self.data])
class Items(dict):
    def items(self):
        return [("x", value) for value in self.values()]
class Name(str):
    __hash__, __eq__ = object.__hash__, object.__eq__
"""
    write_wire(bundle, f"return {returned}", head=head)
    with start(bundle) as child:
        error = child.execute()["error"]
        assert error["code"] == ErrorCode.RESULT_INVALID
        assert message in error["message"]
        assert len(error["data"]["offending"]) <= 20


def test_text_and_json_are_encoded_as_modelops_does_with_a_note(bundle: Path) -> None:
    returned = """types.MappingProxyType({
        "text": "caf\u00e9", "dict": {"a": [1.5, None, True]}, "list": ["\u00e9"],
        "number": 3, "bytes": bytearray(b"x")})"""
    write_wire(bundle, f"return {returned}", head="import types")
    with start(bundle) as child:
        result = child.execute()["result"]
        found = {one["name"]: base64.b64decode(one["data"]) for one in result["outputs"]}
        assert found == {
            "text": "café".encode(),
            "dict": b'{"a": [1.5, null, true]}',
            "list": b'["\\u00e9"]',
            "number": b"3",
            "bytes": b"x",
        }
        assert result["notes"] == [
            "outputs that are not bytes, taken as UTF-8: 'text'",
            "outputs that are not bytes, taken as JSON: 'dict', 'list', 'number'",
        ]
        # An error that is returned as text is one.
        write = "{'error': json.dumps({'type': 'ValueError', 'message': 'beta'})}"
    write_wire(bundle, f"return {write}", head="import json")
    with start(bundle) as child:
        assert child.execute()["error"]["data"]["exception"]["type"] == "ValueError"


def test_an_exception_of_a_task_comes_with_its_traceback_and_cause(bundle: Path) -> None:
    write_wire(
        bundle,
        """
        try:
            {}["incidence"]
        except KeyError as error:
            raise RuntimeError("no table") from error
        """,
    )
    with start(bundle) as child:
        error = child.execute()["error"]
        assert (error["code"], error["message"]) == (
            ErrorCode.TASK_FAILED,
            "RuntimeError: no table",
        )
        exception = error["data"]["exception"]
        assert exception["type"] == "RuntimeError"
        assert exception["traceback"] == [
            {
                "file": str(bundle / "wire.py"),
                "line": 7,
                "function": "wire",
                "text": 'raise RuntimeError("no table") from error',
            }
        ]
        assert exception["cause"]["type"] == "KeyError"
        assert exception["cause"]["attributes"] == {"key": "incidence"}
        # It has not cost the child its life.
        assert child.execute()["error"]["code"] == ErrorCode.TASK_FAILED


def test_a_result_that_raises_when_it_is_read_is_a_failure_of_the_task(bundle: Path) -> None:
    write_wire(bundle, "view = memoryview(b'x')\nview.release()\nreturn {'x': view}")
    with start(bundle) as child:
        error = child.execute()["error"]
        assert error["code"] == ErrorCode.TASK_FAILED
        assert "released memoryview" in error["message"]


def test_text_that_is_not_unicode_does_not_break_an_answer(bundle: Path) -> None:
    write_wire(bundle, r"raise ValueError('caf\udce9')")
    with start(bundle) as child:
        assert child.execute()["error"]["message"] == "ValueError: caf?"


@pytest.mark.parametrize("raised", ["KeyboardInterrupt()", "GeneratorExit()", "MemoryError()"])
def test_an_exception_that_is_no_exception_class_is_reported_too(raised: str, bundle: Path) -> None:
    write_wire(bundle, f"raise {raised}")
    with start(bundle) as child:
        error = child.execute()["error"]
        assert error["code"] == ErrorCode.TASK_FAILED
        assert error["data"]["exception"]["type"] == raised[:-2]


@pytest.mark.parametrize(
    ("code", "status", "stderr"),
    [
        ("sys.exit(3)", 3, b""),
        ("sys.exit()", 0, b""),
        ("sys.exit('no data for 2031')", 1, b"no data for 2031\n"),
        ("os._exit(7)", 7, b""),
        ("signal.raise_signal(9)", -9, b""),
    ],
)
@pytest.mark.parametrize("phase", ["load", "task"])
def test_code_that_exits_really_exits(
    phase: str, code: str, status: int, stderr: bytes, bundle: Path
) -> None:
    if phase == "load":
        write_wire(bundle, "return {'x': b''}", head=f"import os, signal, sys\n{code}")
    else:
        write_wire(bundle, code, head="import os, signal, sys")
    with Child(sys.executable, bundle) as child:
        assert child.receive()["method"] == "hello"
        described = {"path": str(bundle), "wire": "wire.py:wire", "installed": False, "site": []}
        child.send("initialize", {"protocol_version": 1, "bundle": described}, id=1)
        if phase == "task":
            assert "result" in child.receive()
            child.send("execute", {"entrypoint": "x", "params": {}, "seed": 0}, id=2)
        assert child.wait() == status
        assert child.stderr == stderr


@pytest.mark.parametrize("version", ["3.8", "3.13"])
def test_a_fatal_signal_shows_the_stacks_and_leaves_no_core_file(
    version: str, bundle: Path
) -> None:
    write_wire(
        bundle,
        "print('soft limit', resource.getrlimit(resource.RLIMIT_CORE)[0])\ntime.sleep(600)",
        head="import resource, time",
    )
    with start(bundle, need_python(version)) as child:
        child.send("execute", {"entrypoint": "x", "params": {}, "seed": 0}, id=2)
        child.pump_until(lambda: child.stdout == b"soft limit 0\n")
        child.process.send_signal(signal.SIGABRT)
        assert child.wait() == -signal.SIGABRT
        assert b"Fatal Python error: Aborted" in child.stderr
        # Line 3 when it has printed and not yet come to sleep.
        assert re.search(rf'File "{bundle}/wire.py", line [34] in wire', child.stderr.decode())
    assert [path.name for path in bundle.iterdir()] == ["wire.py"]


# Its descriptors have high numbers, where so many files may be open.
FEW_FILES = ["/bin/sh", "-c", 'ulimit -n 200; exec "$0" "$@"', sys.executable, "-s", str(HELLO)]
CLOSE = "os.closerange(3, 4096)"
REUSE = "files = [open('/dev/null', 'r+b') for _ in range(20)]"
REPLACE = "for fd in range(3, 1024):\n    os.dup2(0, fd)"


@pytest.mark.parametrize("argv", [None, FEW_FILES], ids=["high", "low"])
@pytest.mark.parametrize("closing", [CLOSE, f"{CLOSE}\n{REUSE}"])
def test_a_bundle_that_closes_the_wire_is_told_so(
    closing: str, argv: list[str] | None, bundle: Path
) -> None:
    write_wire(bundle, f"{closing}\nreturn {{'x': b''}}", head="import os")
    with start(bundle, argv=argv) as child:
        execute_and_be_told(child)


def test_a_bundle_that_replaces_the_wire_is_told_so(bundle: Path) -> None:
    write_wire(bundle, f"{REPLACE}\nreturn {{'x': b''}}", head="import os")
    with start(bundle) as child:
        execute_and_be_told(child)


def execute_and_be_told(child: Child) -> None:
    child.send("execute", {"entrypoint": "x", "params": {}, "seed": 0}, id=2)
    assert child.wait() == ExitStatus.TRANSPORT_CLOSED
    assert child.stderr.startswith(b"bundle_protocol: the bundle's code closed descriptors")
    assert child.stderr.count(b"\n") == 1


def test_a_bundle_may_close_what_daemons_close(bundle: Path) -> None:
    write_wire(bundle, f"os.closerange(3, 256)\n{REUSE}\nreturn {{'x': b'out'}}", head="import os")
    with start(bundle) as child:
        assert child.outputs() == {"x": b"out"}
        assert child.outputs() == {"x": b"out"}


def test_where_few_files_may_be_open_tasks_run_as_well(bundle: Path) -> None:
    write_wire(bundle, "return {'x': b'out'}")
    with start(bundle, argv=FEW_FILES) as child:
        assert child.outputs() == {"x": b"out"}


def test_a_forked_process_that_comes_back_answers_nothing(bundle: Path) -> None:
    write_wire(
        bundle,
        """
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        return {"who": b"parent" if pid else b"child"}
        """,
        head="import os",
    )
    with start(bundle) as child:
        assert child.outputs() == {"who": b"parent"}
        assert child.outputs() == {"who": b"parent"}
        child.pump_until(lambda: child.stderr.count(b"\n") == 2)
        assert b"a process that the task forked came back" in child.stderr


def test_shutdown_ends_it_after_the_answer(bundle: Path) -> None:
    write_wire(
        bundle, "return {'x': b''}", head="import atexit, os\natexit.register(os.write, 1, b'bye')"
    )
    with start(bundle) as child:
        # As the runner does: nothing will follow, so it closes its end at once.
        child.send("shutdown", {}, id=9)
        child.close_stdin()
        assert child.receive() == {"jsonrpc": "2.0", "id": 9, "result": None}
        assert child.wait() == 0
        assert child.stdout == b"bye"


def test_the_end_of_the_stream_ends_an_idle_child_in_order(bundle: Path) -> None:
    write_wire(
        bundle, "return {'x': b''}", head="import atexit, os\natexit.register(os.write, 1, b'bye')"
    )
    with start(bundle) as child:
        child.close_stdin()
        assert child.wait() == 0
        assert child.stdout == b"bye"


def test_a_child_that_does_not_manage_to_end_is_ended(bundle: Path) -> None:
    write_wire(
        bundle,
        "return {'x': b''}",
        head="import threading, time\nthreading.Thread(target=time.sleep, args=(600,)).start()",
    )
    with start(bundle) as child:
        child.close_stdin()
        assert child.wait() == -signal.SIGKILL


@pytest.mark.parametrize("doing", ["time.sleep(600)", "while True: pass"])
@pytest.mark.parametrize("phase", ["load", "task"])
def test_the_end_of_the_stream_ends_a_child_at_work_with_its_processes(
    phase: str, doing: str, bundle: Path
) -> None:
    work = f"print(subprocess.Popen(['sleep', '600']).pid)\n{doing}"
    head = "import subprocess, time\n"
    if phase == "load":
        write_wire(bundle, "return {'x': b''}", head=head + work)
    else:
        write_wire(bundle, work, head=head)
    with Child(sys.executable, bundle) as child:
        assert child.receive()["method"] == "hello"
        described = {"path": str(bundle), "wire": "wire.py:wire", "installed": False, "site": []}
        child.send("initialize", {"protocol_version": 1, "bundle": described}, id=1)
        if phase == "task":
            assert "result" in child.receive()
            child.send("execute", {"entrypoint": "x", "params": {}, "seed": 0}, id=2)
        child.pump_until(lambda: child.stdout.endswith(b"\n"))
        child.close_stdin()
        assert child.wait() == -signal.SIGKILL
        wait_until_gone(int(child.stdout))


def test_a_request_that_waits_while_a_task_runs_does_not_end_it(bundle: Path) -> None:
    write_wire(bundle, "return {'seed': str(seed).encode()}")
    with start(bundle) as child:
        for number in (7, 8, 9):
            child.send("execute", {"entrypoint": "x", "params": {}, "seed": number}, id=number)
        assert [child.receive()["id"] for _ in range(3)] == [7, 8, 9]


SUPPORT = Path(__file__).parents[1] / "support"


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_the_death_of_the_runner_ends_a_task_that_never_lets_go_of_the_interpreter(
    bundle: Path, tmp_path: Path
) -> None:
    # pow() of such numbers holds the GIL for longer than the test: no thread can notice a hang-up.
    write_wire(bundle, "print(os.getpid())\npow(3, 10**9)\nreturn {'x': b''}", head="import os")
    runner = tmp_path / "runner.py"
    runner.write_text(
        "import sys\nfrom pathlib import Path\n"
        f"sys.path[:0] = {[str(SUPPORT), str(HELLO.parent.parent)]!r}\n"
        "from driver import Child\n"
        "bundle = Path(sys.argv[1])\n"
        "child = Child(sys.executable, bundle)\n"
        "child.initialize(bundle)\n"
        "child.send('execute', {'entrypoint': 'x', 'params': {}, 'seed': 0}, id=2)\n"
        "child.pump_until(lambda: child.stdout.endswith(b'\\n'))\n"
        "print(child.stdout.decode(), end='', flush=True)\n"
        "child.receive()\n"
    )
    with subprocess.Popen(
        [sys.executable, runner, bundle], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
        process.wait(SECONDS)
    wait_until_gone(pid)


def test_a_wire_that_is_no_pipe_is_served_to_its_end(bundle: Path, tmp_path: Path) -> None:
    write_wire(bundle, "return {'x': b''}")
    described = f'{{"path": "{bundle}", "wire": "wire.py:wire", "installed": false, "site": []}}'
    script = tmp_path / "script"
    script.write_bytes(
        encode_frame(
            b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":'
            b'{"protocol_version":1,"bundle":%b}}' % described.encode()
        )
        + encode_frame(
            b'{"jsonrpc":"2.0","id":2,"method":"execute","params":'
            b'{"entrypoint":"x","params":{},"seed":0}}'
        )
    )
    with script.open("rb") as stdin:
        done = subprocess.run(
            [sys.executable, HELLO], stdin=stdin, capture_output=True, timeout=SECONDS
        )
    assert done.returncode == 0, done.stderr
    assert b'"id":2,"result":{"outputs":[{"name":"x"' in done.stdout


@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b"{", ErrorCode.PARSE_ERROR, None),
        (b"\xff", ErrorCode.PARSE_ERROR, None),
        (b"[" * 100_000, ErrorCode.PARSE_ERROR, None),
        (b'{"jsonrpc":"2.0","id":1,"method":"x"} {}', ErrorCode.PARSE_ERROR, None),
        (b' \t\r\n{"jsonrpc":"2.0","id":1,"method":"x"}\n', ErrorCode.METHOD_NOT_FOUND, 1),
        (b'{"jsonrpc":"2.0","id":true,"method":"x"}', ErrorCode.METHOD_NOT_FOUND, True),
        (b"[]", ErrorCode.INVALID_REQUEST, None),
        (b'{"jsonrpc":"1.0","id":1,"method":"x"}', ErrorCode.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":1}', ErrorCode.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"x"}', ErrorCode.INVALID_REQUEST, None),
        (b'{"jsonrpc":"2.0","id":"a","method":"x"}', ErrorCode.METHOD_NOT_FOUND, "a"),
        (b'{"jsonrpc":"2.0","id":1,"method":"execute","params":[1]}', ErrorCode.INVALID_PARAMS, 1),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"execute","params":'
            b'{"entrypoint":"x","params":{},"seed":0}}',
            ErrorCode.INVALID_REQUEST,
            1,
        ),
    ],
)
def test_a_message_that_is_no_request_is_answered_with_its_code(
    body: bytes, code: int, request_id: object, bundle: Path
) -> None:
    with Child(sys.executable, bundle) as child:
        assert child.receive()["method"] == "hello"
        child.send("$/progress", {"unknown": "notification"})
        child.write(encode_frame(body))
        answer = child.receive()
        assert (answer["error"]["code"], answer["id"]) == (code, request_id)
        assert child.call("shutdown")["result"] is None


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"entrypoint": 1}, "entrypoint must be a string, not 1"),
        ({"params": None}, "params must be an object, not null"),
        ({"params": [1]}, "params must be an object, not [1]"),
        ({"seed": "0"}, 'seed must be an integer, not "0"'),
        ({"seed": True}, "seed must be an integer, not true"),
        ({"seed": 0.5}, "seed must be an integer, not 0.5"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, object], message: str, bundle: Path) -> None:
    write_wire(bundle, "return {'x': b''}")
    with start(bundle) as child:
        error = child.call("execute", {"entrypoint": "x", "params": {}, "seed": 0, **params})[
            "error"
        ]
        assert (error["code"], error["message"]) == (ErrorCode.INVALID_PARAMS, message)


def test_bytes_that_are_no_frame_end_the_child(bundle: Path) -> None:
    with Child(sys.executable, bundle) as child:
        assert child.receive()["method"] == "hello"
        child.write(b"GET / HTTP/1.1\r\n")
        assert child.wait() == ExitStatus.PROTOCOL_VIOLATION
        assert child.stderr.startswith(b"bundle_protocol: the runner sent what is not the protocol")
        assert b"GET / HTTP" in child.stderr
        assert child.stderr.count(b"\n") == 1


def test_a_runner_that_reads_no_more_ends_the_child(bundle: Path) -> None:
    write_wire(bundle, "return {'x': bytes(10)}")
    with start(bundle) as child:
        assert child.process.stdout is not None
        child._selector.unregister(child.process.stdout)
        child.process.stdout.close()
        child.send("execute", {"entrypoint": "x", "params": {}, "seed": 0}, id=2)
        assert child.wait() == ExitStatus.TRANSPORT_BROKEN
        assert b"the runner does not read answers any more" in child.stderr
