"""Folders are listed in the order of names, by whatever a model lists them with."""

import json
from pathlib import Path

import pytest
from conftest import need_python, write_bundle

from runner import Runner, RunnerError

PYTHONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]
WIRE = """
import glob, json, os, pickle, shutil, sys
from os import listdir, scandir
from pathlib import Path

def wire(entrypoint, params, seed):
    os.mkdir("made")
    for number in (7, 3, 9, 1, 8, 2, 6, 4, 5, 0):
        Path("made", f"{number}.csv").write_text("")
    descriptor = os.open("made", os.O_RDONLY)
    with scandir("made") as entries:
        first = next(entries).name
        rest = [entry.name for entry in entries]
    made = {
        "listdir": listdir("made"),
        "of a descriptor": os.listdir(descriptor),
        "scandir": [first, *rest],
        "walk": next(os.walk("made"))[2],
        "glob": [os.path.basename(name) for name in glob.glob("made/*.csv")],
        "iterdir": [path.name for path in Path("made").iterdir()],
        "Path.glob": [path.name for path in Path("made").glob("*.csv")],
    }
    bytes_too = listdir(b"made") == [name.encode() for name in made["listdir"]]
    os.chdir("made")
    here = [len(os.listdir()), len(list(os.scandir())), len(os.listdir(path="."))]
    same = pickle.loads(pickle.dumps(os.listdir)) is os.listdir
    safe = shutil.rmtree.avoids_symlink_attacks
    told = {"made": made, "here": here, "true": [bytes_too, same, safe]}
    return {"told.json": json.dumps(told).encode()}
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_every_listing_is_sorted(tmp_path: Path, cache: Path, python: str) -> None:
    need_python(python)
    bundle = write_bundle(tmp_path / "bundle", WIRE)
    with Runner(cache=cache, python=python) as runner:
        told = json.loads(runner.execute(bundle)["told.json"])
    names = [f"{number}.csv" for number in range(10)]
    assert told["made"] == dict.fromkeys(told["made"], names)
    assert told["here"] == [10, 10, 10]
    assert told["true"] == [True, True, True]


def test_a_folder_that_is_not_there_is_told_at_the_line_that_lists_it(
    tmp_path: Path, cache: Path
) -> None:
    bundle = write_bundle(
        tmp_path / "bundle", "import os\ndef wire(e, p, s):\n    return os.listdir('nowhere')\n"
    )
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(bundle)
    assert "wire.py:3" in caught.value.report.summary
    exception = caught.value.report.exception
    assert exception is not None and exception.type == "FileNotFoundError"
    assert [Path(frame.file).name for frame in exception.traceback] == ["wire.py"]
