"""Files that tasks leave in the bundle's own folder, where they find it by ``__file__``."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from conftest import write_bundle
from forked_command import run_command

from runner import Result, Runner
from runner.execution.bundle_watch import BundleFingerprint
from runner.task import Task

WRITES = {
    "log": "open(HERE + '/run.log', 'a').write(str(seed))",
    "folder": "os.makedirs(HERE + '/out', exist_ok=True); open(f'{HERE}/out/{seed}', 'w').close()",
    "files": "open(f'{HERE}/{seed}.csv', 'w').close()",
    "link": "os.path.islink(HERE + '/latest') and os.unlink(HERE + '/latest')\n"
    "    os.symlink('/etc', HERE + '/latest')",
    "fifo": "os.path.exists(HERE + '/ctl') or os.mkfifo(HERE + '/ctl')",
}
NAMED = {"log": "run.log", "folder": ": out;", "files": ".csv", "link": "latest", "fifo": "ctl"}


def bundle(folder: Path, body: str) -> Path:
    return write_bundle(
        folder / "model",
        "import os\nHERE = os.path.dirname(os.path.abspath(__file__))\nLOADED = str(os.getpid())\n"
        f"def wire(entrypoint, params, seed):\n    {body}\n"
        "    return {'loaded': LOADED.encode()}\n",
    )


@pytest.mark.parametrize("kind", WRITES)
def test_a_sweep_goes_on_with_one_digest_and_is_skipped_afterwards(
    tmp_path: Path, cache: Path, kind: str
) -> None:
    made = bundle(tmp_path, WRITES[kind])
    tasks, output = tmp_path / "t.jsonl", tmp_path / "o"
    command = [sys.executable, "-m", "runner", "exec", made, "--tasks", tasks, "-j", "1"]
    done = []
    for count in (12, 13):
        tasks.write_text("".join(f'{{"seed": {seed}}}\n' for seed in range(count)))
        ended = run_command(
            [*map(str, command), "--output", str(output)],
            env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
            timeout=60,
            check=True,
        )
        done.append(ended.stderr)
    lines = [json.loads(text) for text in (output / "results.jsonl").read_text().splitlines()]
    assert len({line["bundle"] for line in lines}) == 1
    assert "12 done, 0 failed" in done[0]
    notes = [line for line in done[0].splitlines() if "bundle's own folder" in line]
    assert len(notes) == 1
    assert NAMED[kind] in notes[0]
    assert "exclude = [" in notes[0]
    assert "12 skipped" in done[1]
    # The bundle is read twice for a study: before the tasks are known, and for its child.
    again = [line for line in done[1].splitlines() if "bundle's own folder" in line]
    assert len(again) == len(set(again))


def test_a_child_is_kept_while_tasks_write_and_a_source_edited_by_hand_is_loaded_anew(
    tmp_path: Path, cache: Path
) -> None:
    made = bundle(tmp_path, WRITES["log"])
    with Runner(cache=cache, children=1) as runner:
        tasks = (Task(None, {}, seed) for seed in range(8))
        results = [one for one in runner.map(made, tasks) if isinstance(one, Result)]
        assert len({result["loaded"] for result in results}) == 1
        digest = results[0].bundle.digest
        source = made / "wire.py"
        source.write_text(source.read_text().replace("getpid())", "getpid()) + 'new'"))
        deadline = time.monotonic() + 20
        # The files are looked at for a share of the time: a busy machine comes to it later.
        while not (edited := runner.execute(made))["loaded"].endswith(b"new"):
            assert time.monotonic() < deadline
        assert edited.bundle.digest != digest
        again = [runner.execute(made, seed=seed) for seed in range(3)]
        assert {result.bundle.digest for result in again} == {edited.bundle.digest}


def test_a_single_task_is_told_of_what_it_leaves(tmp_path: Path, cache: Path) -> None:
    made = bundle(tmp_path, WRITES["log"])
    with Runner(cache=cache, isolation="fresh") as runner:
        results = [runner.execute(made, seed=seed) for seed in range(3)]
    assert len({result.bundle.digest for result in results}) == 1
    assert sum("run.log" in note for result in results for note in result.notes) == 1


def test_what_is_excluded_is_no_content_and_not_named(tmp_path: Path, cache: Path) -> None:
    made = bundle(tmp_path, WRITES["log"])
    (made / "pyproject.toml").write_text('[tool.modelops]\nexclude = ["*.log", "out/"]\n')
    (made / "run.log").write_text("of before")
    with Runner(cache=cache, children=1) as runner:
        results = [runner.execute(made, seed=seed) for seed in range(3)]
        assert len({result["loaded"] for result in results}) == 1
        assert not any(result.notes for result in results)


def test_a_file_that_is_added_by_hand_is_a_change_and_one_added_by_tasks_is_none(
    tmp_path: Path,
) -> None:
    made = bundle(tmp_path, "pass")
    (made / "empty").mkdir()
    by_hand, by_tasks = BundleFingerprint(made), BundleFingerprint(made, None, lambda: float("inf"))
    (made / "empty" / "new.csv").write_text("")
    assert by_hand.changed(at_once=True)
    assert not by_tasks.changed(at_once=True)
    assert by_tasks.note is not None and "empty/new.csv" in by_tasks.note
    (made / "empty" / "newer.csv").write_text("")
    assert not by_tasks.changed(at_once=True)


def test_a_file_that_is_added_once_the_clock_was_set_back_is_a_change(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bundle(tmp_path, "return {'files': FILES}")
    with (made / "wire.py").open("a") as source:
        source.write("FILES = str(sorted(os.listdir(HERE))).encode()\n")
    now = time.time
    with Runner(cache=cache, children=1) as runner:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: now() + 86400)  # till then the clock was ahead
            before = runner.execute(made)["files"]
        (made / "new.csv").write_text("")
        after = runner.execute(made)["files"]
    assert b"new.csv" not in before
    assert b"new.csv" in after


def test_a_task_that_writes_to_a_file_of_the_bundle_is_told_with_the_next_result(
    tmp_path: Path, cache: Path
) -> None:
    made = bundle(tmp_path, "seed and open(HERE + '/data.csv', 'a').write(str(seed))")
    (made / "data.csv").write_text("0")
    with Runner(cache=cache, children=1) as runner:
        results = [runner.execute(made, seed=seed) for seed in (1, 2)]
        assert not results[0].notes
        (note,) = results[1].notes
        assert "has changed while tasks ran" in note and "data.csv" in note
        runner.execute(made, seed=0)  # told once more, of the second task
        (made / "data.csv").write_text("by hand")
        assert not runner.execute(made, seed=0).notes


def test_an_edit_of_the_same_size_with_its_time_put_back_is_a_change(tmp_path: Path) -> None:
    made = bundle(tmp_path, "pass")
    source = made / "wire.py"
    fingerprint, status = BundleFingerprint(made), source.stat()
    source.write_text(source.read_text().replace("pass", "fail"))
    os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = source.stat()
    assert (after.st_mtime_ns, after.st_size) == (status.st_mtime_ns, status.st_size)
    # A file system's clock may not have ticked since the file was made.
    while source.stat().st_ctime_ns == status.st_ctime_ns:
        os.utime(source, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert fingerprint.changed(at_once=True)
