"""``exec --shard I/N``: parts of a study that run at once, each in a process, in one folder."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import write_bundle
from forked_command import run_command

import runner
from runner.cli import main
from runner.study.lines import FILE, decode_line
from runner.study.run_file import RUN
from runner.study.shards import parts

WIRE = """\
import json, os
def wire(entrypoint, params, seed):
    if "waits for" in params:
        open(params["waits for"]).read()
    if "fails unless" in params and not os.path.exists(params["fails unless"]):
        raise ValueError(params["fails unless"])
    return {"out.json": json.dumps({"sum": seed + params.get("b", 0)}).encode()}
"""
SHARDS = 3
SECONDS = 120

Command = Callable[..., list[str]]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def command(bundle: Path, out: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))

    def command(*words: object) -> list[str]:
        given = [sys.executable, "-m", "runner", "exec", bundle, "-j", "1", "--output", out]
        return [str(word) for word in (*given, *words)]

    return command


@contextmanager
def started(command: list[str]) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=SECONDS)


def run(command: list[str], code: int = 0) -> str:
    done = run_command(command, timeout=SECONDS)
    assert done.returncode == code, done.stderr
    return done.stderr


def run_at_once(command: Command, *words: object, codes: frozenset[int] = frozenset({0})) -> None:
    shards = [command(*words, "--shard", f"{number}/{SHARDS}") for number in (1, 2, 3)]
    processes = [subprocess.Popen(one, stderr=subprocess.PIPE, encoding="utf-8") for one in shards]
    try:
        said = [process.communicate(timeout=SECONDS)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert {process.returncode for process in processes} <= codes, said


def wait_until_unread(fifo: Path) -> None:
    deadline = time.monotonic() + SECONDS
    with suppress(OSError):  # ENXIO: no process has it open to read
        while time.monotonic() < deadline:
            os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            time.sleep(0.01)
        pytest.fail("it is read still")


def sums(out: Path) -> list[tuple[object, ...]]:
    records = list(runner.results(out))
    indices = [record["index"] for record in records]
    assert indices == sorted({*indices})  # no number is there twice
    return sorted((one.get("b"), one["seed"], one["sum"]) for one in records)


def results_are_whole(out: Path) -> None:
    for name in parts(out, FILE):
        for text in (out / name).read_bytes().splitlines():
            line = decode_line(text)
            assert line is not None, (name, text)
            if line.ok:
                made = out / str(line.index) / "out.json"
                assert json.loads(made.read_bytes()) == {
                    "sum": line.seed + (line.params or {}).get("b", 0)
                }
    assert not [path.name for path in out.iterdir() if path.name.endswith(".new")]


def test_shards_that_run_at_once_are_one_study(
    command: Command, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_at_once(command, "--grid", "b=1,2,3", "--seeds", "0:4")
    expected = [(b, seed, b + seed) for b in (1, 2, 3) for seed in range(4)]
    assert sums(out) == expected
    assert set(parts(out, FILE)) == {f"results.{n}-of-3.jsonl" for n in (1, 2, 3)}
    assert [len((out / name).read_bytes().splitlines()) for name in parts(out, FILE)] == [4, 4, 4]
    results_are_whole(out)
    # A task is run again under what its own shard ran with.
    assert main(["rerun", str(out)]) == 0
    assert "12 tasks: 12 the same bytes" in capfd.readouterr().out
    assert main(["rerun", str(out), "7"]) == 0

    # More of it, again in shards: what is done is done, whichever shard has done it, and the new
    # tasks, whose places others have, get numbers that nobody has.
    run_at_once(command, "--grid", "b=3,1,4", "--seeds", "0:5")
    added = [(b, seed, b + seed) for b in (1, 3, 4) for seed in range(5)]
    assert sums(out) == sorted({*expected, *added})
    results_are_whole(out)
    # Without --shard, it is what is left of the whole.
    said = run(command("--grid", "b=3,1,4", "--seeds", "0:5"))
    assert "15 skipped (done before)" in said and "0 done" in said
    said = run(command("--grid", "b=3,1,4", "--seeds", "0:6"))
    assert "3 done, 0 failed, 15 skipped" in said


def test_what_has_failed_in_a_shard_is_run_again_by_whoever_asks(
    command: Command, out: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    words = ["--param", f"fails unless={flag}", "--seeds", "0:6"]
    run_at_once(command, *words, codes=frozenset({13}))
    flag.touch()
    said = run(command(*words, "--shard", "1/3", "--again", "failed"))
    assert "2 tasks" in said and "2 done" in said
    # In another number of shards, and as a whole.
    said = run(command(*words, "--shard", "2/2", "--again", "failed"))
    assert "2 done, 0 failed, 1 skipped" in said
    said = run(command(*words, "--again", "failed"))
    assert "2 done, 0 failed, 4 skipped" in said
    # The lines of failures are still in the shards' files; later runs' lines stand for them.
    assert [one["ok"] for one in runner.results(out)] == [True] * 6
    run_at_once(command, *words)


def test_equal_tasks_are_each_run_once(command: Command, out: Path, tmp_path: Path) -> None:
    tasks = tmp_path / "tasks.jsonl"
    seeds = [7, 1, 7, 2, 7, 3, 1]
    tasks.write_text("".join(json.dumps({"seed": seed}) + "\n" for seed in seeds))
    for number in (3, 1, 2):  # one after another: each sees what those before have done
        run(command("--tasks", tasks, "--shard", f"{number}/3"))
    assert [one["seed"] for one in runner.results(out)] == seeds
    said = run(command("--tasks", tasks))
    assert "7 skipped" in said


def test_a_killed_shard_is_gone_on_with_while_others_run(
    command: Command, out: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    os.mkfifo(first)
    os.mkfifo(second)
    tasks = tmp_path / "tasks.jsonl"
    waits = [
        {"seed": seed, "params": {"waits for": str(fifo)}}
        for seed, fifo in ((10, first), (11, second))
    ]
    given = [{"seed": 0}, waits[0], {"seed": 2}, waits[1]]
    tasks.write_text("".join(json.dumps(task) + "\n" for task in given))
    with started(command("--tasks", tasks, "--shard", "2/2")) as live:
        first.open("w").close()  # waits until the first of its tasks runs
        with second.open("w"):
            run(command("--tasks", tasks, "--shard", "1/2"))
            for other in ("", "--shard=2/2", "--shard=1/3"):
                said = run(command("--tasks", tasks, *filter(None, [other])), code=2)
                assert "another run is writing to" in said and "results.2-of-2.jsonl" in said
            live.kill()
            live.wait(timeout=SECONDS)
        with (out / "results.2-of-2.jsonl").open("ab") as file:
            file.write(b'{"index":3,"ok":tr')  # as if it had been writing
    with pytest.warns(UserWarning, match=r"has not come to its end \(run.2-of-2.json\)"):
        assert len(list(runner.results(out))) == 3
    wait_until_unread(second)  # or the killed run's child would be taken for the next one's
    with started(command("--tasks", tasks, "--shard", "2/2")) as live:
        second.open("w").close()
        assert "1 done, 0 failed, 1 skipped" in live.communicate(timeout=SECONDS)[1]
    results_are_whole(out)
    assert [one["seed"] for one in runner.results(out)] == [0, 10, 2, 11]


def test_shards_have_the_versions_of_those_before_and_keep_the_bundle_once(
    command: Command, out: Path, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(command("--seeds", "0:4", "--shard", "1/2"))
    run(command("--seeds", "0:4", "--shard", "2/2"))
    accounts = [json.loads((out / name).read_bytes()) for name in parts(out, RUN)]
    assert len(accounts) == 2
    kept = {(one["bundle_archive"], one["pylock"]) for one in accounts}
    assert len(kept) == 1 and all((out / name).is_file() for name in next(iter(kept)))
    # After an edit all of it runs again, and each line has the bundle that it ran in.
    (bundle / "wire.py").write_text(WIRE.replace('get("b", 0)', 'get("b", 0) + 0'))
    run(command("--seeds", "0:4", "--shard", "2/2"))
    assert main(["rerun", str(out)]) == 0
    assert "4 tasks: 4 the same bytes" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "0:4", "--shard", "0/4"], "--array=1-4"),
        (["--seeds", "0:4", "--shard", "5/4"], "there is no shard 5 of 4"),
        (["--seeds", "0:4", "--shard", "1"], "such as 3/10"),
        (["--shard", "1/2"], "--shard needs --grid, --seeds or --tasks"),
        (["--seeds", "0:4", "--shard", "1/2", "--overwrite"], "--shard and --overwrite"),
    ],
)
def test_what_is_no_shard_is_named(
    words: list[str], said: str, bundle: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["exec", str(bundle), "--output", str(out), *words])
    assert ended.value.code == 2
    assert said in " ".join(capfd.readouterr().err.split())
    assert not out.exists()


def test_a_dry_run_shows_a_shard(
    bundle: Path, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["exec", str(bundle), "--seeds", "0:5", "--shard", "2/2", "--dry-run"]
    assert main([*words, "--output", str(out)]) == 0
    assert "2 tasks in shard 2 of 2\n" in capfd.readouterr().out


def test_overwrite_replaces_what_the_shards_of_another_study_have_left(
    command: Command, out: Path, bundle: Path, tmp_path: Path
) -> None:
    run(command("--seeds", "0:3", "--shard", "1/1"))
    bundle.rename(tmp_path / "another")
    (tmp_path / "another" / "wire.py").write_text(WIRE + "# another\n")
    words = ["exec", str(tmp_path / "another"), "-j", "1", "--output", str(out), "--seeds", "0:1"]
    started = [sys.executable, "-m", "runner", *words]
    assert "3 results of the bundle" in run(started, code=2)
    run([*started, "--overwrite"])
    assert [one["seed"] for one in runner.results(out)] == [0]
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == ["0"]
    run(started)
