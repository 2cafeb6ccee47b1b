"""Processors and their shares: what numerical libraries in a child are told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner
from runner.process import cgroups, processors
from runner.process.processors import thread_count, usable_processors, with_thread_counts


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize(
    ("own", "files", "usable"),
    [
        ("0::/pod", {"pod/cpu.max": "150000 100000\n"}, 2),
        ("0::/pod", {"pod/cpu.max": "max 100000\n"}, 16),
        # A container sees its own group as the root, and a group is bound by those it is in.
        ("0::/", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/slice/job", {"slice/cpu.max": "400000 100000", "slice/job/cpu.max": "max 1"}, 4),
        ("0::/pod", {"pod/cpu.max": "1000 100000\n"}, 1),
        ("0::/pod", {"pod/cpu.max": "9900000 100000\n"}, 16),
        (
            "3:cpu,cpuacct:/job\n0::/",
            {"cpu/job/cpu.cfs_quota_us": "250000\n", "cpu/job/cpu.cfs_period_us": "50000\n"},
            5,
        ),
        (
            "3:cpu,cpuacct:/docker/abc",  # the path is the host's, the files the container's
            {"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 16),
        ("", {}, 16),
    ],
)
def test_a_quota_of_the_control_group_counts(
    own: str, files: dict[str, str], usable: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in {"own": own, **files}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(cgroups, "CGROUPS", tmp_path)
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "own")
    assert usable_processors() == usable


@pytest.fixture
def group_of_one_processor() -> Iterator[Path]:
    v1 = cgroups.CGROUPS / "cpu"
    group = (v1 if v1.is_dir() else cgroups.CGROUPS) / f"modelops-runner-test-{os.getpid()}"
    try:
        group.mkdir()
        if v1.is_dir():
            (group / "cpu.cfs_quota_us").write_text("100000")
        else:
            (group / "cpu.max").write_text("100000 100000")
    except OSError as error:
        pytest.skip(f"no control group of processors can be made here: {error}")
    yield group
    group.rmdir()


def test_a_real_quota_counts(group_of_one_processor: Path) -> None:
    enter = f'echo $$ > "{group_of_one_processor}/cgroup.procs" && exec "$@"'
    code = "from runner.process.processors import usable_processors; print(usable_processors())"
    done = subprocess.run(
        ["sh", "-c", enter, "sh", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "1\n"


def test_what_the_worker_has_set_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "usable_processors", lambda: 9)
    counts = with_thread_counts({"MKL_NUM_THREADS": "7", "A": "b"}, children=2)
    assert (counts.pop("MKL_NUM_THREADS"), counts.pop("A")) == ("7", "b")
    assert set(counts.values()) == {"4"}
    assert {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"} <= set(counts)
    assert with_thread_counts({}, children=20)["OMP_NUM_THREADS"] == "1"
    # MKL, OpenBLAS and others take OMP_NUM_THREADS where their own is not set.
    assert "MKL_NUM_THREADS" not in with_thread_counts({"OMP_NUM_THREADS": "3"}, children=1)


def test_a_number_that_is_fixed_goes_before_what_the_worker_has_set() -> None:
    own = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "7", "A": "b"}
    counts = with_thread_counts(own, children=2, threads=3)
    assert counts.pop("A") == "b"
    assert {"OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"} <= set(counts)
    assert set(counts.values()) == {"3"}


@pytest.mark.parametrize(("own", "count"), [("4", 4), ("4,2", None), ("", None), ("0", None)])
def test_the_number_of_threads_is_known_where_it_is_one(own: str, count: int | None) -> None:
    assert thread_count({"OMP_NUM_THREADS": own}) == count


THREADS = """
import os
def wire(entrypoint, params, seed):
    return {"threads": os.environ["OMP_NUM_THREADS"].encode()}
"""


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_a_result_says_how_many_threads_there_were_and_who_fixes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, isolation: str
) -> None:
    plain, fixed = tmp_path / "plain", tmp_path / "fixed"
    for bundle in (plain, fixed):
        bundle.mkdir()
        (bundle / "wire.py").write_text(THREADS)
    (plain / "requirements.txt").write_text("")
    (fixed / "pyproject.toml").write_text(
        '[project]\nname = "fixed"\nversion = "1"\n[tool.modelops]\nthreads = 3\n'
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "2")  # as Dask's nanny does
    found = []
    for threads in (None, 5):
        with Runner(isolation=isolation, children=1, threads=threads) as runner:
            for bundle in (plain, fixed):
                result = runner.execute(bundle)
                assert result["threads"] == str(result.threads).encode()
                found.append(result.threads)
    assert found == [2, 3, 5, 5]


@pytest.mark.usefixtures("many")
def test_children_share_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    bundle = write_bundle(
        tmp_path / "bundle",
        "import os\n"
        "def wire(entrypoint, params, seed):\n"
        "    return {'threads': os.environ['OPENBLAS_NUM_THREADS'].encode()}\n",
    )
    monkeypatch.setattr(processors, "_quota", lambda: None)
    with Runner(cache=tmp_path / "cache", children=4) as runner:
        assert runner.execute(bundle)["threads"] == b"4"
