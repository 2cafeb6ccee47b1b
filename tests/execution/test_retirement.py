"""Children that are replaced before they are old, and those that are not."""

from pathlib import Path

import pytest
from conftest import write_bundle

from runner import Runner
from runner.task import Task

MIB = 1 << 20


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(
        tmp_path / "bundle",
        "kept = []\n"
        "def wire(entrypoint, params, seed):\n"
        "    if entrypoint == 'leak':\n"
        "        kept.append(bytearray(b'x' * (64 << 20)))\n"
        "    return {'kept': str(len(kept)).encode()}\n",
    )


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_a_child_is_replaced_after_so_many_tasks(isolation: str, bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation=isolation, children=1, max_tasks=3) as runner:
        pids = [runner.execute(bundle).child.pid for _ in range(7)]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def test_so_it_is_in_a_map(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=2, max_tasks=2) as runner:
        results = list(runner.map(bundle, [Task(seed=seed) for seed in range(12)]))
    pids = [result.child.pid for result in results]  # type: ignore[union-attr]
    assert len(pids) == 12
    assert max(pids.count(pid) for pid in pids) <= 2


def test_a_child_is_replaced_that_has_grown_past_the_mark(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=1, max_rss=100 * MIB) as runner:
        pids = [runner.execute(bundle, "leak").child.pid for _ in range(2)]
        assert len(set(pids)) == 1
        assert runner.execute(bundle)["kept"] == b"0"


def test_a_child_stays_where_nobody_says_otherwise(bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        kept = [runner.execute(bundle, "leak")["kept"] for _ in range(3)]
    assert kept == [b"1", b"2", b"3"]
