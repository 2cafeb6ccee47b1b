"""Writes to a stream that nobody reads, and to one that has no room."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import write_bundle

from runner.cli.writing import Unblocked
from runner.study.run_file import STORY
from runner.study.writing import write_whole

RUN_SECONDS = 60
WIRE = """
import os, sys, time
def wire(entrypoint, params, seed):
    for _ in range(4000):
        print("x" * 1000, file=sys.stderr, flush=True)
    if entrypoint == "hang":
        open(params["ready"], "w").close()
        time.sleep(1000)
    return {"out": b"x" * params.get("size", 1)}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


def execute(cache: Path, *args: str | Path) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "runner", "exec", *map(str, args)]
    return command, {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}


def test_a_write_never_waits_and_says_what_it_has_dropped() -> None:
    reading, writing = os.pipe()
    stream = Unblocked(writing)
    began = time.monotonic()
    for number in range(3000):
        stream.write(b"%06d %s\n" % (number, b"x" * 1000))
    assert time.monotonic() - began < RUN_SECONDS
    os.set_blocking(reading, False)
    said = b""
    while True:
        try:
            said += os.read(reading, 1 << 20)
        except BlockingIOError:
            break
        stream.flush()
    lines = said.split(b"\n")
    assert lines[0].startswith(b"000000") and lines[-2].startswith(b"002999")
    assert any(b"bytes left out" in line for line in lines)
    assert len(said) < 2 << 20
    os.close(reading)
    stream.write(b"nobody is there any more")
    os.close(writing)


def test_a_file_is_as_it_was_where_it_does_not_take_everything(tmp_path: Path) -> None:
    code = (
        "import os, resource, signal, sys; from runner.study.writing import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    write_whole(1, b'x' * 2000)\nexcept OSError as error:\n    print(error.errno,"
        " file=sys.stderr)\n"
    )
    file = tmp_path / "file"
    file.write_bytes(b"before\n")
    with file.open("ab") as out:
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=RUN_SECONDS,
            check=False,
        )
    assert done.stderr.strip() == b"27"  # EFBIG
    assert file.read_bytes() == b"before\n"
    with file.open("ab") as out:
        write_whole(out.fileno(), b"after\n")
    assert file.read_bytes() == b"before\nafter\n"


@pytest.mark.parametrize("ends", ["--timeout", "SIGTERM", "SIGINT", "itself"])
def test_an_unread_stderr_stops_nothing(
    ends: str, bundle: Path, cache: Path, tmp_path: Path
) -> None:
    ready, out = tmp_path / "ready", tmp_path / "out.json"
    task = [] if ends == "itself" else ["hang", "--param", f"ready={ready}"]
    limit = ["--timeout", "3"] if ends == "--timeout" else []
    command, environ = execute(cache, bundle, *task, *limit, "--json")
    reading, writing = os.pipe()
    with out.open("wb") as file:
        process = subprocess.Popen(command, env=environ, stdout=file, stderr=writing)
    try:
        os.close(writing)
        if ends.startswith("SIG"):
            deadline = time.monotonic() + RUN_SECONDS
            while not ready.exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.Signals[ends])
        status = process.wait(timeout=RUN_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(reading)
    assert status == {"--timeout": 13, "SIGTERM": 143, "SIGINT": 130, "itself": 0}[ends]
    document = json.loads(out.read_bytes())
    assert document["ok"] == (ends == "itself")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_report_or_a_stderr_that_has_no_room_takes_no_result_along(
    bundle: Path, cache: Path
) -> None:
    (bundle / "wire.py").write_text("def wire(entrypoint, params, seed):\n    raise ValueError\n")
    command, environ = execute(cache, bundle, "--json", "--report", "/dev/full")
    done = subprocess.run(
        command, env=environ, capture_output=True, timeout=RUN_SECONDS, check=False
    )
    assert done.returncode == 13
    assert json.loads(done.stdout)["report"]["code"] == "task-raised"
    assert b"error[disk-full]: --report /dev/full could not be written: No space" in done.stderr
    assert b"wanted" in done.stderr and b"Traceback" not in done.stderr
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            command[:-2],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=full,
            timeout=RUN_SECONDS,
            check=False,
        )
    assert done.returncode == 13
    assert json.loads(done.stdout)["report"]["code"] == "task-raised"


@pytest.mark.parametrize("command", ["exec", "check", "env"])
def test_a_document_that_nobody_can_get_is_refused_before_anything_runs(
    command: str, bundle: Path, tmp_path: Path
) -> None:
    words = shlex.join([command, "list" if command == "env" else str(bundle), "--json"])
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m runner {words} >&-"],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(tmp_path / "none")},
        capture_output=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    said = b"modelops-runner: error: --json: standard output is closed\n"
    assert (done.returncode, done.stderr) == (2, said)
    assert not (tmp_path / "none").exists()


@contextmanager
def small_disk(folder: Path, option: str) -> Iterator[Path]:
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", option, "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("shown", [[], ["--json"]])
def test_a_disk_without_inodes_under_the_outputs_is_named(
    shown: list[str], bundle: Path, cache: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "full", "nr_inodes=1") as full:
        command, environ = execute(cache, bundle, "--seeds", "0:2", "--output", full, *shown)
        done = subprocess.run(
            command, env=environ, capture_output=True, timeout=RUN_SECONDS, check=False
        )
        assert (done.returncode, b"disk-full" in done.stdout + done.stderr) == (12, True)
        if shown:
            assert str(full / "results.jsonl") in json.loads(done.stdout)["report"]["summary"]


@pytest.mark.parametrize("many", [False, True])
def test_a_full_disk_under_the_outputs_is_named(
    many: bool, bundle: Path, cache: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "full", "size=64k") as full:
        task = '{"params": {"size": 1000000}}\n'
        (tmp_path / "tasks.jsonl").write_text(task)
        what = ["--tasks", tmp_path / "tasks.jsonl"] if many else ["--param", "size=1000000"]
        command, environ = execute(cache, bundle, *what, "--json", "--output", full)
        done = subprocess.run(
            command, env=environ, capture_output=True, timeout=RUN_SECONDS, check=False
        )
        report = json.loads(done.stdout)["report"]
        assert (done.returncode, report["code"]) == (13, "disk-full"), report["summary"]
        assert str(full) in report["summary"] and "wanted" in report["summary"]
        left = {path.name for path in full.rglob("*") if path.is_file() and path.stat().st_size}
        assert left == (set(STORY) if many else set())
