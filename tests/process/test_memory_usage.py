"""The memory that real processes hold."""

import os
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import psutil
import pytest

from runner.process import memory_usage as memory
from runner.process.memory_usage import children, family, held, resident

MIB = 1 << 20
PYTHON = """
import os, sys, threading, time
held = bytearray(b"x" * (64 << 20))
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        break
print("there", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that holds 64 MiB, and has so many forks."""
    forks = request.param
    popen = subprocess.Popen(
        [sys.executable, "-I", "-c", PYTHON, str(forks)], stdout=subprocess.PIPE
    )
    assert popen.stdout is not None
    for _ in range(forks + 1):
        assert popen.stdout.readline() == b"there\n"
    yield popen.pid
    for fork in psutil.Process(popen.pid).children():
        fork.kill()
    popen.kill()
    popen.communicate(timeout=20)


@pytest.mark.parametrize("process", [0], indirect=True)
def test_what_a_process_holds(process: int) -> None:
    assert 64 * MIB < held([process], 0) < 100 * MIB
    assert 64 * MIB < resident(process) < 120 * MIB


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfds are Linux's")
def test_files_in_memory_count_once_whether_mapped_or_not() -> None:
    code = """if True:
        import mmap, os, sys, tempfile, time
        descriptor = os.memfd_create("x")
        again = os.dup(descriptor)
        os.write(descriptor, b"x" * (64 << 20))
        file = tempfile.TemporaryFile(dir="/dev/shm")
        file.write(b"x" * (16 << 20))
        file.flush()
        print("there", flush=True)
        sys.stdin.readline()
        view = mmap.mmap(descriptor, 64 << 20)
        sum(view[::4096])
        print("there", flush=True)
        time.sleep(1000)
    """
    popen = subprocess.Popen(
        [sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert popen.stdin is not None and popen.stdout is not None
    try:
        assert popen.stdout.readline() == b"there\n"
        assert 80 * MIB < held([popen.pid], 0) < 110 * MIB
        popen.stdin.write(b"\n")
        popen.stdin.flush()
        assert popen.stdout.readline() == b"there\n"
        assert 80 * MIB < held([popen.pid], 0) < 110 * MIB
    finally:
        popen.kill()
        popen.communicate(timeout=20)


@pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells what is shared")
@pytest.mark.parametrize("process", [3], indirect=True)
def test_what_forks_share_is_counted_once_where_it_matters(process: int) -> None:
    members = family(process)
    assert members == [process, *children(process)] and len(members) == 4
    # Cheap, and overstated, as long as it is less than would be too much.
    assert held(members, 1000 * MIB) > 4 * 64 * MIB
    assert 64 * MIB < held(members, 128 * MIB) < 128 * MIB


@pytest.mark.parametrize("process", [2], indirect=True)
def test_it_is_told_where_there_is_no_proc_too(
    process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sorted(family(process))
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert sorted(family(process)) == found
    assert 64 * MIB < held([process], 0) == resident(process)


def test_one_that_has_ended_holds_nothing() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", ":"], {})
    os.waitpid(pid, 0)
    assert (resident(pid), held([pid], 0), children(pid), family(pid)) == (0, 0, [], [pid])
