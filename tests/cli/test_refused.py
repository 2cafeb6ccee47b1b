"""Refusals of the operating system are told as they are, and nothing half-written looks whole."""

import errno
import hashlib
import itertools
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import write_bundle
from refusing import Refusing

from runner import Runner
from runner.cli import main
from runner.events import Event
from runner.process.guardian import guardian

WIRE = """
def wire(entrypoint, params, seed):
    open("left", "w").write("x")
    return {"small": b"1", "large": bytes(range(256)) * 1000}
"""
ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN),
    *(errno.EACCES, errno.EROFS, errno.EFBIG, errno.ENOMEM, errno.EPIPE),
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


COMMANDS = ("exec", "study", "rerun")
ONE_AFTER_ANOTHER = 4
"""So many refusals come in one folder before it is seen that a run in it goes well again."""


@pytest.mark.usefixtures("quick_collections")
@pytest.mark.parametrize("command", COMMANDS)
def test_whatever_is_refused_once_is_told_and_leaves_nothing_that_looks_whole(
    command: str, bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folders = (tmp_path / str(number) for number in itertools.count())
    there = set(_kept_folders())  # a result of another test's, which is still held, has its files
    exec_words = ["exec", str(bundle), "--timeout", "30", "--python", sys.executable]
    study = ["--seeds", "0:2", "--output"]
    errors = itertools.cycle(ERRORS)
    tried: set[tuple[str, str]] = set()

    def run(command: str, folder: Path, refusing: Refusing) -> int:
        out, report = folder / "out", folder / "report.json"
        folder.mkdir(exist_ok=True)
        words = {
            "exec": [*exec_words, "--report", str(report), "--output", str(out)],
            "study": [*exec_words, "--report", str(report), "--again", "failed", *study, str(out)],
            "rerun": ["rerun", str(tmp_path / "study")],
        }[command]
        with refusing:
            status = main([*words, "--json"])
        said = capfd.readouterr()
        # asyncio's own, of an event loop that it could not make
        assert "Traceback" not in said.err or "BaseEventLoop.__del__" in said.err, said.err
        assert "internal-error" not in said.out + said.err, said.err
        assert status in (0, 2, 10, 11, 12, 13) or (command == "rerun" and status in (1, 14)), said
        document = json.loads(said.out) if said.out else {}
        for path, digest in _said_to_be_there(document, out):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
        if report.exists():
            json.loads(report.read_bytes())
        return status

    assert main([*exec_words, *study, str(tmp_path / "study")]) == 0
    capfd.readouterr()
    places: list[tuple[str, str]] = []
    for each in COMMANDS[: COMMANDS.index(command) + 1]:
        run(each, next(folders), Refusing())  # so that all is built, and imported
        run(each, next(folders), counted := Refusing())
        # What a command shares with those before it is refused there.
        tried.update(places)
        places = [one for one in counted.places if one[0] != "write" and one not in tried]
    assert places
    refused = 0
    for first in range(0, len(places), ONE_AFTER_ANOTHER):
        some, folder = places[first : first + ONE_AFTER_ANOTHER], next(folders)
        failed = False
        for place in some:
            failed |= run(command, folder, refusing := Refusing(place, next(errors))) != 0
            refused += refusing.refused
        if failed:
            assert run(command, folder, Refusing()) == 0, some
    assert refused > len(places) / 2  # one that is not may have come after a failure
    assert set(_kept_folders()) <= there


def _kept_folders() -> "Iterator[Path]":
    return Path(tempfile.gettempdir()).glob(f"{guardian().folder_prefix}*")


def _said_to_be_there(document: "dict[str, Any]", out: Path) -> "Iterator[tuple[Path, str]]":
    """The outputs that a run says it has written, with their digests."""
    for output in document.get("outputs", {}).values():
        yield Path(output["path"]), output["sha256"]
    results = out / "results.jsonl"
    for line in results.read_bytes().split(b"\n")[:-1] if results.exists() else []:
        for output in json.loads(line).get("outputs", {}).values():
            yield out / output["path"], output["sha256"]


def limited(limit: str, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    command = shlex.join([sys.executable, "-m", "runner", *map(str, words)])
    return subprocess.run(
        ["sh", "-c", f"{limit}; exec {command}"],
        # An older Python takes bytecode that `ulimit -f` has cut off for whole, ever after.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("ulimit -n 6", "(RLIMIT_NOFILE, ulimit -n) is 6"),
        ("ulimit -n 24", "(RLIMIT_NOFILE, ulimit -n) is 24"),
        ("ulimit -f 8", "RLIMIT_FSIZE, ulimit -f"),
    ],
)
def test_a_limit_is_named_with_its_value(bundle: Path, limit: str, said: str) -> None:
    limited("true", "check", "--build", bundle)  # what uv would meet is for uv to say
    done = limited(limit, "exec", bundle, "--json")
    report = json.loads(done.stdout)["report"]
    assert report["code"] in ("spawn-failed", "disk-full")
    assert said in report["summary"] + report["explanation"], report


def test_init_leaves_no_half_of_a_file(tmp_path: Path) -> None:
    done = limited("ulimit -f 1", "init", tmp_path / "new")
    assert done.returncode == 2
    assert "new: File too large" in done.stderr
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["pyproject.toml"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="has no /dev/full")
@pytest.mark.parametrize("words", [("explain", "disk-full"), ("exec", "no"), ("table", "study")])
def test_a_full_standard_output_is_said_and_costs_no_exit_code(
    words: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "results.jsonl").write_text(
        '{"index":0,"ok":true,"task":"","params":{}}\n'
    )
    command, what = words
    path = tmp_path / what if command != "explain" else what
    json_too = ["--json"] if command != "explain" else []
    done = limited("exec >/dev/full", command, path, *json_too)
    assert done.returncode == (10 if command == "exec" else 13), done.stderr
    assert "error[disk-full]: standard output could not be written" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_a_deleted_working_directory_is_named(bundle: Path, tmp_path: Path) -> None:
    gone = shlex.quote(str(tmp_path / "gone"))
    here = f"export PYTHONPATH={Path(__file__).parents[2]}; mkdir {gone}; cd {gone}; rmdir {gone}"
    for words in (("exec", "."), ("exec", bundle, "--output", "x")):
        done = limited(here, *words)
        assert "the working directory of this process was deleted" in " ".join(done.stderr.split())
        assert "Traceback" not in done.stderr


def test_a_report_is_not_written_into_the_bundle_and_is_for_its_owner_alone(
    bundle: Path, tmp_path: Path
) -> None:
    (bundle / "wire.py").write_text("def wire(e, p, s):\n    raise ValueError\n")
    done = limited("umask 000", "exec", bundle, "--report", bundle / "report.json")
    assert done.returncode == 2 and "lies in the bundle" in done.stderr
    limited("umask 000", "exec", bundle, "--report", tmp_path / "report.json")
    assert (tmp_path / "report.json").stat().st_mode & 0o777 == 0o600


def test_a_umask_takes_nothing_from_the_owner_of_what_is_made(bundle: Path, tmp_path: Path) -> None:
    done = limited("umask 777", "exec", bundle, "--seeds", "0:2", "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for path in [tmp_path / "out", *(tmp_path / "out").rglob("*")]:
        wanted = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == wanted, path


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_the_first_sigterm_ends_a_run_that_reads_a_large_file(bundle: Path) -> None:
    with (bundle / "data.bin").open("wb") as file:
        file.truncate(1 << 40)  # a hole that takes minutes to read
    command = [sys.executable, "-m", "runner", "exec", str(bundle)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as popen:
        deadline = time.monotonic() + 30
        while not _has_open(popen.pid, "data.bin"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        popen.send_signal(signal.SIGTERM)
        try:
            _, said = popen.communicate(timeout=30)
        finally:
            popen.kill()
    assert popen.returncode == 143
    assert b"SIGTERM ended the run" in said


def _has_open(pid: int, name: str) -> bool:
    try:
        return any(
            str(file.readlink()).endswith(name) for file in Path(f"/proc/{pid}/fd").iterdir()
        )
    except OSError:  # one was just closed
        return False


def test_a_handler_of_events_that_exits_does_not_stop_the_runner(bundle: Path, cache: Path) -> None:
    def leave(event: Event) -> None:
        sys.exit(3)

    with Runner(cache=cache, on_event=leave, timeout=30) as runner:
        assert runner.execute(bundle)["small"] == b"1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize(
    "code",
    [
        "os.setuid(65534)",
        "sys.stdout = type('Out', (), {'write': len, 'flush': lambda self: 1 / 0})()",
    ],
)
def test_what_a_task_does_to_its_process_does_not_cost_its_outputs(
    bundle: Path, cache: Path, code: str
) -> None:
    text = (
        f"import os, sys\ndef wire(e, p, s):\n    {code}\n    return {{'large': b'1' * 300_000}}\n"
    )
    (bundle / "wire.py").write_text(text)
    for isolation in ("warm", "fork"):
        with Runner(cache=cache, isolation=isolation, timeout=30) as runner:
            assert len(runner.execute(bundle)["large"]) == 300_000


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_a_limit_that_a_studys_results_meet_is_one_of_their_phase(
    bundle: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))
    monkeypatch.setattr("runner.study.task_results.TaskResults.keep", refuse)
    report = tmp_path / "report.json"
    words = ["exec", str(bundle), "--seeds", "0:3", "--output", str(tmp_path / "out")]
    assert main([*words, "--report", str(report)]) == 13
    said = json.loads(report.read_text())
    assert (said["phase"], said["code"]) == ("execute", "spawn-failed")
    assert os.strerror(number) in said["summary"]
