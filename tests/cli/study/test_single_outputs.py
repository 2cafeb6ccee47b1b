"""The folder of a single task tells its story, as a study's does."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import write_bundle

import runner
from runner.cli import main
from runner.study.lines import FILE
from runner.study.run_file import STORY

WIRE = """\
import json, sys
def wire(entrypoint, params, seed):
    if "say" in params:
        print(params["say"])
    if entrypoint == "fail":
        print("no luck", file=sys.stderr)
        raise ValueError(seed)
    if entrypoint == "leave":
        open("left.txt", "w").write("left")
    return {params.get("name", "sum.json"): json.dumps({"sum": seed + 1}).encode()}
"""

MANIFEST = ".modelops-runner.json"
Exec = Callable[..., Path]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.fixture
def execute(
    bundle: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))
    output = tmp_path / "out"

    def execute(*words: str, code: int = 0) -> Path:
        assert main(["exec", str(bundle), *words, "--output", str(output)]) == code
        return output

    return execute


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {MANIFEST}


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / FILE).read_text().splitlines()]


def test_a_single_task_has_a_table_and_can_be_run_again(
    execute: Exec, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = execute("leave", "--param", "say=hello", "--param", "b=2", "--seed", "3")
    assert names(out) == {"sum.json", "files", "stdout", FILE, *STORY}
    assert (out / "stdout").read_text() == "hello\n"
    story = json.loads((out / "run.json").read_bytes())
    assert (story["bundle_archive"], story["pylock"]) == STORY[1:]
    assert story["finished_at"] and story["threads"] == lines(out)[0]["threads"]
    (record,) = runner.results(out)
    assert (record["entrypoint"], record["b"], record["seed"], record["sum"]) == ("leave", 2, 3, 4)
    (bundle / "wire.py").write_text("raise SystemExit\n")
    for words in ([], ["0"]):
        capfd.readouterr()
        assert main(["rerun", str(out), *words]) == 0
        assert capfd.readouterr().out == "task 0: the same bytes\n"


def test_the_story_is_that_of_the_latest_task(execute: Exec) -> None:
    execute("leave", "--param", "say=hello")
    out = execute("--param", "name=other", "--seed", "7")
    assert names(out) == {"other", FILE, *STORY}
    (line,) = lines(out)
    assert (line["seed"], list(line["outputs"])) == (7, ["other"])
    out = execute("fail", "--param", "say=oh", code=13)
    assert names(out) == {"stdout", "stderr", FILE, *STORY}
    assert (out / "stderr").read_text() == "no luck\n"
    (record,) = runner.results(out)
    assert (record["ok"], record["error"]) == (False, "task-raised")
    # What ends before a child is started leaves all of that.
    execute("--python", "/no/python", code=10)
    assert lines(out)[0]["ok"] is False
    assert names(execute()) == {"sum.json", FILE, *STORY}


def test_versions_that_are_written_down_already_are_not_asked_for_again(
    execute: Exec, bundle: Path
) -> None:
    out = execute()
    with (out / "pylock.toml").open("a") as file:
        file.write("# of the first run\n")
    first = (out / "bundle.tar.gz").stat().st_mtime_ns
    execute("--seed", "5")
    assert "# of the first run" in (out / "pylock.toml").read_text()
    (bundle / "wire.py").write_text(WIRE + "# edited\n")
    execute("--seed", "5")
    assert "# of the first run" not in (out / "pylock.toml").read_text()
    assert (out / "bundle.tar.gz").stat().st_mtime_ns > first
    assert main(["rerun", str(out)]) == 0


@pytest.mark.parametrize("name", [FILE, *STORY])
def test_an_output_keeps_its_name_where_the_story_has_the_same(
    name: str, execute: Exec, capfd: pytest.CaptureFixture[str]
) -> None:
    execute()
    out = execute("--param", f"name={name}")
    assert names(out) == {name}
    assert json.loads((out / name).read_bytes()) == {"sum": 1}
    assert f"the output {name} has the name of a file of the run's own" in capfd.readouterr().err
    assert names(execute()) == {"sum.json", FILE, *STORY}


def test_what_is_printed_is_kept_beside_an_output_of_that_name(execute: Exec) -> None:
    out = execute("--param", "name=stdout", "--param", "say=hello")
    assert (out / "stdout%").read_text() == "hello\n"
    assert names(execute()) == {"sum.json", FILE, *STORY}


def test_a_readers_own_file_is_set_aside(execute: Exec, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for name in ("run.json", "stdout"):
        (tmp_path / "out" / name).write_text("mine")
    out = execute("--param", "say=hello")
    assert names(out) == {*("sum.json", "stdout", "stdout.~1~", "run.json.~1~", FILE), *STORY}
    assert (out / "run.json.~1~").read_text() == "mine"


def test_a_study_in_the_folder_keeps_its_story(
    execute: Exec, capfd: pytest.CaptureFixture[str]
) -> None:
    out = execute("--seeds", "0:2")
    before = {name: (out / name).read_bytes() for name in (FILE, *STORY)}
    execute("--param", "say=hello", "--seed", "5")
    assert "what this task ran with is not kept" in capfd.readouterr().err.replace("\n", " ")
    assert {name: (out / name).read_bytes() for name in (FILE, *STORY)} == before
    assert names(out) == {"0", "1", "sum.json", FILE, *STORY}
    execute("--seed", "5", "--overwrite")
    assert names(out) == {"sum.json", FILE, *STORY}
    assert [record["seed"] for record in runner.results(out)] == [5]
    assert main(["rerun", str(out)]) == 0


def test_a_study_takes_the_place_of_a_single_task_only_when_told_to(execute: Exec) -> None:
    out = execute("--param", "say=hello", "--seed", "5")
    execute("--seeds", "5,6", code=2)
    assert [record["seed"] for record in runner.results(out)] == [5]
    # The same task is run again: its outputs have another place.
    execute("--param", "say=hello", "--seeds", "5,6", "--overwrite")
    assert names(out) == {"0", "1", FILE, *STORY} and not (out / MANIFEST).exists()
    assert [record["sum"] for record in runner.results(out)] == [6, 7]
    assert (out / "0" / "stdout").read_text() == "hello\n"


def test_the_versions_of_an_environment_are_asked_for_once_whatever_folder_tells_them(
    execute: Exec, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"  # what is kept in the shared one is other tests' too
    monkeypatch.setenv("MODELOPS_CACHE_DIR", str(cache))
    (bundle / "requirements.txt").write_text("iniconfig==2.0.0\n")
    out = execute()
    lock = (out / "pylock.toml").read_bytes()
    assert b"iniconfig" in lock and b"sha256" in lock
    key = json.loads((out / "run.json").read_bytes())["environment"]["key"]
    (kept,) = cache.glob(f"environments/*/modelops-{key}.pylock.toml")
    assert kept.read_bytes() == lock
    kept.write_bytes(lock + b"# as kept\n")
    other = ["exec", str(bundle), "--output"]
    assert main([*other, str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "pylock.toml").read_bytes() == lock + b"# as kept\n"
    assert main([*other, str(tmp_path / "study"), "--seeds", "0:2"]) == 0
    assert (tmp_path / "study" / "pylock.toml").read_bytes() == lock + b"# as kept\n"
    # What lies in its place, and is none, is not waited for.
    kept.unlink()
    os.mkfifo(kept)
    assert main([*other, str(tmp_path / "third")]) == 0
    assert (tmp_path / "third" / "pylock.toml").read_bytes() == lock
    assert kept.read_bytes() == lock
