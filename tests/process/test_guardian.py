"""Workers that are killed, for real: nothing that they have started outlives them."""

import itertools
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from children import command_line, still_running
from conftest import write_bundle
from studies import wait_until

from runner import Isolation, Runner, RunnerError
from runner.events import Event, Output
from runner.process import kill_marked as kill_marked_module
from runner.process.guardian import MARKER, Guardian, remove_folder
from runner.process.kill_marked import kill_marked

limit_marks = bool(Guardian().numbers)
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# A subprocess with our environment and one with none, a process of multiprocessing, a daemon that
# has left session and parents, and one that has left the environment too.
WIRE = """
import multiprocessing, os, subprocess, sys, time
def wire(entrypoint, params, seed):
    subprocess.Popen(["sleep", "1000"])
    subprocess.Popen(["/bin/sh", "-c", "sleep 1001; :"], env={})
    if os.fork() == 0:
        os.setsid()
        bare = subprocess.Popen(["/bin/sh", "-c", "echo bare $$; sleep 1002; :"], env={})
        os._exit(0)
    os.wait()
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1000,)).start()
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, b"there")
            time.sleep(1000)
        os._exit(0)
    os.read(reading, 5)
    print("all there", flush=True)
    time.sleep(1000)
"""
LIBRARY = """
import sys
from runner import Runner
from runner.events import Output
def show(event):
    if isinstance(event, Output):
        sys.stderr.buffer.write(event.data)
        sys.stderr.flush()
with Runner(isolation=sys.argv[1], on_event=show) as runner:
    runner.execute(sys.argv[2])
"""


class Worker:
    """A worker in a process of its own, and whatever it has started."""

    bare: int
    """The daemon that has nothing of what it was started with, not even the environment."""

    def __init__(self, *argv: str) -> None:
        self._mark = uuid.uuid4().hex
        self.popen = subprocess.Popen(
            [sys.executable, *argv],
            env={**os.environ, "MODELOPS_TEST": self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def wait_for(self, word: bytes) -> bytes:
        """The line that has the word."""
        assert self.popen.stdout is not None
        said = b""
        for line in self.popen.stdout:
            said += line
            if word in line:
                return line
        pytest.fail(said.decode())

    def started(self) -> list[psutil.Process]:
        found = psutil.Process(self.popen.pid).children(recursive=True)
        for process in psutil.process_iter():
            try:
                marked = process.environ().get("MODELOPS_TEST") == self._mark
            except psutil.Error:
                continue
            if marked and process.pid != self.popen.pid and process not in found:
                found.append(process)
        return found

    def guardian(self) -> psutil.Process:
        (found,) = (
            process
            for process in psutil.Process(self.popen.pid).children()
            if "modelops-runner-guardian" in command_line(process)
        )
        return found

    def kill(self) -> None:
        self.popen.kill()
        # Until its end of the pipe: nobody else holds it.
        self.popen.communicate(timeout=20)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.fixture(params=["warm", "fork", "fresh", "exec"])
def worker(
    request: pytest.FixtureRequest, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Worker]:
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    if request.param == "exec":
        worker = Worker("-m", "runner", "exec", str(bundle), f"--python={sys.executable}")
    else:
        worker = Worker("-c", LIBRARY, request.param, str(bundle))
    worker.bare = int(worker.wait_for(b"bare ").split()[-1])
    worker.wait_for(b"all there")
    yield worker
    worker.kill()


@pytest.mark.parametrize("by_engine", [False, True])
def test_all_that_a_worker_has_started_ends_when_it_is_killed(
    worker: Worker, tmp_path: Path, by_engine: bool
) -> None:
    started = worker.started()
    assert list((tmp_path / "tmp").glob("modelops-runner-*"))
    # The guardian, the child, the subprocess, multiprocessing's process, the daemon.
    assert len(started) >= 5, started
    if limit_marks:
        started.append(psutil.Process(worker.bare))
    if by_engine:
        worker.guardian().kill()  # as Ray does with all children of a process that it ends
    worker.kill()
    assert not still_running(started)
    assert not list((tmp_path / "tmp").glob("modelops-runner-*"))


LEAVES = """
import os, subprocess
def wire(entrypoint, params, seed):
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        bare = subprocess.Popen(["/bin/sh", "-c", "sleep 1000; :"], env={}, stdout=2)
        os.write(writing, str(bare.pid).encode())
        os._exit(0)
    os.wait()
    pid = os.read(reading, 20)
    if params.get("crash"):
        os.write(2, b"bare " + pid + b"\\n")
        os.abort()
    return {"pid": pid}
"""


@pytest.mark.skipif(not limit_marks, reason="this system has no limit to mark a process by")
@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_what_a_task_leaves_without_its_environment_ends_with_its_child(
    bundle: Path, cache: Path, isolation: Isolation, crash: bool
) -> None:
    (bundle / "wire.py").write_text(LEAVES)
    said = bytearray()

    def listen(event: Event) -> None:
        if isinstance(event, Output):
            said.extend(event.data)

    with Runner(cache=cache, isolation=isolation, on_event=listen) as runner:
        if crash:
            with pytest.raises(RunnerError):
                runner.execute(bundle, params={"crash": True})
            (pid,) = re.findall(rb"bare (\d+)", bytes(said))
        else:
            pid = runner.execute(bundle)["pid"]
    assert not still_running([int(pid)])


def test_a_worker_in_a_task_has_numbers_below_those_of_the_tasks_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outer = Guardian().numbers
    monkeypatch.setattr(resource, "getrlimit", lambda _: (outer.start, outer.start))
    inner = Guardian().numbers
    assert inner and inner.stop <= outer.start


@linux
def test_a_guardian_holds_nothing_of_the_worker_but_its_pipe(worker: Worker) -> None:
    pid = worker.guardian().pid
    about = Path(f"/proc/{pid}")
    files = {file.name: str(file.readlink()) for file in (about / "fd").iterdir()}
    assert files.pop("0").startswith("pipe:")
    assert set(files.values()) == {"/dev/null"}
    assert str((about / "cwd").readlink()) == "/"
    assert os.getsid(pid) == pid


def test_what_asks_a_job_to_end_does_not_end_the_guardian(worker: Worker) -> None:
    started, guardian = worker.started(), worker.guardian()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        guardian.send_signal(number)
    worker.kill()
    assert not still_running(started)


def test_a_fork_of_the_worker_is_another_worker() -> None:
    code = """if True:
        import os, sys, time
        from runner.process.guardian import guardian
        first = guardian()
        first.guard()
        if os.fork() == 0:
            assert guardian().worker != first.worker
            print("forked", flush=True)
            time.sleep(1000)
        time.sleep(1000)
    """
    worker = Worker("-c", textwrap.dedent(code))
    worker.wait_for(b"forked")
    guardian = worker.guardian()
    fork = next(process for process in worker.started() if process != guardian)
    worker.popen.kill()
    try:
        # The fork holds the pipe no longer, so its end is seen; and it is not the worker's own.
        assert not still_running([guardian])
        assert fork.is_running()
    finally:
        fork.kill()
        worker.kill()


def guardian_of(guardian: Guardian) -> psutil.Process | None:
    """By what it would kill."""
    marker = f"{MARKER}={guardian.worker}."
    for process in psutil.Process().children():
        deadline = time.monotonic() + 10
        # In the midst of its execve(2) a process has no command line.
        while not (words := command_line(process)) and time.monotonic() < deadline:
            if process.status() == psutil.STATUS_ZOMBIE:
                break
        if marker in words:
            return process
    return None


def test_a_guardian_leaves_with_the_last_process_it_guards() -> None:
    guardian = Guardian()
    guardian.guard()
    first = guardian_of(guardian)
    guardian.guard()
    guardian.release()
    assert first is not None and guardian_of(guardian) == first
    guardian.release()
    assert guardian_of(guardian) is None


def test_a_guardian_stays_for_left_files_that_outlive_their_runner(tmp_path: Path) -> None:
    guardian = Guardian()
    guardian.guard()
    guardian.keep(str(tmp_path / "left"))
    guardian.release()
    assert guardian_of(guardian) is not None
    with guardian._lock:  # as where garbage is collected by whoever has it
        guardian.remove(str(tmp_path / "other"))
    guardian.remove(str(tmp_path / "left"))
    assert guardian_of(guardian) is None


def test_nobody_who_starts_a_process_waits_for_a_guardian_that_leaves() -> None:
    guardian = Guardian()
    guardian.guard()
    stopped = guardian_of(guardian)
    assert stopped is not None
    stopped.suspend()
    leaving = threading.Thread(target=guardian.release)
    leaving.start()
    try:
        deadline = time.monotonic() + 20
        while guardian._popen is not None:  # until it is told to leave
            assert time.monotonic() < deadline
            time.sleep(0.001)
        guardian.guard()
        assert leaving.is_alive()
    finally:
        stopped.resume()
        leaving.join(20)
    following = guardian_of(guardian)
    assert following is not None and following != stopped
    guardian.release()
    assert guardian_of(guardian) is None


def test_a_guardian_that_was_killed_is_replaced() -> None:
    guardian = Guardian()
    guardian.guard()
    first = guardian_of(guardian)
    assert first is not None
    first.kill()
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    guardian.guard()
    assert guardian_of(guardian) not in (None, first)
    guardian.release()
    guardian.release()
    assert guardian_of(guardian) is None


def test_one_that_takes_its_time_to_end_is_no_one_that_forks_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a busy machine it is in the list for long after it was killed."""
    with subprocess.Popen(["sleep", "1000"]) as victim:
        marked = (victim.pid, b"MODELOPS_MARK=mine.1")
        listings = iter([[marked]] * (3 * kill_marked_module.ROUNDS))
        monkeypatch.setattr(kill_marked_module, "_environments", lambda: next(listings, []))
        assert kill_marked("MODELOPS_MARK=mine.1")
        assert list(listings) == []  # waited for
        assert victim.wait(timeout=10) == -signal.SIGKILL


def test_those_that_fork_for_ever_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def forked() -> list[tuple[int, bytes]]:
        return [(next(pids), b"MODELOPS_MARK=mine.1")]

    # No process has such a number (PID_MAX_LIMIT in include/linux/threads.h).
    pids = itertools.count(2**22 + 1)
    monkeypatch.setattr(kill_marked_module, "_environments", forked)
    assert not kill_marked("MODELOPS_MARK=mine.1")


@pytest.mark.parametrize("platform", [sys.platform, "one without /proc"])
def test_only_what_has_the_marker_is_killed(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kill_marked_module, "sys", SimpleNamespace(platform=platform))

    def sleep(value: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(["sleep", "1000"], env={**os.environ, "MODELOPS_MARK": value})

    with sleep("mine.1") as mine, sleep("mine.2") as other, sleep("not.mine.1") as stranger:
        assert kill_marked("MODELOPS_MARK=mine.1")
        assert mine.wait(timeout=10) == -signal.SIGKILL
        assert other.poll() is None
        assert kill_marked("MODELOPS_MARK=mine.")
        assert other.wait(timeout=10) == -signal.SIGKILL
        assert stranger.poll() is None
        stranger.kill()


def test_a_process_that_is_just_starting_another_program_does_not_get_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter([None] * 10)
    killed: list[int] = []

    def environments() -> Iterator[tuple[int, bytes | None]]:
        yield 7, b"" if killed else next(looks, b"A=1\0MARKER=x\0")

    monkeypatch.setattr(kill_marked_module, "_environments", environments)
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(pid))
    assert kill_marked("MARKER=x")
    assert killed == [7]


SLOW = """
import os, sys
from runner.process.guardian import remove_folder
assert remove_folder(sys.argv[1], seconds=0)
os._exit(0)
"""


def test_the_removal_of_a_folder_that_takes_long_outlives_who_began_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number in range(20):
        (folder / str(number) / "deep").mkdir(parents=True)
        (folder / str(number) / "file").touch()
    command = [sys.executable, "-c", SLOW, str(folder)]
    subprocess.run(command, timeout=30, check=True, start_new_session=True)
    wait_until(lambda: not folder.exists())


def test_a_folder_is_removed_though_no_process_can_be_had_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError

    monkeypatch.setattr("subprocess.Popen", refuse)
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    assert remove_folder(str(tmp_path / "folder"), seconds=0)
    assert not (tmp_path / "folder").exists()


def test_no_link_is_followed_where_a_folder_is_removed(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "file"
    kept.parent.mkdir()
    kept.touch()
    (tmp_path / "folder").mkdir()
    for link in (tmp_path / "folder" / "link", tmp_path / "link"):
        link.symlink_to(kept.parent)
    for name in ("folder", "link", "gone"):
        assert remove_folder(str(tmp_path / name))
    assert os.listdir(tmp_path) == ["kept"] and kept.exists()  # noqa: PTH208
