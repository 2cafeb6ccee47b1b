"""The locks of what is built once: who waits, for how long, and where there are none."""

import errno
import fcntl
import itertools
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest

from runner.diagnosis.case import Case
from runner.environment.inventory import remove_locks
from runner.environment.store import MANIFEST, locked, waiting_for
from runner.events import Event, Note

pytestmark = pytest.mark.anyio


def is_free(file: Path) -> bool:
    with file.open("r+") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def test_who_waits_looks_once_it_is_published_and_not_once_its_turn_has_come(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "environment"
    events: list[Event] = []
    waits, looked = anyio.Event(), 0

    def say(event: Event) -> None:
        events.append(event)
        waits.set()

    async def built() -> bool:
        nonlocal looked
        looked += 1
        return True

    async def wait() -> None:
        async with locked(folder, Case(say), unless=built) as to_build:
            assert not to_build

    with anyio.fail_after(20):
        async with locked(folder, Case()) as to_build, anyio.create_task_group() as waiting:
            assert to_build
            waiting.start_soon(wait)
            await waits.wait()
            assert looked == 0
            folder.mkdir()
            (folder / MANIFEST).touch()
            # The lock is held until it is through.
    assert looked == 1
    assert [event.text for event in events if isinstance(event, Note)] == [
        f"waiting for another process that is building {folder}"
    ]


async def test_what_is_built_already_once_the_lock_is_had_is_not_to_be_built(
    tmp_path: Path,
) -> None:
    async def built() -> bool:
        return True

    async with locked(tmp_path / "environment", Case(), unless=built) as to_build:
        assert not to_build
        assert not is_free(tmp_path / "environment.lock")
    assert is_free(tmp_path / "environment.lock")


async def test_a_lock_that_was_given_back_is_not_kept_by_a_fork(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[int] = []
    flock = fcntl.flock

    def fork_after(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        copies.append(os.dup(descriptor))  # what a fork has

    monkeypatch.setattr("runner.environment.store.fcntl.flock", fork_after)
    async with locked(tmp_path / "environment", Case()):
        monkeypatch.undo()
        assert len(copies) == 1
        assert not is_free(tmp_path / "environment.lock")
    assert is_free(tmp_path / "environment.lock")
    os.close(copies[0])


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
async def test_where_a_file_system_has_no_locks_it_is_built_and_the_log_says_so(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("runner.environment.store.fcntl.flock", no_locks)
    async with locked(tmp_path / "environment", Case()) as to_build:
        assert to_build
    (record,) = caplog.records
    assert "others may write" in record.getMessage()
    with waiting_for(tmp_path / "content.lock"):
        pass


def test_a_lock_whose_file_is_removed_meanwhile_is_still_held_by_one_alone(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []
    met, over = threading.Event(), threading.Event()

    def work(number: int) -> None:
        # On a busy machine it may take more turns than 40 until prune() comes between.
        for turn in itertools.count():
            if over.is_set() or (turn >= 40 and met.is_set()):
                return
            with waiting_for(tmp_path / "environments" / "key.lock"):
                inside.append(number)
                most.append(len(inside))
                inside.pop()

    def prune() -> None:
        while not over.is_set():
            if (tmp_path / "environments" / "key.lock").exists():
                met.set()
            remove_locks(tmp_path)

    (tmp_path / "environments").mkdir()
    with ThreadPoolExecutor() as threads:
        pruned = threads.submit(prune)
        done = [threads.submit(work, number) for number in range(3)]
        try:
            for one in done:
                one.result(timeout=60)
        finally:
            over.set()
    pruned.result()
    assert met.is_set()
    assert max(most) == 1
    assert len(most) >= 120


REFUSED = """
import errno, os, pathlib, sys
from runner.environment.store import remove_tree

def refuse(*args, **options):
    raise OSError(errno.EBUSY, "in use")

first, second = (pathlib.Path(path) for path in sys.argv[1:])
removes, os.rmdir = os.rmdir, refuse
remove_tree(first)
assert first.exists()
if second.exists():
    os.rmdir = removes
    remove_tree(second)
    assert not first.exists() and not second.exists()
os.rmdir = removes
"""


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_folder_whose_removal_is_refused_goes_with_the_next_one_and_as_the_process_ends(
    goes_on: bool, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "bin").mkdir(parents=True)
    (first / "bin" / "python").touch()
    if goes_on:
        second.mkdir()
    subprocess.run([sys.executable, "-c", REFUSED, first, second], timeout=60, check=True)
    assert not list(tmp_path.iterdir())
