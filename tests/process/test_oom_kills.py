"""The kernel's out-of-memory killer, for real, in a control group of the test's own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest
from conftest import write_bundle

from runner.process import cgroups, exits, supervisor
from runner.process import oom_kills as oom

LIMIT = 192 << 20


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group with a memory limit, where the machine lets us make one."""
    v1 = cgroups.CGROUPS / "memory"
    root, limit = (v1, "memory.limit_in_bytes") if v1.is_dir() else (cgroups.CGROUPS, "memory.max")
    group = root / f"modelops-runner-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(LIMIT))
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
    except OSError as error:
        pytest.skip(f"no control group of memory can be made here: {error}")
    yield group
    group.rmdir()


def test_a_child_that_the_kernel_kills_for_memory_is_told_so(
    control_group: Path, tmp_path: Path
) -> None:
    bundle = write_bundle(
        tmp_path / "bundle",
        "def wire(entrypoint, params, seed):\n"
        "    held = [bytearray(b'x' * (8 << 20)) for _ in range(200)]\n"
        "    return {'size': str(len(held)).encode()}\n",
    )
    enter = f'echo $$ > "{control_group}/cgroup.procs" && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", enter, "sh", sys.executable, "-m", "runner", "exec", str(bundle), "--json"],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    report = json.loads(done.stdout)["report"]
    assert (report["phase"], report["code"]) == ("execute", "out-of-memory")
    assert "limit of 192 MiB" in report["summary"]
    assert report["child"]["signal"] == "SIGKILL"
    assert report["retryable"] is False
    assert done.returncode == 13


@pytest.mark.parametrize(
    ("groups", "files", "kills", "limit"),
    [
        (
            "0::/pod",
            {"pod/memory.events": "low 0\noom_kill 3\n", "pod/memory.max": "1024\n"},
            3,
            1024,
        ),
        ("0::/", {"memory.events": "oom_kill 1\n", "memory.max": "max\n"}, 1, None),
        (
            "7:cpu,cpuacct:/\n5:memory:/job\n0::/",
            {
                "memory/job/memory.oom_control": "under_oom 0\noom_kill 2\n",
                "memory/job/memory.limit_in_bytes": "9223372036854771712\n",
            },
            2,
            None,
        ),
        ("", {}, 9, None),
    ],
)
def test_both_versions_of_control_groups_are_read(
    groups: str,
    files: dict[str, str],
    kills: int,
    limit: int | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    for name, content in {"own": groups, "vmstat": "pgfree 1\noom_kill 9\n"}.items():
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(cgroups, "CGROUPS", tmp_path)
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(oom, "VMSTAT", tmp_path / "vmstat")
    assert (oom.oom_kills(), oom.memory_limit()) == (kills, limit)


def test_a_machine_without_counters_knows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "nowhere")
    monkeypatch.setattr(oom, "VMSTAT", tmp_path / "nowhere")
    assert (oom.oom_kills(), oom.memory_limit()) == (None, None)


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Set the count that the kernel would have made."""
    file = tmp_path / "vmstat"

    def count(kills: int) -> None:
        file.write_text(f"pgfree 1\noom_kill {kills}\n")

    count(7)
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "nowhere")
    monkeypatch.setattr(oom, "VMSTAT", file)
    monkeypatch.setattr(exits, "oom_kills", oom.OomKills())
    monkeypatch.setattr(supervisor, "oom_kills", exits.oom_kills)
    yield count


def test_a_kill_explains_one_death_and_no_later_one(counter: Callable[[int], None]) -> None:
    kills = oom.OomKills()
    kills.look(now=100.0)
    counter(8)
    assert kills.take(now=100.1) is True
    assert kills.take(now=100.2) is False
    counter(10)
    assert [kills.take(now=now) for now in (101.0, 101.1, 101.2)] == [True, True, False]


def test_a_kill_of_another_process_explains_no_death_that_comes_later(
    counter: Callable[[int], None],
) -> None:
    kills = oom.OomKills()
    for second in range(100, 103):
        kills.look(now=second)
    counter(8)
    for second in range(103, 103 + 2 * int(oom.DEATH_SECONDS)):
        kills.look(now=second)
    assert kills.take(now=second + 0.5) is False


def test_a_death_that_takes_a_moment_is_explained_by_the_kill_before_it(
    counter: Callable[[int], None],
) -> None:
    kills = oom.OomKills()
    kills.look(now=100)
    counter(8)
    kills.look(now=101)
    assert kills.take(now=101 + oom.DEATH_SECONDS / 2) is True


def test_what_was_counted_while_nobody_looked_tells_nothing(counter: Callable[[int], None]) -> None:
    """The machine slept, or something held up the event loop."""
    kills = oom.OomKills()
    kills.look(now=100)
    counter(8)
    assert kills.take(now=200) is None
    assert kills.take(now=200.1) is False


@pytest.mark.anyio
async def test_of_two_children_that_are_killed_one_is_the_kernels(
    counter: Callable[[int], None],
) -> None:
    """Both run while the kernel counts: what each started with tells nothing."""
    exits = []
    with anyio.fail_after(60):
        async with one_that_waits() as first, one_that_waits() as second:
            counter(8)
            for process in (first, second):
                process.send_signal(signal.SIGKILL)
                exits.append(await process.wait())
    assert [ended.signal_name for ended in exits] == ["SIGKILL", "SIGKILL"]
    assert [ended.oom_killed for ended in exits] == [True, False]


@pytest.mark.anyio
async def test_the_counter_is_looked_at_while_a_child_runs(
    counter: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = anyio.Semaphore(0)
    monkeypatch.setattr(oom, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(oom.OomKills, "look", lambda self: looks.release())
    with anyio.fail_after(60):
        async with one_that_waits():
            for _ in range(5):
                await looks.acquire()


def one_that_waits() -> AbstractAsyncContextManager[supervisor.Process]:
    return supervisor.spawn(
        [sys.executable, "-I", "-c", "import time; time.sleep(1000)"],
        env=dict(os.environ),
        cwd=Path("/"),
        stdout=bytearray().extend,
        stderr=bytearray().extend,
    )
