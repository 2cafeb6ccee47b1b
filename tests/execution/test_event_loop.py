"""Slow work, such as on a slow disk or with many files, is not done in the event loop's thread."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import write_bundle

from runner import AsyncRunner, RunnerError
from runner.child.working_folder import WorkingFolders
from runner.environment import build, cached_venv, locks
from runner.execution import bundle_watch, prepare
from runner.execution.run_task import MAKES_FEW_FILES
from runner.process import kill_marked

pytestmark = pytest.mark.anyio

MAY_TAKE_LONG = [
    (prepare, "read_bundle"),
    (bundle_watch, "all_entries"),
    (build, "dependencies_key"),
    (locks, "check_locks"),
    (build, "content_digest"),
    (build, "same_content"),
    (build, "make_thin"),
    (build, "link_what_is_shared"),
    (cached_venv, "_contents"),
    (cached_venv, "folders_changed"),
    (kill_marked, "remove_folder"),
]
MANY_FILES = 100


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """Which threads have called what may take long."""
    seen: dict[str, set[int]] = {}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            seen.setdefault(name, set()).add(threading.get_ident())
            return function(*args, **options)

        return call

    for module, name in MAY_TAKE_LONG:
        monkeypatch.setattr(module, name, watched(name, getattr(module, name)))
    changed = bundle_watch.BundleFingerprint.changed
    monkeypatch.setattr(bundle_watch.BundleFingerprint, "changed", watched("changed", changed))
    return seen


async def test_nothing_that_may_take_long_is_done_in_the_event_loop(
    threads: dict[str, set[int]], tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "requirements.txt").touch()
    (lock := tmp_path / "lock.txt").touch()
    for number in range(MANY_FILES):
        (bundle / f"table_{number}.csv").touch()
    (bundle / "wire.py").write_text("def wire(e, params, seed):\n    return {'a': b'1'}\n")
    with anyio.fail_after(120):
        for _ in range(2):  # built, then found
            async with AsyncRunner(cache=tmp_path / "cache", children=1, lock=lock) as runner:
                for _ in range(3):
                    assert (await runner.execute(bundle))["a"] == b"1"
                    await anyio.sleep(0.001)  # until it is time to look at the files again
    in_loop = {name for name, idents in threads.items() if threading.get_ident() in idents}
    assert in_loop <= {"changed"}  # which looks at a clock, and at files only where they are few
    assert {name for _, name in MAY_TAKE_LONG} <= threads.keys()


async def test_the_files_of_a_large_bundle_are_looked_at_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idents: set[int] = set()
    look = bundle_watch.fingerprint_of

    def state(path: str) -> Any:
        idents.add(threading.get_ident())
        return look(path)

    for number in range(MANY_FILES):
        (tmp_path / f"table_{number}.csv").touch()
    (tmp_path / "wire.py").write_text("def wire(e, params, seed):\n    return {}\n")
    fingerprint = bundle_watch.BundleFingerprint(tmp_path)
    monkeypatch.setattr(bundle_watch, "fingerprint_of", state)
    assert not await bundle_watch.has_changed(fingerprint)
    assert idents and threading.get_ident() not in idents


async def test_the_files_that_a_task_has_left_are_taken_and_removed_in_a_thread(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    idents: dict[str, int] = {}
    for name in ("take", "_drop"):
        work = getattr(WorkingFolders, name)

        def watched(*args: Any, name: str = name, work: Callable[..., Any] = work) -> Any:
            idents[name] = threading.get_ident()
            return work(*args)

        monkeypatch.setattr(WorkingFolders, name, watched)
    long_enough = 2 * MAKES_FEW_FILES
    wire = f"""\
import time
def wire(entrypoint, params, seed):
    open("file", "w").close()
    until = time.perf_counter() + {long_enough}
    while time.perf_counter() < until:
        pass
    return {{"a": bytes(params["size"])}}
"""
    bundle = write_bundle(tmp_path / "bundle", wire)
    with anyio.fail_after(60):
        async with AsyncRunner(cache=cache, children=1) as runner:
            with pytest.raises(RunnerError):
                await runner.execute(bundle)
            result = await runner.execute(bundle, params={"size": 1})
    assert list(result.files) == ["file"]
    assert idents.keys() == {"take", "_drop"}
    assert threading.get_ident() not in idents.values()


async def test_a_runner_of_another_event_loop_says_so(tmp_path: Path) -> None:
    # Its own loop has what it would wait for here, for ever.
    bundle = write_bundle(tmp_path / "bundle", "def wire(*_):\n    return {}\n")

    async def elsewhere(runner: AsyncRunner) -> None:
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await runner.execute(bundle)
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            await runner.__aexit__(None, None, None)

    async with AsyncRunner() as runner:
        await anyio.to_thread.run_sync(anyio.run, elsewhere, runner)
