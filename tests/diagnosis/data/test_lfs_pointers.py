"""Files that Git LFS has not fetched: bundles that read one, and what is said of them."""

import textwrap
from pathlib import Path

import pytest
from recordings import failure, replayed, same

from runner import Runner
from runner.bundle.content import bundle_digest, content_files
from runner.bundle.read import read_bundle
from runner.diagnosis.report.codes import Code

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)

READS = {
    "d.pkl": """
        import pickle
        with open("data/d.pkl", "rb") as f:
            D = pickle.load(f)
        """,
    "d.json": """
        import json
        from pathlib import Path
        D = json.loads((Path(__file__).parent / "data" / "d.json").read_text())
        """,
    "d.csv": """
        import csv
        with open("data/d.csv") as f:
            rows = list(csv.DictReader(f))
        TOTAL = sum(float(row["age"]) for row in rows)
        """,
    "d.txt": """
        NAMES = ["d"]
        for name in NAMES:
            with open(f"data/{name}.txt") as f:
                NUMBERS = [float(line) for line in f]
        """,
    "d.db": """
        import sqlite3
        sqlite3.connect("data/d.db").execute("select * from ages")
        """,
    "d.gz": """
        import gzip
        gzip.open("data/d.gz").read()
        """,
}


def bundle(folder: Path, wire: str, pointer: str = "data/d.csv") -> Path:
    files = {
        "requirements.txt": "",
        "wire.py": textwrap.dedent(wire) + "\ndef wire(e, p, s):\n    return {'x': b''}\n",
        pointer: POINTER,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", READS)
def test_a_pointer_is_named_where_it_surfaces(name: str, tmp_path: Path, cache: Path) -> None:
    folder = bundle(tmp_path / "b", READS[name], f"data/{name}")
    record = tmp_path / "record"
    with Runner(cache=cache, record=record) as runner:
        report = failure(runner, folder)
    assert report.code is Code.LOAD_RAISED
    assert f"data/{name} is a Git LFS pointer, not the file itself" in report.summary, report
    assert (report.hints[0].command or "").endswith("&& git lfs pull")
    assert same(replayed(record)) == same(report)


def test_a_module_that_is_a_pointer_is_named(tmp_path: Path, cache: Path) -> None:
    folder = bundle(tmp_path / "b", "import tables", "tables.py")
    with Runner(cache=cache) as runner:
        report = failure(runner, folder)
    assert report.code is Code.SYNTAX_ERROR
    assert report.summary.startswith("tables.py is a Git LFS pointer")


@pytest.mark.parametrize("raises", ["raise ValueError('beta is negative')", "1 / nought"])
def test_a_failure_of_the_code_itself_keeps_its_words(
    raises: str, tmp_path: Path, cache: Path
) -> None:
    folder = bundle(tmp_path / "b", f"FILE = 'data/d.csv'\n{raises}")
    with Runner(cache=cache) as runner:
        report = failure(runner, folder)
    assert "wire.py:2" in report.summary and "pointer" not in report.summary
    assert "data/d.csv of the bundle is a Git LFS pointer" in report.explanation
    assert (report.hints[-1].command or "").endswith("&& git lfs pull")


def test_reading_a_bundle_warns_of_its_pointers(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", "")
    (note,) = read_bundle(folder).notes
    assert note.startswith("data/d.csv is a Git LFS pointer") and "git lfs pull" in note
    (folder / "data" / "e.csv").write_text(POINTER)
    (note,) = read_bundle(folder).notes
    assert note.startswith("data/d.csv and another file are Git LFS pointers")


def test_a_text_about_pointers_is_none(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", "", "docs/lfs.md")
    digest = bundle_digest(folder, content_files(folder))
    (folder / "docs" / "lfs.md").write_text(POINTER + "It stands in the file's place. " * 50)
    read = read_bundle(folder)
    assert read.notes == () and read.lfs_pointers == ()
    assert read.digest != digest
