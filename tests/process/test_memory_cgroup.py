"""Memory limits that the kernel keeps: with the kernel's own groups where there are any, and with
files like them where there are none."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import psutil
import pytest
from conftest import write_bundle

from runner import ExecutionError, Runner
from runner.events import Event, Output
from runner.process import cgroups
from runner.process import memory_cgroup as memory_group

MIB = 1 << 20


@pytest.fixture
def like_cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worker in ``/slice/job``, of which ``/slice`` hands the control of memory on."""
    root = tmp_path / "cgroups"
    (root / "slice" / "job").mkdir(parents=True)
    (root / "slice" / cgroups.CONTROLLERS_OF_CHILDREN).write_text("cpu memory pids\n")
    (root / "slice" / "job" / cgroups.CONTROLLERS_OF_CHILDREN).write_text("\n")
    (tmp_path / "own").write_text("0::/slice/job\n")
    monkeypatch.setattr(cgroups, "CGROUPS", root)
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "own")
    # The kernel's files go with their folder.
    monkeypatch.setattr(Path, "rmdir", shutil.rmtree)
    return root / "slice"


def groups(folder: Path) -> list[Path]:
    return list(folder.glob("modelops-runner-*"))


@pytest.mark.anyio
async def test_a_group_is_made_beside_the_workers_own_and_removed(like_cgroups: Path) -> None:
    async with memory_group.memory_group(64 * MIB, kill_all=True) as group:
        (folder,) = groups(like_cgroups)
        assert (folder / "memory.max").read_text() == str(64 * MIB)
        assert (folder / "memory.oom.group").read_text() == "1"
        assert group is not None and group.add(1234)
        assert (folder / "cgroup.procs").read_text() == "1234"
        assert not group.killed() and group.peak() is None
        (folder / "memory.events").write_text("low 0\nmax 9\noom 1\noom_kill 1\n")
        (folder / "memory.peak").write_text("67108864\n")
        assert group.killed() and not group.killed()
        assert group.peak() == 64 * MIB
    assert groups(like_cgroups) == []


@pytest.mark.anyio
async def test_none_is_made_without_a_limit_or_where_memory_is_not_handed_on(
    like_cgroups: Path,
) -> None:
    async with memory_group.memory_group(None, kill_all=True) as group:
        assert group is None
    (like_cgroups / cgroups.CONTROLLERS_OF_CHILDREN).write_text("cpu\n")
    async with memory_group.memory_group(64 * MIB, kill_all=True) as group:
        assert group is None
    assert groups(like_cgroups) == []


@pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")
@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_kill_of_the_kernels_for_the_limit_is_named_as_what_it_is(
    isolation: str, like_cgroups: Path, tmp_path: Path
) -> None:
    bundle = write_bundle(
        tmp_path / "bundle",
        "import os, time\n"
        "def wire(entrypoint, params, seed):\n"
        "    if entrypoint == 'grow':\n"
        "        print('growing', os.getpid())\n"
        "        time.sleep(1000)\n"
        "    return {'pid': b''}\n",
    )

    def as_the_kernel_does(event: Event) -> None:
        if isinstance(event, Output) and event.data.startswith(b"growing"):
            (folder,) = groups(like_cgroups)
            pid = int(event.data.split()[1])
            child = int((folder / "cgroup.procs").read_text())
            assert child in (pid, *(parent.pid for parent in psutil.Process(pid).parents()))
            (folder / "memory.events").write_text("oom_kill 1\n")
            (folder / "memory.peak").write_text(str(64 * MIB))
            os.kill(pid, signal.SIGKILL)

    with Runner(
        cache=tmp_path / "cache",
        isolation=isolation,
        children=1,
        memory_limit=64 * MIB,
        on_event=as_the_kernel_does,
    ) as runner:
        with pytest.raises(ExecutionError) as caught:
            runner.execute(bundle, "grow")
        assert "pid" in runner.execute(bundle)
    report = caught.value.report
    assert report.code == "out-of-memory"
    assert "it held 64 MiB of memory, and its memory limit is 64 MiB" in report.summary
    assert report.child is not None and report.child.signal == "SIGKILL"
    assert groups(like_cgroups) == []


@pytest.mark.anyio
async def test_the_kernel_keeps_the_limit_of_a_real_group() -> None:
    async with memory_group.memory_group(64 * MIB, kill_all=True) as group:
        if group is None:
            pytest.skip("no control group of cgroup v2 can be made here")
        code = "import sys; sys.stdin.read(1); bytearray(b'x' * (256 << 20))"
        argv = [sys.executable, "-I", "-c", code]
        with subprocess.Popen(argv, stdin=subprocess.PIPE) as popen:  # noqa: ASYNC220
            assert group.add(popen.pid)
            popen.communicate(b"x", timeout=60)
        assert popen.returncode == -signal.SIGKILL
        assert group.killed()


@pytest.mark.anyio
async def test_a_group_that_is_still_in_use_is_waited_for_while_others_go_on(
    like_cgroups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes a moment to let go of a process that was killed."""
    others_went_on = anyio.Event()

    def busy_until_others_went_on(folder: Path) -> None:
        if not others_went_on.is_set():
            raise OSError(errno.EBUSY, "Device or resource busy")
        shutil.rmtree(folder)

    monkeypatch.setattr(Path, "rmdir", busy_until_others_went_on)
    with anyio.fail_after(20):
        async with (
            anyio.create_task_group() as tasks,
            memory_group.memory_group(64 * MIB, kill_all=True),
        ):
            tasks.start_soon(_set, others_went_on)
    assert groups(like_cgroups) == []


async def _set(event: anyio.Event) -> None:
    event.set()
