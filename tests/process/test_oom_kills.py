"""The kernel's out-of-memory killer, for real, in a control group of the test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.process import cgroups
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
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").write_text("")
    (bundle / "wire.py").write_text(
        "def wire(entrypoint, params, seed):\n"
        "    held = [bytearray(b'x' * (8 << 20)) for _ in range(200)]\n"
        "    return {'size': str(len(held)).encode()}\n"
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
