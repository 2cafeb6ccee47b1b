"""The files that tasks leave in their working folders, as ``exec`` keeps and names them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_bundle
from forked_command import run_command

WIRE = """
import os
def wire(entrypoint, params, seed):
    os.makedirs("plots")
    open("plots/a.png", "w").write("x" * seed)
    os.symlink("/etc", "etc")
    return {"files": b"1", "v": b"2"}
"""
RUN_SECONDS = 60


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "model", WIRE)


def run(cache: Path, *words: str | Path) -> "subprocess.CompletedProcess[str]":
    return run_command(
        [sys.executable, "-m", "runner", "exec", *map(str, words)],
        env={**os.environ, "MODELOPS_CACHE_DIR": str(cache)},
        timeout=RUN_SECONDS,
        check=True,
    )


def test_files_of_one_task_are_kept_beside_its_outputs(
    bundle: Path, cache: Path, tmp_path: Path
) -> None:
    output = tmp_path / "o"
    done = run(cache, bundle, "--seed", "3", "--output", output, "--json")
    # An output may be called as the folder is.
    assert (output / "files").read_text() == "1"
    assert (output / "files%" / "plots" / "a.png").read_text() == "xxx"
    files = json.loads(done.stdout)["files"]
    assert files["plots/a.png"]["size"] == 3
    assert files["plots/a.png"]["path"] == str(output / "files%" / "plots" / "a.png")
    assert "not kept: etc" in done.stderr
    assert not (output / "files%" / "etc").exists()
    done = run(cache, bundle, "--seed", "3", "--output", output)
    assert done.stderr.splitlines()[-1] == f"files: {output / 'files%' / 'plots' / 'a.png'}"


def test_without_a_folder_one_line_names_them(bundle: Path, cache: Path) -> None:
    done = run(cache, bundle, "--seed", "3")
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert notes == [
        "note: a task left in its working folder: plots/a.png, etc; --output DIR keeps its files"
    ]


def test_files_of_many_tasks_are_kept_and_listed(bundle: Path, cache: Path, tmp_path: Path) -> None:
    (bundle / "wire.py").write_text(WIRE.replace('"files": b"1", ', ""))
    tasks, output = tmp_path / "t.jsonl", tmp_path / "o"
    tasks.write_text('{"seed": 1}\n{"seed": 2}\n{"seed": 3}\n')
    done = run(cache, bundle, "--tasks", tasks, "--output", output)
    for text in (output / "results.jsonl").read_text().splitlines():
        line = json.loads(text)
        kept = output / str(line["index"]) / "files" / "plots" / "a.png"
        assert kept.read_text() == "x" * (line["index"] + 1)
        assert line["files"]["plots/a.png"]["size"] == line["index"] + 1
    assert done.stderr.count("not kept") == 1


@pytest.mark.parametrize("many", [False, True])
def test_what_somebody_has_put_beside_a_tasks_files_stays(
    bundle: Path, cache: Path, tmp_path: Path, many: bool
) -> None:
    tasks, output = tmp_path / "tasks.jsonl", tmp_path / "o"
    words: list[str | Path] = ["--tasks", tasks] if many else []
    files = output / ("0/files%" if many else "files%")
    tasks.write_text('{"seed": 3}')
    run(cache, bundle, *words, "--output", output)
    (files / "plots" / "mine.txt").write_text("mine")
    (bundle / "wire.py").write_text("def wire(entrypoint, params, seed): return {'v': b'2'}")
    run(cache, bundle, *words, "--output", output)
    assert [path.name for path in (files / "plots").iterdir()] == ["mine.txt"]
