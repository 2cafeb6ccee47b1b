"""Real children: what becomes of them, before the handshake, while loading, and at work."""

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
import psutil
import pytest
from children import PYTHON_VERSION, WIRE, Child

from runner.child.session import STOPPED_SECONDS, TimeLimit
from runner.child.start import open_session
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Event, Output, Phase, Stream
from runner.process import suspension
from runner.task import Task

pytestmark = pytest.mark.anyio

MakeBundle = Callable[[str], Path]


@pytest.fixture
def bundle(tmp_path: Path) -> MakeBundle:
    def make(source: str) -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir()
        (folder / "wire.py").write_text(textwrap.dedent(source))
        return folder

    return make


@pytest.fixture
def startup_code(tmp_path: Path) -> Callable[[str], Path]:
    """An interpreter that runs some code before anything of ours, as a sitecustomize does."""

    def make(source: str) -> Path:
        venv = tmp_path / "venv"
        command = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(venv)]
        subprocess.run(command, check=True, timeout=60)
        (site,) = venv.glob("lib/python*/site-packages")
        (site / "sitecustomize.py").write_text(textwrap.dedent(source))
        return venv / "bin" / "python"

    return make


async def test_a_task_runs_and_its_outputs_come_back(bundle: MakeBundle) -> None:
    child = Child(bundle(WIRE))
    outputs = await child.run(params={"beta": 0.3, "tags": ["a", None]})
    assert outputs == {"out": b"('main', {'beta': 0.3, 'tags': ['a', None]}, 7)"}
    assert child.case.child is not None and child.case.child.python is not None
    assert child.case.child.python.version == PYTHON_VERSION
    assert child.case.child.exit_code == 0
    assert [phase.phase.value for phase in child.case.journal.phases] == [
        "spawn",
        "handshake",
        "load",
        "execute",
        "shutdown",
    ]


async def test_large_outputs_come_back_whole_and_leave_no_file(
    bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(exchange))
    folder = bundle(
        """
        def wire(entrypoint, params, seed):
            return {"big": bytes(range(256)) * 400_000, "empty": b"", "small": b"x" * 100}
        """
    )
    outputs = await Child(folder).run()
    assert outputs["big"] == bytes(range(256)) * 400_000
    assert (outputs["empty"], outputs["small"]) == (b"", b"x" * 100)
    assert not list(exchange.iterdir())


async def test_what_the_child_prints_is_streamed_and_told_apart(bundle: MakeBundle) -> None:
    folder = bundle(
        """
        import os, subprocess, sys
        def wire(entrypoint, params, seed):
            print("from python")
            os.write(1, b"from C\\n")
            subprocess.run(["sh", "-c", "echo from a subprocess; echo and its stderr >&2"])
            print("on stderr", file=sys.stderr)
            return {'x': b''}
        """
    )
    child = Child(folder)
    assert await child.run() == {"x": b""}
    assert child.output(Stream.STDOUT) == b"from python\nfrom C\nfrom a subprocess\n"
    assert child.output(Stream.STDERR) == b"and its stderr\non stderr\n"


async def test_output_arrives_while_the_task_still_runs(bundle: MakeBundle, tmp_path: Path) -> None:
    fifo = tmp_path / "go-on"
    os.mkfifo(fifo)
    folder = bundle(
        f"""
        def wire(entrypoint, params, seed):
            print("waiting")
            open({str(fifo)!r}).read()
            return {{'x': b''}}
        """
    )
    child = Child(folder)

    def let_go_on(event: Event) -> None:
        if isinstance(event, Output) and b"waiting" in event.data:
            fifo.write_bytes(b"")

    child.case.journal._handler = let_go_on
    assert await child.run() == {"x": b""}


async def test_a_gigabyte_on_stderr_costs_bounded_memory_and_blocks_nothing(
    bundle: MakeBundle,
) -> None:
    folder = bundle(
        """
        import os
        def wire(entrypoint, params, seed):
            piece = b"x" * (1 << 20)
            for _ in range(1024):
                os.write(2, piece)
            return {'x': b''}
        """
    )
    child = Child(folder)
    child.case.journal._handler = None
    before = psutil.Process().memory_info().rss
    assert await child.run(limit=120) == {"x": b""}
    assert psutil.Process().memory_info().rss - before < 64 << 20
    stderr = child.case.evidence.stderr
    assert stderr is not None and stderr.truncated and stderr.total_bytes >= 1 << 30


# Deaths: (code to run, code of the report, exit status, signal)
DEATHS = {
    "exit-3-with-a-message": (
        "import sys; sys.stderr.write('no licence found\\n'); os._exit(3)",
        Code.CHILD_EXITED,
        3,
        None,
    ),
    "exit-0-with-none": ("os._exit(0)", Code.CHILD_EXITED, 0, None),
    "SIGKILL": ("os.kill(os.getpid(), 9)", Code.CHILD_CRASHED, None, "SIGKILL"),
    "SIGSEGV": ("import ctypes; ctypes.string_at(0)", Code.CHILD_CRASHED, None, "SIGSEGV"),
    "SIGABRT": ("os.abort()", Code.CHILD_CRASHED, None, "SIGABRT"),
    "10-MiB-on-stderr": (
        "os.write(2, b'x' * (10 << 20)); os.write(2, b'\\nlast words\\n'); os._exit(4)",
        Code.CHILD_EXITED,
        4,
        None,
    ),
    "a-daemon-keeps-every-pipe": (
        "os.fork() or (os.setsid(), os.fork() or __import__('time').sleep(1000), os._exit(0));"
        " os.write(2, b'bye\\n'); os._exit(5)",
        Code.CHILD_EXITED,
        5,
        None,
    ),
}


def check_death(report: Report, name: str, phase: Phase) -> None:
    _, code, exit_code, signal = DEATHS[name]
    assert report.child is not None
    assert (report.phase, report.code) == (phase, code), report.summary
    assert (report.child.exit_code, report.child.signal) == (exit_code, signal)
    assert report.evidence.stderr is not None
    if name == "exit-3-with-a-message":
        assert "no licence found" in report.summary
    if name == "10-MiB-on-stderr":
        assert "last words" in report.summary
        assert report.evidence.stderr.total_bytes >= 10 << 20
        assert len(report.evidence.stderr.text) < 1 << 20


@pytest.mark.parametrize("name", DEATHS)
async def test_a_death_before_the_handshake_is_named(
    name: str, bundle: MakeBundle, startup_code: Callable[[str], Path]
) -> None:
    python = startup_code(f"import os\n{DEATHS[name][0]}\n")
    report = await Child(bundle(WIRE), python).fail()
    check_death(report, name, Phase.HANDSHAKE)
    assert report.child is not None and report.child.python is None


@pytest.mark.parametrize("name", DEATHS)
async def test_a_death_while_loading_is_named_and_so_is_the_python(
    name: str, bundle: MakeBundle
) -> None:
    report = await Child(bundle(f"import os\n{DEATHS[name][0]}\n{WIRE}")).fail()
    check_death(report, name, Phase.LOAD)
    assert report.child is not None and report.child.python is not None
    assert report.child.python.version == PYTHON_VERSION


@pytest.mark.parametrize("name", DEATHS)
async def test_a_death_at_work_is_named(name: str, bundle: MakeBundle) -> None:
    folder = bundle(f"import os\ndef wire(entrypoint, params, seed):\n    {DEATHS[name][0]}\n")
    check_death(await Child(folder).fail(), name, Phase.EXECUTE)


async def test_a_thread_that_the_child_itself_cannot_start_is_told_as_the_limit(
    bundle: MakeBundle, startup_code: Callable[[str], Path]
) -> None:
    python = startup_code(
        """
        import _thread
        def refuse(*arguments):
            raise RuntimeError("can't start new thread")
        _thread.start_new_thread = refuse
        """
    )
    report = await Child(bundle(WIRE), python).fail()
    assert (report.phase, report.code) == (Phase.LOAD, Code.SPAWN_FAILED)
    assert report.retryable
    assert "can't start new thread" in report.summary
    assert "processes" in report.explanation


async def test_sys_exit_while_loading_is_an_exit_with_its_words(bundle: MakeBundle) -> None:
    report = await Child(bundle("import sys\nsys.exit('no licence found')\n")).fail()
    assert (report.phase, report.code) == (Phase.LOAD, Code.CHILD_EXITED)
    assert report.child is not None and report.child.exit_code == 1
    assert "no licence found" in report.summary


async def test_a_crash_names_the_line_it_happened_in(bundle: MakeBundle) -> None:
    report = await Child(bundle("import ctypes\n\nctypes.string_at(0)\n")).fail()
    assert "SIGSEGV" in report.summary and "wire.py:3" in report.summary
    assert report.exception is not None
    assert report.exception.message == "Segmentation fault"


@pytest.mark.skipif(sys.platform != "linux", reason="the words are those of glibc")
async def test_an_abort_says_what_the_c_library_said(bundle: MakeBundle) -> None:
    folder = bundle(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        libc.malloc.restype = ctypes.c_void_p
        libc.free.argtypes = [ctypes.c_void_p]
        block = libc.malloc(64)
        ctypes.memset(block, 0, 64)  # Else it is up to what lay there before what free() sees.
        libc.free(block + 8)
        """
    )
    report = await Child(folder).fail()
    assert (report.phase, report.code) == (Phase.LOAD, Code.CHILD_CRASHED)
    assert report.summary == (
        "SIGABRT ended the child while it loaded the bundle, in wire.py:8: free(): invalid pointer"
    )


async def test_a_hang_before_the_handshake_ends_at_the_limit(
    bundle: MakeBundle, startup_code: Callable[[str], Path]
) -> None:
    python = startup_code("import time\ntime.sleep(1000)\n")
    report = await Child(bundle(WIRE), python).fail(startup=1)
    assert (report.phase, report.code) == (Phase.HANDSHAKE, Code.CHILD_HUNG)


async def test_a_hang_while_loading_ends_at_the_limit_and_names_the_line(
    bundle: MakeBundle,
) -> None:
    folder = bundle("import time\n\n\ntime.sleep(1000)\n")
    report = await Child(folder).fail(startup=2)
    assert (report.phase, report.code) == (Phase.LOAD, Code.CHILD_HUNG)
    assert "wire.py:4" in report.summary


async def test_a_task_that_takes_too_long_is_ended_and_says_where_it_stood(
    bundle: MakeBundle,
) -> None:
    folder = bundle(
        """
        import time
        def step():
            time.sleep(1000)
        def wire(entrypoint, params, seed):
            step()
        """
    )
    report = await Child(folder).fail(limit=0.5)
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.CHILD_HUNG)
    assert "wire.py:4 (step)" in report.summary


async def test_garbage_before_the_hello_is_survived_and_kept(
    bundle: MakeBundle, startup_code: Callable[[str], Path]
) -> None:
    python = startup_code(
        "import os\nos.write(1, b'Welcome!\\n\\xff\\x00Content-Length: 5\\r\\n\\r\\nhello')\n"
    )
    child = Child(bundle(WIRE), python)
    assert "out" in await child.run()
    assert child.output(Stream.NOISE) == b"Welcome!\n\xff\x00Content-Length: 5\r\n\r\nhello"


async def test_garbage_while_loading_is_output_like_any_other(bundle: MakeBundle) -> None:
    child = Child(bundle("import os\nos.write(1, b'Content-Length: x\\r\\n\\r\\n')\n" + WIRE))
    assert "out" in await child.run()
    assert child.output(Stream.STDOUT) == b"Content-Length: x\r\n\r\n"


async def test_a_closed_stdout_before_the_hello_is_named(
    bundle: MakeBundle, startup_code: Callable[[str], Path]
) -> None:
    python = startup_code("import os\nos.close(1)\n")
    report = await Child(bundle(WIRE), python).fail()
    assert report.phase is Phase.HANDSHAKE
    assert report.code in (Code.CHILD_EXITED, Code.PROTOCOL_VIOLATION)
    assert "hello" in report.summary


async def test_a_closed_stdout_while_loading_disturbs_nothing(bundle: MakeBundle) -> None:
    child = Child(bundle("import os\nos.close(1)\n" + WIRE))
    assert "out" in await child.run()


async def test_a_bundle_that_closes_every_descriptor_is_told_so(bundle: MakeBundle) -> None:
    report = await Child(bundle("import os\nos.closerange(3, 4096)\n" + WIRE)).fail()
    assert (report.phase, report.code) == (Phase.LOAD, Code.PROTOCOL_VIOLATION)
    assert "clos" in report.summary


async def test_a_bundle_that_writes_to_the_wire_is_told_so(bundle: MakeBundle) -> None:
    folder = bundle(
        """
        import os, stat
        def wire(entrypoint, params, seed):
            for fd in range(3, 1024):
                try:
                    if stat.S_ISFIFO(os.fstat(fd).st_mode):
                        os.write(fd, b"gotcha\\n")
                except OSError:
                    pass
            return {'x': b''}
        """
    )
    report = await Child(folder).fail()
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.PROTOCOL_VIOLATION)
    assert "gotcha" in report.summary


RAISES = {
    "import yaml_nowhere": (Code.MODULE_NOT_FOUND, "yaml_nowhere"),
    "from json import no_such_name": (Code.IMPORT_FAILED, "no_such_name"),
    "import ctypes; ctypes.CDLL('libnowhere.so.1')": (Code.IMPORT_FAILED, "libnowhere.so.1"),
    "def broken(:": (Code.SYNTAX_ERROR, "wire.py:2"),
    "1 / 0": (Code.LOAD_RAISED, "ZeroDivisionError in wire.py:2"),
    "raise MemoryError('enough')": (Code.OUT_OF_MEMORY, "memory"),
}


@pytest.mark.parametrize("line", RAISES)
async def test_what_the_import_raises_is_named(line: str, bundle: MakeBundle) -> None:
    code, telling = RAISES[line]
    report = await Child(bundle(f"import os\n{line}\n{WIRE}")).fail()
    assert (report.phase, report.code) == (Phase.LOAD, code), report.summary
    assert telling in report.summary
    assert report.hints
    assert report.exception is not None


WRONG_WIRES = {
    "missing": ("def other(): pass", Code.WIRE_NOT_FOUND),
    "no function": ("wire = 3", Code.WIRE_INVALID),
    "wrong signature": ("def wire(params): pass", Code.WIRE_INVALID),
}


@pytest.mark.parametrize("name", WRONG_WIRES)
async def test_a_wrong_wire_function_is_named(name: str, bundle: MakeBundle) -> None:
    source, code = WRONG_WIRES[name]
    report = await Child(bundle(source)).fail()
    assert (report.phase, report.code) == (Phase.LOAD, code), report.summary
    assert "wire" in report.summary and report.hints


async def test_what_a_task_raises_is_named_with_its_causes_and_notes(bundle: MakeBundle) -> None:
    folder = bundle(
        """
        def wire(entrypoint, params, seed):
            try:
                {}["incidence"]
            except KeyError as error:
                raise ValueError("no incidence in the run") from error
        """
    )
    report = await Child(folder).fail()
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.TASK_RAISED)
    assert report.summary == "ValueError in wire.py:6 (wire): no incidence in the run"
    assert report.exception is not None and report.exception.cause is not None
    assert report.exception.cause.type == "KeyError"


@pytest.mark.parametrize(
    ("result", "telling"),
    [("{'table': (1, 2)}", "'table'"), ("[1, 2]", "list"), ("{1: b''}", "int"), ("None", "None")],
)
async def test_a_result_that_is_no_dict_of_bytes_is_named(
    result: str, telling: str, bundle: MakeBundle
) -> None:
    report = await Child(bundle(f"def wire(e, p, s):\n    return {result}\n")).fail()
    assert (report.phase, report.code) == (Phase.EXECUTE, Code.RESULT_INVALID)
    assert telling in report.summary


async def test_parameters_over_the_limit_are_refused_before_they_are_sent(
    bundle: MakeBundle,
) -> None:
    child = Child(bundle(WIRE))
    with pytest.raises(Failure) as caught:
        await child.run(params={"x": "y" * (65 << 20)})
    assert caught.value.finding.code is Code.MESSAGE_TOO_LARGE


async def test_a_python_that_is_another_than_the_environments_is_named(bundle: MakeBundle) -> None:
    child = Child(bundle(WIRE))
    child.launch = msgspec.structs.replace(child.launch, python_version="3.99.0")
    report = await child.fail()
    assert (report.phase, report.code) == (Phase.HANDSHAKE, Code.PYTHON_MISMATCH)
    assert "3.99.0" in report.summary and PYTHON_VERSION in report.summary


async def test_an_interpreter_that_cannot_be_started_is_a_spawn_failure(
    bundle: MakeBundle, tmp_path: Path
) -> None:
    report = await Child(bundle(WIRE), tmp_path / "no-python").fail()
    assert (report.phase, report.code) == (Phase.SPAWN, Code.SPAWN_FAILED)
    locked = tmp_path / "python"
    locked.write_text("#!/bin/sh\n")
    locked.chmod(0o644)
    report = await Child(tmp_path / "bundle", locked).fail()
    assert (report.phase, report.code) == (Phase.SPAWN, Code.PERMISSION_DENIED)


async def test_cancelling_a_task_leaves_no_process(bundle: MakeBundle) -> None:
    child = Child(
        bundle("import time\ndef wire(e, p, s):\n    print('at work')\n    time.sleep(1000)\n")
    )
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            at_work = anyio.Event()
            child.case.journal._handler = lambda event: (
                at_work.set() if isinstance(event, Output) and b"at work" in event.data else None
            )
            tasks.start_soon(child.run)
            await at_work.wait()
            tasks.cancel_scope.cancel()
    assert not child.left_behind()


async def test_the_workers_secrets_and_its_python_do_not_reach_the_child(
    bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_TOKEN", "PYTHONPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LICENCE_SERVER"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("MODELOPS_STUDY", "seir")
    child = Child(
        bundle(
            """
            import json, os
            def wire(e, p, s):
                return {"env": json.dumps(dict(os.environ)).encode()}
            """
        )
    )
    child.launch = msgspec.structs.replace(child.launch, env=("LICENCE_SERVER",))
    seen = (await child.run())["env"].decode()
    assert "GITHUB_TOKEN" not in seen and "PYTHONPATH" not in seen
    assert "VIRTUAL_ENV" not in seen and "CONDA_PREFIX" not in seen
    assert "LICENCE_SERVER" in seen and "MODELOPS_STUDY" in seen and "OMP_NUM_THREADS" in seen


async def test_nothing_is_written_into_the_bundle(bundle: MakeBundle) -> None:
    folder = bundle("import helper\n" + WIRE)
    (folder / "helper.py").write_text("")
    before = sorted(folder.rglob("*"))
    await Child(folder).run()
    assert sorted(folder.rglob("*")) == before


async def test_the_time_that_the_runner_was_stopped_for_is_not_its_childs() -> None:
    limit = TimeLimit(5, elapsed=5 + 2 * STOPPED_SECONDS)
    assert limit.begin_anew_after_stop() and not limit.begin_anew_after_stop()
    assert not TimeLimit(5, elapsed=5).begin_anew_after_stop()


async def test_time_begins_anew_after_a_child_was_stopped_with_the_runner_however_shortly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = TimeLimit(5, elapsed=5)
    monkeypatch.setattr(suspension, "_suspended_at", time.monotonic())
    assert TimeLimit(5, elapsed=5).begin_anew_after_stop()
    assert limit.begin_anew_after_stop() and not limit.begin_anew_after_stop()


async def test_an_answer_that_came_while_the_runner_was_stopped_is_no_time_out(
    bundle: MakeBundle,
) -> None:
    child = Child(bundle(WIRE))
    async with open_session(
        child.launch, case=child.case, environ=child.environ, startup_timeout=30
    ) as session:
        await session._transport.send(session.request(Task("main")))
        await anyio.wait_readable(session.process.stdout)
        assert await session.receive(Phase.EXECUTE, TimeLimit(5, elapsed=6))
