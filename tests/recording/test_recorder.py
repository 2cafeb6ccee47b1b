"""Recordings: what they keep, what they do not, and what becomes of them."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from conftest import write_bundle
from forked_command import run_command
from recordings import entries, failure, replayed, same, text

from runner import AsyncRunner, Runner, RunnerError
from runner.diagnosis.case import Finding
from runner.diagnosis.report.codes import Code
from runner.events import Event, Fact, Note, Origin
from runner.recording.format import FILE, Outcome, Run, read_recording
from runner.recording.recorder import Recorder, record_in_free

RUN_SECONDS = 100
TASK = "def wire(entrypoint, params, seed):\n    "
FAIL = TASK + "raise ValueError(entrypoint)\n"

MakeBundle = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path: Path) -> MakeBundle:
    def make(wire: str, name: str = "bundle") -> Path:
        return write_bundle(tmp_path / name, wire)

    return make


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept"


@pytest.fixture
def runner(cache: Path, kept: Path) -> Iterator[Runner]:
    with Runner(cache=cache, record=kept) as runner:
        yield runner


def command(
    *args: str | Path, cache: Path, env: dict[str, str] | None = None, before: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run the command.

    :param before: code to run in its process first.
    """
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(cache), **(env or {})}
    if not before:
        words = [sys.executable, "-m", "runner", *map(str, args)]
        return run_command(words, env=environ, timeout=RUN_SECONDS)
    code = f"import sys\n{before}\nfrom runner.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=environ,
        capture_output=True,
        encoding="utf-8",
        timeout=RUN_SECONDS,
        check=False,
    )


def found(summary: str = "s") -> Outcome:
    return Outcome(Finding(code=Code.LOAD_RAISED, summary=summary))


def recorder(folder: Path, secret: str | None = None) -> Recorder:
    environ = {} if secret is None else {"DEPLOY_TOKEN": secret}
    made = Recorder(folder, ["modelops-runner"], environ=environ)
    made(Fact(Origin.RUN, Run(None, None), 0.0))
    return made


# Where it goes.


def test_a_runs_first_line_says_what_it_is_and_what_was_asked_for(
    runner: Runner, bundle: MakeBundle, kept: Path
) -> None:
    live = failure(runner, bundle(FAIL))
    header = json.loads(text(kept).splitlines()[0])
    assert (header["format"], header["version"]) == ("modelops-runner/recording", 1)
    assert header["bundle"]["digest"] == live.bundle.digest if live.bundle else None
    assert header["worker"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert header["command"] == ["modelops-runner", "exec", str(kept.parent / "bundle"), "--seed=0"]
    at = [entry.at for entry in read_recording(kept).entries]
    assert at[2:] == sorted(at[2:])  # the first two are from before the first line


def test_runs_that_fail_are_numbered_and_those_that_go_well_leave_nothing(
    cache: Path, bundle: MakeBundle, kept: Path
) -> None:
    fails, works = bundle(FAIL), bundle(TASK + "return {'a': b'1'}\n", "works")
    events: list[Event] = []
    with Runner(cache=cache, record=kept, on_event=events.append) as runner:
        for which in (works, fails, works, fails, fails, works):
            try:
                runner.execute(which)
            except RunnerError:
                continue
    made = sorted(str(file.relative_to(kept)) for file in kept.rglob("*"))
    assert made == ["2", f"2/{FILE}", "3", f"3/{FILE}", FILE]
    notes = [event.text for event in events if isinstance(event, Note)]
    assert notes == [f"recorded in {folder / FILE}" for folder in (kept, kept / "2", kept / "3")]


def test_a_folder_with_something_else_in_it_stays(
    runner: Runner, bundle: MakeBundle, kept: Path
) -> None:
    (kept / "notes.txt").write_text("mine")
    runner.execute(bundle(TASK + "return {'a': b'1'}\n"))
    assert [file.name for file in kept.iterdir()] == ["notes.txt"]


def test_only_its_owner_reads_it_whatever_the_umask_and_what_was_there(
    bundle: MakeBundle, cache: Path, kept: Path, tmp_path: Path
) -> None:
    kept.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    (kept / FILE).symlink_to(elsewhere)
    folder = bundle(FAIL)
    for _ in range(2):
        done = command(
            "exec", folder, "--record", kept, cache=cache, before="import os; os.umask(0)"
        )
        assert done.returncode == 13, done.stderr
        assert stat.S_IMODE((kept / FILE).lstat().st_mode) == 0o600
        (kept / FILE).chmod(0o644)
    assert elsewhere.read_text() == "not ours"
    assert stat.S_ISREG((kept / FILE).lstat().st_mode)


def test_threads_that_share_a_runner_record_each_for_themselves(
    runner: Runner, bundle: MakeBundle, kept: Path
) -> None:
    folder = bundle(FAIL)

    def fail(number: int) -> str:
        with pytest.raises(RunnerError) as caught:
            runner.execute(folder, f"task {number}")
        return caught.value.report.summary

    with ThreadPoolExecutor(4) as threads:
        summaries = set(threads.map(fail, range(6)))
    folders = [file.parent for file in kept.rglob(FILE)]
    assert sorted(folder.name for folder in folders) == ["2", "3", "4", "5", "6", "kept"]
    assert {report.summary for folder in folders if (report := replayed(folder))} == summaries
    assert len(summaries) == 6


def test_processes_that_share_a_folder_record_each_for_itself(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    """Those that go well remove their folders meanwhile."""
    folder = bundle(TASK + "if seed % 2: raise ValueError(str(seed))\n    return {'a': b'1'}\n")
    code = (
        "import sys\nfrom runner import Runner, RunnerError\n"
        "with Runner(cache=sys.argv[1], record=sys.argv[2]) as runner:\n"
        "    for seed in range(int(sys.argv[4]), int(sys.argv[4]) + 8):\n"
        "        try: runner.execute(sys.argv[3], seed=seed)\n"
        "        except RunnerError: pass\n"
    )
    with Runner(cache=cache) as runner:
        runner.check(folder, build=True)
    arguments = [sys.executable, "-c", code, str(cache), str(kept), str(folder)]
    processes = [
        subprocess.Popen([*arguments, str(first)], stderr=subprocess.PIPE) for first in (0, 100)
    ]
    for process in processes:
        assert process.communicate(timeout=RUN_SECONDS) == (None, b"")
    reports = [replayed(file.parent) for file in kept.rglob(FILE)]
    numbers = sorted(
        int(report.exception.message) for report in reports if report and report.exception
    )
    assert numbers == [1, 3, 5, 7, 101, 103, 105, 107]


def test_a_folder_that_is_removed_while_a_recording_is_made_is_made_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open
    refusals = [FileNotFoundError(errno.ENOENT, "No such file or directory")]

    def open_(path: Path, flags: int, mode: int) -> int:
        if refusals:
            kept.rmdir()
            raise refusals.pop()
        return opened(path, flags, mode)

    monkeypatch.setattr("runner.recording.recorder.os.open", open_)
    made = record_in_free(kept, ["modelops-runner"])
    assert made.path == kept / FILE
    made.close()


@pytest.mark.parametrize("where", ["bundle", "bundle/kept"])
def test_nothing_is_recorded_in_a_bundle(
    where: str, bundle: MakeBundle, cache: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundle(FAIL)
    done = command("exec", folder, "--record", tmp_path / where, cache=cache)
    assert done.returncode == 2
    assert "lies in the bundle, which is never written to" in done.stderr
    assert {file.name for file in folder.rglob("*")} == {"requirements.txt", "wire.py"}
    with Runner(cache=cache, record=tmp_path / where) as runner:
        failure(runner, folder)
    assert "it lies in the bundle" in caplog.text
    assert not list(folder.rglob(FILE))


def test_a_folder_that_cannot_be_made_is_said_before_the_run(
    bundle: MakeBundle, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "in"):
        done = command("exec", bundle(FAIL, folder.name + "b"), "--record", folder, cache=cache)
        assert done.returncode == 2
        assert done.stderr == f"modelops-runner: error: --record {folder}: Not a directory\n"
        with pytest.raises(OSError):
            Runner(record=folder)


def test_a_seed_that_is_refused_claims_no_recording(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    done = command("exec", bundle(FAIL), "--seed", "x", "--record", kept, cache=cache)
    assert done.returncode == 2
    assert "recorded" not in done.stderr


# What is in it.


@pytest.mark.parametrize("size", [1, 7, 4096, 65536])
def test_a_secret_is_masked_wherever_a_piece_of_output_ends(size: int, tmp_path: Path) -> None:
    secret = "correct-horse"
    made = recorder(tmp_path, secret)
    said = (b"." * 65530 + secret.encode() + b"\n") * 3
    # A cut between dots that are far from a secret takes time and shows nothing.
    cuts = [at for at in range(0, len(said), size) if said[max(at - 50, 0) : at + 50].strip(b".")]
    for begin, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
        if begin < end:
            made(Fact(Origin.CHILD_STDERR, said[begin:end], 0.0))
    made(Fact(Origin.OUTCOME, found(), 0.0))
    made.close()
    recording = read_recording(tmp_path)
    content = b"".join(e.content for e in recording.entries if e.source is Origin.CHILD_STDERR)
    (stand_in,) = recording.header.masked
    assert len(stand_in) == len(secret)
    assert content == said.replace(secret.encode(), stand_in.encode())


def test_what_began_like_a_secret_and_is_none_is_kept(tmp_path: Path) -> None:
    made = recorder(tmp_path, "correct-horse")
    for piece in (b"cor", b"ner c", b"orre", b"", b"c"):
        made(Fact(Origin.CHILD_WIRE, piece, 0.0))
    made(Fact(Origin.CHILD_STDERR, b"see https://a", 0.0))
    made(Fact(Origin.CHILD_STDERR, b"bc\nhttps://user:pas", 0.0))
    made(Fact(Origin.CHILD_STDERR, b"s@host/ correc", 0.0))
    made(Fact(Origin.OUTCOME, found(), 0.0))
    made.close()
    wire = [entry.content for entry in entries(tmp_path, "child.wire")]
    assert b"".join(wire[: wire.index(b"")]) == b"corner corre"
    assert b"".join(wire) == b"corner correc"
    stderr = b"".join(entry.content for entry in entries(tmp_path, "child.stderr"))
    # What is left of a secret that was cut off is masked too.
    assert stderr == b"see https://abc\nhttps://*********@host/ ******"


SECRETS = {
    "PLAIN_TOKEN": "correct-horse",
    "JSON_SECRET": 'pa"ss\\word',
    "UMLAUT_PASSWORD": "pässwörter",
    "DIGITS_API_KEY": "0427731985",
    "OURS_PASSWORD": "modelops",
    "MEMBER_PASSWORD": "traceback",
    "HEAD_PASSWORD": "Content-Length",
    "A_PHASE_PASSWORD": "execute",
    "A_SOURCE_PASSWORD": "child.stderr",
}
TELL = TASK + (
    "import os, sys\n    told = open('told.txt').read()\n"
    "    print(told, flush=True); print(told, file=sys.stderr, flush=True)\n"
    "    print('*' * 79, file=sys.stderr, flush=True)\n"
    "    raise ValueError(told)\n"
)


def test_the_values_of_secret_variables_are_in_no_recording_and_no_report(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    folder = bundle(TELL)
    told = "\n".join(SECRETS.values())
    (folder / "told.txt").write_text(told)
    done = command("exec", folder, "--record", kept, "--json", cache=cache, env=SECRETS)
    assert done.returncode == 13, done.stderr
    live = json.loads(done.stdout)["report"]
    report = replayed(kept)
    assert report is not None
    for secret in list(SECRETS.values())[:4]:
        escaped = json.dumps(secret)[1:-1]
        for form in (secret, escaped, json.dumps(escaped)[1:-1]):
            assert form not in text(kept), form
            assert form not in done.stdout
    # A row of asterisks stays one.
    assert "*" * 79 + "\n" in live["evidence"]["stderr"]["text"]
    again = json.loads(same(report))
    again.update(id=live["id"], created_at=live["created_at"])
    assert again == live


def test_credentials_that_look_like_ones_are_masked(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    key = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"
    folder = bundle(TELL)
    (folder / "told.txt").write_text(
        "Looking in indexes: https://user:tok3n-abc@host/simple\n"
        "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30\n"
        f"-----BEGIN RSA PRIVATE KEY-----\n{key}\n{key}\n-----END RSA PRIVATE KEY-----\n"
    )
    (folder / "wire.py").write_text(
        TELL.replace("import os", "print('DB_PASSWORD=' + 'tr0ub4dor'); import os")
    )
    done = command("exec", folder, "--record", kept, "--json", cache=cache)
    live = json.loads(done.stdout)["report"]
    for secret in ("tok3n-abc", "eyJhbGciOiJIUzI1NiJ9", key, "tr0ub4dor"):
        assert secret not in done.stdout
        assert secret not in text(kept)
    report = replayed(kept)
    again = json.loads(same(report))
    again.update(id=live["id"], created_at=live["created_at"])
    assert again == live


def test_a_parameter_that_is_called_a_password_is_not_in_the_first_line(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    done = command(
        "exec", bundle(FAIL), "--param", "password=tr0ub4dor", "--record", kept, cache=cache
    )
    assert done.returncode == 13, done.stderr
    assert "tr0ub4dor" not in text(kept)


def test_a_flood_is_bounded_and_what_is_left_out_is_counted(
    runner: Runner, bundle: MakeBundle, kept: Path
) -> None:
    flood = TASK + (
        "import os\n    for _ in range(100): os.write(2, b'x' * (1 << 20))\n    os._exit(3)\n"
    )
    live = failure(runner, bundle(flood))
    assert (kept / FILE).stat().st_size < 2 << 20
    stderr = entries(kept, "child.stderr")
    counted = sum(len(entry.content) + entry.skipped for entry in stderr)
    assert live.evidence.stderr is not None
    assert counted == live.evidence.stderr.total_bytes == 100 << 20
    assert len([entry for entry in stderr if entry.skipped]) == 1


# How a run ends.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_a_signal_ended_is_recorded_by_the_command(
    number: signal.Signals, bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    folder = bundle(TASK + "print('at work', flush=True); import time; time.sleep(1000)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "exec", str(folder), "--record", str(kept), "--json"],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "at work" in line:
            break
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 128 + number
    live = json.loads(stdout)["report"]
    assert live["code"] == "cancelled"
    again = json.loads(same(replayed(kept)))
    again.update(id=live["id"], created_at=live["created_at"])
    assert again == live


@pytest.mark.anyio
async def test_a_call_that_its_caller_cancels_leaves_no_recording(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    at_work = anyio.Event()

    def watch(event: Event) -> None:
        if b"at work" in getattr(event, "data", b""):
            at_work.set()

    folder = bundle(TASK + "print('at work', flush=True); import time; time.sleep(1000)\n")
    async with (
        AsyncRunner(cache=cache, record=kept, on_event=watch) as runner,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(runner.execute, folder)
        with anyio.fail_after(RUN_SECONDS):
            await at_work.wait()
        assert (kept / FILE).exists()
        tasks.cancel_scope.cancel()
    assert not kept.exists()


def test_a_worker_that_is_killed_leaves_what_it_has_seen(
    bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    folder = bundle(TASK + "print('at work', flush=True); import time; time.sleep(1000)\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "exec", str(folder), "--record", str(kept)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "at work" in line:
            break
    process.kill()
    process.communicate(timeout=RUN_SECONDS)
    assert {"bundle", "interpreters", "environment", "child.start", "child.wire", "phase"} <= {
        entry.source.value for entry in read_recording(kept).entries
    }


LIMITED = (
    "import resource, signal, sys\n"
    # An older Python takes bytecode that the limit has cut off for whole, ever after.
    "sys.dont_write_bytecode = True\n"
    "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))"
)


@pytest.mark.parametrize("size", [100, 4000])
def test_a_disk_that_refuses_fails_no_run_and_is_said(
    size: int, bundle: MakeBundle, cache: Path, kept: Path
) -> None:
    """A limit on the size of files stands in for a full disk: the child has a higher one."""
    folder = bundle(TASK + "print('x' * 10000); return {'a': b'1'} if seed else {}['no']\n")
    with Runner(cache=cache) as runner:
        runner.check(folder, build=True)
    for seed, status in (("1", 0), ("0", 13)):
        done = command(
            "exec", folder, "--seed", seed, "--record", kept, cache=cache,
            before=LIMITED.format(size=size),
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        assert done.stderr.count(f"{kept / FILE} is not complete: File too large\n") == 1
        assert "Traceback" not in done.stderr and "recorded:" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="mount(8) is Linux's")
def test_a_full_disk_fails_no_run_and_is_said(
    bundle: MakeBundle, cache: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        folder = bundle(TASK + "import os; os.write(2, b'x' * 200000); raise ValueError('beta')\n")
        done = command("exec", folder, "--record", disk / "kept", cache=cache)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert done.returncode == 13, done.stderr
    assert "error[task-raised]: " in done.stderr
    assert f"{FILE} is not complete: No space left on device" in done.stderr
    assert "recorded:" not in done.stderr


def test_a_fault_of_the_runners_own_is_recorded_before_it_knows_of_anything(
    bundle: MakeBundle, runner: Runner, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("no such platform")

    monkeypatch.setattr("runner.execution.prepare.worker_info", fail)
    live = failure(runner, bundle(FAIL))
    assert live.code == "internal-error"
    assert same(replayed(kept)) == same(live)
