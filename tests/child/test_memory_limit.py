"""Memory limits that the runner keeps, of real children: who is ended, and what the report says."""

import json
import re
import sys
from pathlib import Path

import anyio
import pytest
from forked_command import run_command

from runner import AsyncRunner, ExecutionError, Runner, RunnerError
from runner.diagnosis.report.model import Report
from runner.recording.format import read_recording
from runner.recording.replay import replay

MIB = 1 << 20
WIRE = """
import os, subprocess, sys, time
GROW = '''
import time
held = []
while True:
    held.append(bytearray(b"x" * (4 << 20)))
    time.sleep(0.01)
'''
def wire(entrypoint, params, seed):
    if entrypoint == "grow":
        exec(compile(GROW, __file__, "exec"), {})
    if entrypoint == "subprocess":
        subprocess.run([sys.executable, "-c", GROW], check=True)
    if entrypoint == "huge":
        bytearray(64 << 30)
    return {"pid": str(os.getpid()).encode()}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "model"\nversion = "1"\n[tool.modelops]\nmemory-limit = "128MiB"\n'
    )
    (folder / "wire.py").write_text(WIRE)
    return folder


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
@pytest.mark.parametrize("entrypoint", ["grow", "subprocess"])
def test_a_task_that_holds_more_than_the_limit_is_ended_and_the_next_one_runs(
    entrypoint: str, isolation: str, bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        before = runner.execute(bundle)
        with pytest.raises(ExecutionError) as caught:
            runner.execute(bundle, entrypoint)
        after = runner.execute(bundle)
    report = caught.value.report
    assert report.code == "out-of-memory"
    assert "memory limit is 128 MiB" in report.summary
    assert "wire.py:" in report.summary
    assert any("--memory-limit" in (hint.command or "") for hint in report.hints)
    assert report.retryable is False
    assert report.child is not None and report.child.memory_limit_bytes == 128 * MIB
    # Of a fork only the task's own process ends.
    assert (before.child.pid == after.child.pid) == (isolation == "fork")


def test_what_it_held_is_said_with_where_it_stood(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, memory_limit=96 * MIB) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle, "subprocess")
    report = caught.value.report
    # The caller's limit, not the bundle's.
    assert re.search(r"it held \d+ MiB of memory, and its memory limit is 96 MiB", report.summary)
    assert report.exception is not None
    assert any(frame.function == "wire" for frame in report.exception.traceback)


@pytest.mark.anyio
async def test_on_either_event_loop_and_while_others_run(bundle: Path, cache: Path) -> None:
    reports: list[Report] = []
    async with AsyncRunner(cache=cache, isolation="fork", children=2) as runner:

        async def fail() -> None:
            with pytest.raises(ExecutionError) as caught:
                await runner.execute(bundle, "subprocess")
            reports.append(caught.value.report)

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(fail)
                    tasks.start_soon(runner.execute, bundle)
    assert [report.code for report in reports] == ["out-of-memory"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="no limit on asking for memory elsewhere")
def test_asking_for_far_too_much_is_a_memory_error_and_the_child_goes_on(
    bundle: Path, cache: Path
) -> None:
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        before = runner.execute(bundle)
        with pytest.raises(ExecutionError) as caught:
            runner.execute(bundle, "huge")
        after = runner.execute(bundle)
    report = caught.value.report
    assert report.code == "out-of-memory"
    assert report.exception is not None and report.exception.type == "MemoryError"
    assert "its memory limit is 128 MiB" in report.summary
    assert before.child.pid == after.child.pid


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_one_that_does_not_end_when_it_is_asked_to_is_killed(
    isolation: str, bundle: Path, cache: Path
) -> None:
    wire = (bundle / "wire.py").read_text()
    (bundle / "wire.py").write_text(
        wire.replace("def wire(", "def ignore():\n    import signal\n"
        "    signal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef wire(")
        .replace('    if entrypoint == "grow"', '    ignore()\n    if entrypoint == "grow"')
    )  # fmt: skip
    with Runner(cache=cache, isolation=isolation) as runner:
        with pytest.raises(ExecutionError) as caught:
            runner.execute(bundle, "grow")
        assert "pid" in runner.execute(bundle)
    report = caught.value.report
    assert report.code == "out-of-memory"
    assert report.child is not None and report.child.signal == "SIGKILL"


def test_a_bundle_that_needs_too_much_to_load_is_ended(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text(
        "import time\nheld = []\n"
        "while True:\n    held.append(bytearray(b'x' * (4 << 20)))\n    time.sleep(0.01)\n"
    )
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    report = caught.value.report
    assert (report.phase, report.code) == ("load", "out-of-memory")
    assert "while it loaded the bundle, in wire.py:" in report.summary


def test_the_command_takes_a_size_and_a_recording_gives_the_same_report(
    bundle: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))
    command = [sys.executable, "-m", "runner", "exec", str(bundle), "grow", "--json"]
    options = ["--memory-limit", "160MiB", "--record", str(tmp_path / "recording")]
    done = run_command([*command, *options], timeout=120)
    assert done.returncode == 13, done.stderr
    report = json.loads(done.stdout)["report"]
    assert report["code"] == "out-of-memory"
    assert "memory limit is 160 MiB" in report["summary"]
    again = replay(read_recording(tmp_path / "recording"))
    assert again is not None
    assert (again.summary, again.explanation) == (report["summary"], report["explanation"])
    assert again.child is not None and again.child.memory_limit_bytes == 160 * MIB


@pytest.mark.parametrize("size", ["lots", "-1", "0"])
def test_what_is_no_size_is_a_wrong_command_line(size: str, bundle: Path) -> None:
    done = run_command(
        [sys.executable, "-m", "runner", "exec", str(bundle), f"--memory-limit={size}"], timeout=60
    )
    assert done.returncode == 2
    assert f"{size!r} is not a size such as 512MiB or 2GiB" in done.stderr
