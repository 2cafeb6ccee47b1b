"""Studies from their command to their end: resumed, with what tasks print, run again."""

import errno
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import write_bundle

import runner
from runner.cli import main
from runner.study.run_file import STORY, unfinished

WIRE = """\
import json, os, pathlib, sys
warmed = []
def warm():
    warmed.append(os.getpid())
def wire(entrypoint, params, seed):
    print("task", seed)
    if "fails unless" in params and not os.path.exists(params["fails unless"]):
        print("no such file", file=sys.stderr)
        raise ValueError(params["fails unless"])
    if "print" in params:
        sys.stdout.write("head" + "x" * params["print"] + "tail")
    out = {"sum.json": json.dumps({"sum": seed + params.get("b", 0)}).encode()}
    if "random" in params:
        out["random"] = os.urandom(8)
    if "warmed" in params:
        out["warmed.json"] = json.dumps({"by": warmed, "task": os.getpid()}).encode()
    return out
"""


Line = dict[str, Any]
Run = Callable[..., list[Line]]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = write_bundle(tmp_path / "bundle", WIRE)
    (folder / "pyproject.toml").write_text(
        '[tool.modelops]\nwarmup = "wire:warm"\nseed = 4\nparams = { b = 1 }\n'
    )
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def run(
    bundle: Path,
    out: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Runs a study; gives the lines that it has added."""
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))

    def run(*words: str, code: int = 0) -> list[Line]:
        results = out / "results.jsonl"
        before = results.read_bytes().splitlines() if results.exists() else []
        capfd.readouterr()
        ended = main(["exec", str(bundle), *words, "-j", "1", "--output", str(out)])
        printed, said = capfd.readouterr()
        sys.stderr.write(said)
        assert (ended, printed) == (code, "")
        lines = results.read_bytes().splitlines()
        return [json.loads(line) for line in lines if line not in before]

    return run


def test_a_study_is_resumed_by_what_its_tasks_are_called_with(
    run: Run, out: Path, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert {line["index"] for line in run("--grid", "b=1,2", "--seeds", "0:2")} == {0, 1, 2, 3}
    # In another order, said otherwise, with a value and a seed more.
    added = run("--grid", "b=2,3,1", "--seeds", "2,0,1")
    asked = sorted((line["params"]["b"], line["seed"]) for line in added)
    assert asked == [(1, 2), (2, 2), (3, 0), (3, 1), (3, 2)]
    assert "4 of 9 tasks are done already" in capfd.readouterr().err
    records = list(runner.results(out))
    assert [record["index"] for record in records] == list(range(9))
    assert all(record["sum"] == record["b"] + record["seed"] for record in records)
    assert len({(record["b"], record["seed"]) for record in records}) == 9
    # The bundle's own default, written out, is the same task.
    assert run("--seeds", "0:3") == []


def test_the_rest_of_a_study_has_as_many_threads_as_what_is_done(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert [line["threads"] for line in run("--seeds", "0:2")] == [3, 3]
    assert "threads" not in capfd.readouterr().err
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [line["threads"] for line in run("--seeds", "0:3")] == [3]
    assert "threads of numerical libraries in each task: 3" in capfd.readouterr().err
    # Who says how many has all with as many.
    assert [line["threads"] for line in run("--seeds", "0:3", "--threads", "2")] == [2, 2, 2]
    assert [line["threads"] for line in run("--seeds", "0:4", "--threads", "2")] == [2]


def test_the_account_has_the_number_of_threads_before_a_task_has_ended(
    run: Run, out: Path, bundle: Path
) -> None:
    """Whoever goes on after a SIGKILL has no other word of it."""
    (bundle / "wire.py").write_text(
        "import pathlib\n"
        "def warm(): pass\n"
        "def wire(entrypoint, params, seed):\n"
        "    return {'story.json': pathlib.Path(params['story']).read_bytes()}\n"
    )
    (line,) = run("--param", f"story={json.dumps(str(out / 'run.json'))}", "--seeds", "1")
    story = json.loads((out / line["outputs"]["story.json"]["path"]).read_bytes())
    assert story["finished_at"] is None
    assert story["threads"] == line["threads"] is not None


def test_the_command_of_a_study_that_was_killed_after_its_last_line_finds_it_done(
    run: Run, out: Path
) -> None:
    run("--seeds", "0:2")
    killed = {**json.loads((out / "run.json").read_bytes()), "finished_at": None}
    (out / "run.json").write_text(json.dumps(killed))
    # Another command does not know how many tasks that one had.
    assert run("--seeds", "0:1") == []
    assert unfinished(out) == "run.json"
    assert run("--seeds", "0:2") == []
    assert unfinished(out) == ""


def test_what_fails_beside_the_tasks_is_told_by_itself(
    run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(record: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/full/bundle.tar.gz")

    monkeypatch.setattr("runner.study.study_record.StudyRecord.keep_bundle", refuse)
    run("--seeds", "0:2", code=13)
    said = capfd.readouterr().err
    assert "disk-full" in said and "ExceptionGroup" not in said


def test_again_failed_runs_those_that_have_failed(
    run: Run, out: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flag = tmp_path / "flag"
    words = ["--param", f"fails unless={flag}", "--seeds", "0:2"]
    assert [line["ok"] for line in run(*words, code=13)] == [False, False]
    # What the task printed is kept, and its failure with it.
    assert (out / "0" / "stdout").read_text() == "task 0\n"
    assert (out / "0" / "stderr").read_text() == "no such file\n"
    flag.touch()
    capfd.readouterr()
    lines = run(*words, "--again", "failed")
    assert sorted((line["index"], line["ok"]) for line in lines) == [(0, True), (1, True)]
    assert not (out / "0" / "stderr").exists()
    assert run(*words, "--again", "failed") == []


def test_what_a_task_prints_is_kept_within_bounds(run: Run, out: Path) -> None:
    (line,) = run("--param", "print=5000000", "--seeds", "3")
    text = (out / "0" / "stdout").read_text()
    assert text.startswith("task 3\nheadx") and text.endswith("xtail")
    assert len(text) < 1_000_000
    assert line["printed"]["stdout"]["size"] == len(text)
    assert list(line["printed"]) == ["stdout"]


@pytest.mark.parametrize("isolation", ["warm", "fork"])
def test_what_each_of_many_tasks_prints_is_kept_as_its_own(
    run: Run, out: Path, isolation: str
) -> None:
    lines = run("--seeds", "0:60", "--isolation", isolation)
    assert {line["seed"] for line in lines} == set(range(60))
    for line in lines:
        assert (out / str(line["index"]) / "stdout").read_text() == f"task {line['seed']}\n"


def test_a_task_whose_line_a_kill_has_taken_is_run_again_in_its_place(
    run: Run, out: Path, tmp_path: Path
) -> None:
    words = ("--seeds", "0:4", "--param", "b=2")
    run(*words)
    whole = {path: path.read_bytes() for path in out.glob("[0-9]*/*")}
    results = out / "results.jsonl"
    lines = results.read_bytes().splitlines(keepends=True)
    results.write_bytes(lines[0] + lines[1][:40])  # and a part of a line
    assert len(run(*words)) == 3
    assert {path: path.read_bytes() for path in out.glob("[0-9]*/*")} == whole
    assert sorted(record["seed"] for record in runner.results(out)) == [0, 1, 2, 3]


def test_the_warmup_is_called_once_before_the_forks(run: Run, out: Path) -> None:
    lines = run("--param", "warmed=1", "--seeds", "0:3")
    assert {line["isolation"] for line in lines} == {"fork"}
    made = [json.loads((out / str(n) / "warmed.json").read_bytes()) for n in range(3)]
    assert len({one["task"] for one in made}) == 3
    assert [len(one["by"]) for one in made] == [1, 1, 1]
    assert len({one["by"][0] for one in made}) == 1
    assert not {one["task"] for one in made} & {one["by"][0] for one in made}


@pytest.mark.parametrize(
    ("warmup", "telling"),
    [
        ("wire:wire", "the warmup wire:wire was called"),
        ("wire:missing", "missing"),
        ("no_such:warm", "no_such"),
    ],
)
def test_a_warmup_that_fails_is_named_once_and_no_task_runs(
    warmup: str, telling: str, bundle: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (bundle / "pyproject.toml").write_text(f'[tool.modelops]\nwarmup = "{warmup}"\n')
    assert run("--seeds", "0:5", code=12) == []
    said = " ".join(capfd.readouterr().err.split())
    assert said.count("error[") == 1
    assert "warmup" in said and telling in said


def test_rerun_compares_the_bytes_and_names_the_output_that_differs(
    run: Run, out: Path, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    big = 2**70
    (bundle / "nowhere").symlink_to("no-such-file")
    run("--grid", f"b=1,{big},0.1", "--seeds", "0:1")
    story = json.loads((out / "run.json").read_bytes())
    assert story["bundle_archive"] == "bundle.tar.gz" and story["pylock"] == "pylock.toml"
    assert story["finished_at"] and story["environment"]["python"]["version"]
    assert re.search(r'lock-version = "1\.0"', (out / "pylock.toml").read_text())
    # The bundle has changed since; its archive has not.
    (bundle / "wire.py").write_text("raise SystemExit\n")
    capfd.readouterr()
    assert main(["rerun", str(out)]) == 0
    assert capfd.readouterr().out == "3 tasks: 3 the same bytes, 0 not\n"
    # An output that has come out otherwise: the line says what it was.
    results = out / "results.jsonl"
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    lines[0]["outputs"]["sum.json"]["sha256"] = "0" * 64
    lines[0]["outputs"]["gone"] = {"size": 1, "sha256": "1" * 64}
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(["rerun", str(out), "0", "--json"]) == 1
    document = json.loads(capfd.readouterr().out)
    assert document["tasks"] == {"total": 1, "same": 0, "different": 1}
    assert document["conditions"] == []
    (one,) = document["different"]
    assert [found["name"] for found in one["differences"]] == ["sum.json", "gone"]


def test_rerun_names_what_does_not_follow_from_the_seed_and_a_lock_that_is_gone(
    run: Run, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run("--param", "random=1", "--seeds", "0:1")
    capfd.readouterr()
    assert main(["rerun", str(out)]) == 1
    said = capfd.readouterr().out
    assert "task 0: random differs (8 bytes" in said and "sum.json" not in said
    assert "do not follow from its seed alone" in said
    (out / "pylock.toml").unlink()
    assert main(["rerun", str(out), "--json"]) == 11
    said, shown = capfd.readouterr()
    report = json.loads(said)["report"]
    assert report["phase"] == "environment"
    assert f"{out}/pylock.toml cannot be read: No such file" in report["summary"]
    assert shown.count("error[") == 1


def test_rerun_of_what_is_no_study_says_why(
    tmp_path: Path, run: Run, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["rerun", str(tmp_path)]) == 2
    assert "has no run.json" in capfd.readouterr().err
    run("--param", f"fails unless={tmp_path / 'none'}", "--seeds", "0:1", code=13)
    for words, telling in (
        (["7"], "has no result of a task 7"),
        (["0"], "task 0 failed"),
        ([], "has no task that was done"),
    ):
        capfd.readouterr()
        assert main(["rerun", str(out), *words]) == 2
        assert telling in " ".join(capfd.readouterr().err.split())
    (out / "bundle.tar.gz").write_bytes(b"garbage")
    results = out / "results.jsonl"
    line = json.loads(results.read_text())
    del line["report"]
    results.write_text(json.dumps({**line, "ok": True, "outputs": {}}) + "\n")
    assert main(["rerun", str(out)]) == 2
    assert "is not what ran" in " ".join(capfd.readouterr().err.split())


@pytest.mark.parametrize("kind", ["file", "link", "fifo", "folder"])
def test_what_stands_in_the_place_of_the_studys_own_files_is_set_aside(
    kind: str, run: Run, out: Path, tmp_path: Path
) -> None:
    out.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    for name in (*STORY, f".{STORY[1]}.new"):
        if kind == "file":
            (out / name).write_text("mine")
        elif kind == "link":
            (out / name).symlink_to(elsewhere)
        elif kind == "fifo":
            os.mkfifo(out / name)
        else:
            (out / name).mkdir()
    assert len(run("--seeds", "0:2")) == 2
    assert elsewhere.read_text() == "mine"
    assert json.loads((out / "run.json").read_bytes())["pylock"] == "pylock.toml"
    for name in STORY:
        assert (out / name).is_file() and not (out / name).is_symlink()
        assert os.path.lexists(out / f"{name}.~1~")
    # A later run knows them for its own.
    assert len(run("--seeds", "0:3")) == 1
    assert not list(out.glob("*.~2~"))


def test_a_pipe_among_the_results_is_not_waited_for(
    run: Run, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run("--seeds", "0:2")
    (out / "1" / "sum.json").unlink()
    os.mkfifo(out / "1" / "sum.json")
    assert main(["table", str(out)]) == 2
    assert "an output of task 1, is not a file any more" in capfd.readouterr().err
    (out / "results.jsonl").unlink()
    os.mkfifo(out / "results.jsonl")
    assert main(["table", str(out)]) == 2
    assert main(["rerun", str(out)]) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_study_within_a_process_leaves_no_descriptor_open(
    run: Run, out: Path, overwrite: bool
) -> None:
    run("--seeds", "0:1")  # what the first call opens for all of them
    before = set(Path("/proc/self/fd").iterdir())
    run("--seeds", "0:2")
    # It is refused, by what lies in the place of the lines.
    (out / "results.jsonl").write_text("somebody else's")
    run("--seeds", "0:3", *(["--overwrite"] if overwrite else []), code=0 if overwrite else 2)
    assert set(Path("/proc/self/fd").iterdir()) == before


def test_why_tasks_that_have_results_run_again_is_told(
    bundle: Path, out: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    def told(*words: str) -> list[str]:
        run("--seeds", "0:3", *words)
        lines = capfd.readouterr().err.splitlines()
        return [line for line in lines if line.startswith("note: to run again: ")]

    assert told() == told() == []
    (out / "1" / "sum.json").write_text("another's")
    assert told() == [
        "note: to run again: 1, which ran before a file was changed that they read or have made"
    ]
    assert told("--threads", "2") == [
        "note: to run again: 3, which ran with another --python, --lock, --threads or --env"
    ]
    (bundle / "wire.py").write_text(WIRE + "\n")
    assert told() == ["note: to run again: 3, which ran before the bundle was edited"]
    # What replaces another bundle's is no edit of it.
    (bundle / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\n')
    assert told("--overwrite") == []


@pytest.mark.parametrize("words", [[], ["--seeds", "0:2"]])
def test_outputs_that_are_not_kept_are_told(
    words: list[str], bundle: Path, out: Path, cache: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))
    told = "outputs: not kept; --output DIR keeps them"
    assert main(["exec", str(bundle), *words]) == 0
    assert capfd.readouterr().err.splitlines()[-1] == told
    assert main(["exec", str(bundle), *words, "-q"]) == 0
    assert main(["exec", str(bundle), *words, "--output", str(out)]) == 0
    assert told not in capfd.readouterr().err


def test_what_tasks_warn_of_is_counted_at_the_end(
    bundle: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (bundle / "wire.py").write_text(
        "import warnings\ndef warm(): pass\n"
        "def wire(entrypoint, params, seed):\n"
        "    if seed > 1:\n"
        "        warnings.warn('the root of tok-53cret123 is not found')\n"
        "    return {'seed': str(seed).encode()}\n"
    )
    run("--seeds", "0:4", "--env", "API_TOKEN=tok-53cret123")
    expected = "note: 2 of 4 tasks warned in wire.py:5: UserWarning: the root of **** is not found"
    assert expected in capfd.readouterr().err.splitlines()
    run("--seeds", "0:2", "--overwrite")
    assert "warned" not in capfd.readouterr().err


def test_seeds_that_change_nothing_are_told(
    bundle: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    told = "tasks that differ in their seed alone have the same outputs"
    run("--grid", "b=1,2", "--seeds", "0:3")
    assert told not in capfd.readouterr().err
    (bundle / "wire.py").write_text(
        "import random\nrandom.seed(7)\ndef warm(): pass\n"
        "def wire(entrypoint, params, seed):\n"
        "    return {'drawn': repr(random.random()).encode()}\n"
    )
    run("--grid", "b=1,2", "--seeds", "0:3", "--overwrite")
    assert f"note: 3 {told}" in capfd.readouterr().err
    # Few tasks may be the same by chance.
    run("--grid", "b=1,2,3,4", "--seeds", "0:2", "--overwrite")
    assert told not in capfd.readouterr().err
    # These differ in what is equal to Python, and in nothing at all.
    run("--grid", "b=1,1.0,true", "--overwrite")
    tasks = bundle.parent / "tasks.jsonl"
    tasks.write_text('{"seed": 4}\n' * 3)
    run("--tasks", str(tasks), "--overwrite")
    assert told not in capfd.readouterr().err


def test_seeds_that_change_a_file_that_is_left_are_used(
    bundle: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (bundle / "wire.py").write_text(
        "def warm(): pass\n"
        "def wire(entrypoint, params, seed):\n"
        "    open('drawn.txt', 'w').write(str(seed))\n"
        "    return {'state.txt': b'done'}\n"
    )
    run("--seeds", "0:3")
    assert "have the same outputs" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("model", "isolation", "told"),
    [
        ("CACHE.setdefault('b', params.get('b')); return {'b': repr(CACHE).encode()}", "warm", "b"),
        ("CACHE[len(CACHE)] = 0; return {'n': repr(CACHE).encode()}", "warm", "n"),
        ("CACHE[len(CACHE)] = 0; return {'n': repr(CACHE).encode()}", "fork", None),
        ("CACHE[params.get('b')] = 0; return {'b': repr(params).encode()}", "warm", None),
        ("return {'drawn': repr((params, seed, random.random())).encode()}", "warm", None),
    ],
)
def test_what_a_warm_task_finds_of_those_before_it_is_told(
    model: str, isolation: str, told: str | None,
    bundle: Path, run: Run, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (bundle / "wire.py").write_text(
        "import random\nCACHE = {}\ndef warm(): pass\n"
        f"def wire(entrypoint, params, seed):\n    {model}\n"
    )
    run("--grid", "b=1:5", "--isolation", isolation, "-j", "1")
    said = capfd.readouterr().err
    expected = f"note: task 3 gives another {told} in a process of its own: its results depend on"
    assert (expected in said) if told else ("in a process of its own" not in said)


def test_a_warm_task_is_compared_that_is_not_the_last(
    bundle: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (bundle / "wire.py").write_text(
        "BEFORE = []\ndef warm(): pass\n"
        "def wire(entrypoint, params, seed):\n"
        "    BEFORE.append(seed)\n"
        "    return {'n': b'' if seed > 7 else repr(BEFORE).encode()}\n"
    )
    run("--seeds", "0:9", "--isolation", "warm")
    assert "gives another n in a process of its own" in capfd.readouterr().err


def test_parameters_that_come_through_a_pipe_are_read_once(run: Run) -> None:
    reading, writing = os.pipe()
    os.write(writing, b'{"b": 5}')
    os.close(writing)
    lines = run("--seeds", "0:2", "--params", f"/dev/fd/{reading}")
    os.close(reading)
    assert [line["params"] for line in lines] == [{"b": 5}] * 2
