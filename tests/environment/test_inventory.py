"""The cache's content: listed, measured, removed; never what is in use."""

import errno
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from children import still_running
from forked_command import run_command

from runner import Runner
from runner.environment.inventory import Entry, entries, prunable, remove
from runner.environment.store import MANIFEST, waiting_for

DAY = 86400.0


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def write_bundle(folder: Path, requirements: str = "iniconfig\n") -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text(requirements)
    (folder / "wire.py").write_text(
        f"# {folder.name}\nimport time\n\ndef wire(entrypoint, params, seed):\n"
        "    print('running', flush=True)\n    time.sleep(params.get('seconds', 0))\n"
        "    return {'done': b''}\n"
    )
    return folder


def command(cache: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return run_command(
        [sys.executable, "-m", "runner", *arguments],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        timeout=60,
    )


@contextmanager
def running(bundle: Path, cache: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A run of the bundle that lasts until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "exec", str(bundle), "--param=seconds=1000", *options],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        assert any("running" in line for line in process.stderr)
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
        assert not still_running(children)


def age(entry: Entry, days: float) -> None:
    then = time.time() - days * DAY
    os.utime(Path(entry.path) / MANIFEST, (then, then))


def kinds(listed: list[Entry]) -> list[str]:
    return sorted(entry.kind for entry in listed)


def test_the_list_says_size_age_use_and_which_bundles(tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        runner.execute(write_bundle(tmp_path / "one"))
        runner.execute(write_bundle(tmp_path / "two"))
    listed = entries(cache)
    assert kinds(listed) == ["bundle", "bundle", "environment"]
    (shared,) = (entry for entry in listed if entry.kind == "environment")
    assert shared.bundles == ("one", "two")
    assert shared.size > 0 and shared.seconds_unused < DAY and not shared.in_use
    assert [name.partition("-")[0] for name in shared.packages] == ["iniconfig"]
    assert {entry.dependencies for entry in listed if entry.kind == "bundle"} == {shared.key}

    text = command(cache, "env", "list").stdout
    assert "environment" in text and "one, two" in text and "3 in " in text
    document = json.loads(command(cache, "env", "list", "--json").stdout)
    assert document["ok"] and len(document["entries"]) == 3
    assert document["size"] == sum(entry["size"] for entry in document["entries"])


def test_a_cache_that_is_not_there_holds_nothing(cache: Path) -> None:
    assert entries(cache) == []
    assert command(cache, "env", "prune", "--max-size=0").returncode == 0
    assert not cache.exists()


def test_a_use_is_the_last_use(tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(tmp_path / "one")
    with Runner(cache=cache) as runner:
        runner.execute(bundle)
    for entry in entries(cache):
        age(entry, 40)
    assert len(prunable(entries(cache), older_than=30 * DAY)) == 2
    with Runner(cache=cache) as runner:
        runner.execute(bundle)
    assert prunable(entries(cache), older_than=30 * DAY) == []


def test_what_takes_too_much_goes_from_the_longest_unused_on(tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        runner.execute(write_bundle(tmp_path / "old", "iniconfig\n"))
        runner.execute(write_bundle(tmp_path / "new", "six\n"))
    listed = entries(cache)
    for entry in listed:
        age(entry, 10 if "old" in entry.bundles else 1)
    listed = entries(cache)
    total = sum(entry.size for entry in listed)
    assert prunable(listed, max_size=total) == []
    chosen = prunable(listed, max_size=total - 1)
    assert {bundle for entry in chosen for bundle in entry.bundles} == {"old"}
    assert len(prunable(listed, max_size=0)) == 4
    assert command(cache, "env", "prune", "--older-than", "5d").returncode == 0
    assert {bundle for entry in entries(cache) for bundle in entry.bundles} == {"new"}


@pytest.mark.parametrize("fresh", [False, True])
def test_what_is_in_use_is_never_removed_and_a_dead_run_uses_nothing(
    tmp_path: Path, cache: Path, fresh: bool
) -> None:
    bundle = write_bundle(tmp_path / "one")
    with running(bundle, cache, *(["--fresh-venv"] if fresh else [])):
        listed = entries(cache)
        assert listed and all(entry.in_use for entry in listed)
        assert prunable(listed, older_than=0, max_size=0) == []
        for entry in listed:
            assert not remove(entry)
            assert Path(entry.path).exists()
        if not fresh:
            pruned = command(cache, "env", "remove", listed[0].key)
            assert pruned.returncode == 1 and "in use" in pruned.stderr
    left = entries(cache)
    assert len(left) == len(listed) and not any(entry.in_use for entry in left)
    assert len(prunable(left, max_size=0)) == len(left)
    assert command(cache, "env", "prune", "--max-size", "0").returncode == 0
    assert entries(cache) == []


def test_what_a_killed_build_left_is_pruned_without_any_limit(tmp_path: Path, cache: Path) -> None:
    with Runner(cache=cache) as runner:
        runner.execute(write_bundle(tmp_path / "one"))
    (cache / "environments" / "abc.building-1" / "venv").mkdir(parents=True)
    (cache / "layers" / "no-manifest").mkdir()
    (cache / "fresh" / "tmp1").mkdir(parents=True)
    chosen = prunable(entries(cache))
    assert sorted(Path(entry.path).name for entry in chosen) == [
        "abc.building-1",
        "no-manifest",
        "tmp1",
    ]
    document = json.loads(command(cache, "env", "prune", "--json").stdout)
    assert document["ok"] and len(document["removed"]) == 3
    assert kinds(entries(cache)) == ["bundle", "environment"]


def test_an_environment_is_found_and_removed_by_name(tmp_path: Path, cache: Path) -> None:
    bundle = write_bundle(tmp_path / "one")
    before = command(cache, "env", "path", str(bundle))
    assert before.returncode == 2 and "check --build" in before.stderr
    with Runner(cache=cache) as runner:
        runner.execute(bundle)
    found = command(cache, "env", "path", str(bundle)).stdout.strip()
    python = Path(found) / "bin" / "python"
    assert subprocess.run([python, "-c", "import iniconfig"], check=False).returncode == 0
    assert command(cache, "env", "path").stdout.strip() == str(cache)
    (shared,) = (entry for entry in entries(cache) if entry.kind == "environment")
    assert command(cache, "env", "remove", "zz").returncode == 2
    assert command(cache, "env", "remove", shared.key[:8]).returncode == 0
    assert entries(cache) == []  # and what stood upon it


@pytest.mark.parametrize("limit", ["--older-than=soon", "--older-than=3", "--max-size=much"])
def test_a_limit_that_is_none_is_refused(cache: Path, limit: str) -> None:
    refused = command(cache, "env", "prune", limit)
    assert refused.returncode == 2 and limit.partition("=")[2] in refused.stderr


def test_locks_of_what_is_gone_are_removed_and_those_that_somebody_has_stay(
    tmp_path: Path, cache: Path
) -> None:
    with Runner(cache=cache) as runner:
        runner.execute(write_bundle(tmp_path / "one"))
    (cache / "environments" / "of-a-build-that-was-killed.lock").touch()
    before = set(cache.rglob("*.lock"))
    with waiting_for(cache / "environments" / "at-work.lock"):
        assert command(cache, "env", "prune").returncode == 0
        after = set(cache.rglob("*.lock"))
        assert {lock.name for lock in before - after} == {"of-a-build-that-was-killed.lock"}
        assert {lock.name for lock in after - before} == {"at-work.lock"}
    assert command(cache, "env", "prune", "--max-size", "0").returncode == 0
    assert list(cache.rglob("*.lock")) == []
    with Runner(cache=cache) as runner:
        assert runner.execute(tmp_path / "one")["done"] == b""


def test_a_cache_on_a_file_system_without_locks_can_be_listed_and_pruned(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with Runner(cache=cache) as runner:
        runner.execute(write_bundle(tmp_path / "one"))
    listed = entries(cache)
    assert kinds(listed) == ["bundle", "environment"]
    assert all(remove(entry) for entry in listed)
    assert entries(cache) == []
