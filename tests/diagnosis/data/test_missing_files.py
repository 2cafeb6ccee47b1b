"""Data files that are in the bundle, and not where its code looks; and the hints, followed."""

import textwrap
from pathlib import Path

import pytest
from following import follow
from recordings import failure

from runner import Runner, RunnerError
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report

PROJECT = """
[project]
name = "seirm"
version = "0.1.0"

[project.entry-points."modelops.wire"]
seirm = "seirm.model:wire"

[build-system]
"""
SETUPTOOLS = 'requires = ["setuptools>=70"]\nbuild-backend = "setuptools.build_meta"\n'
HATCHLING = 'requires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
POETRY = 'requires = ["poetry-core>=2"]\nbuild-backend = "poetry.core.masonry.api"\n'

BESIDE = """
from pathlib import Path

def wire(e, p, s):
    return {"v": (Path(__file__).parent / "data" / "ages.csv").read_bytes()}
"""
RESOURCE = """
import importlib.resources as r

AGES = (r.files("seirm") / "data" / "ages.csv").read_bytes()

def wire(e, p, s):
    return {"v": AGES}
"""
TOP = """
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

def wire(e, p, s):
    return {"v": (ROOT / "data" / "ages.csv").read_bytes()}
"""
TOP_OS = """
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
with open(os.path.join(ROOT, "data", "ages.csv"), "rb") as f:
    AGES = f.read()

def wire(e, p, s):
    return {"v": AGES}
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    return folder


def project(folder: Path, wire: str, toml: str, data: str = "src/seirm/data/ages.csv") -> Path:
    files = {
        "pyproject.toml": PROJECT + toml,
        "src/seirm/__init__.py": "",
        "src/seirm/model.py": wire,
        data: "age,n\n",
    }
    return write(folder, files)


def fails(runner: Runner, folder: Path) -> Report:
    report = failure(runner, folder)
    if report.code is Code.INDEX_UNREACHABLE:
        pytest.skip("the package index is out of reach")
    return report


LEFT_OUT = {
    "setuptools": SETUPTOOLS,
    "setuptools with package-data of other kinds": SETUPTOOLS
    + '[tool.setuptools.package-data]\nseirm = ["data/*.json"]\n',
    "setuptools with package-data of other packages": SETUPTOOLS
    + '[tool.setuptools.package-data]\nother = ["*.json"]\n',
    "hatchling with an exclude": HATCHLING
    + '[tool.hatch.build.targets.wheel]\nexclude = ["*.csv", "*.bak"]\n',
    "hatchling with a .gitignore": HATCHLING,
    "poetry with an exclude": POETRY
    + '[tool.poetry]\npackages = [{include = "seirm", from = "src"}]\nexclude = ["**/data/**"]\n',
}


# How a model asks for its file, and why the wheel has it not, have nothing to do with each other.
@pytest.mark.parametrize(
    ("wire", "name"),
    [(RESOURCE, "setuptools"), *((BESIDE, name) for name in LEFT_OUT)],
    ids=lambda value: value if value in LEFT_OUT else {BESIDE: "beside"}.get(value, "resource"),
)
def test_a_data_file_that_the_wheel_lacks_is_packaged_as_the_hint_says(
    name: str, wire: str, tmp_path: Path, cache: Path
) -> None:
    folder = project(tmp_path / "b", wire, LEFT_OUT[name])
    if ".gitignore" in name:
        write(folder, {".gitignore": "*.csv\n"})
    with Runner(cache=cache) as runner:
        report = fails(runner, folder)
        assert report.summary.startswith("src/seirm/data/ages.csv is in the bundle, and not in")
        follow(report, folder)
        assert runner.execute(folder)["v"] == b"age,n\n"


@pytest.mark.parametrize("wire", [TOP, TOP_OS], ids=["pathlib", "os.path"])
def test_a_folder_beside_src_is_read_from_the_working_folder(
    wire: str, tmp_path: Path, cache: Path
) -> None:
    folder = project(tmp_path / "b", wire, SETUPTOOLS, "data/ages.csv")
    with Runner(cache=cache) as runner:
        report = fails(runner, folder)
        assert report.summary.startswith("data/ages.csv is in the bundle, and not in")
        follow(report, folder)
        assert runner.execute(folder)["v"] == b"age,n\n"


ELSEWHERE = {
    "from the folder of the code": ("data/ages.csv", "model/data/ages.csv"),
    "from a folder above": ("../inputs/ages.csv", "inputs/ages.csv"),
    "at another place": ("data/ages.csv", "inputs/2020/ages.csv"),
    "in other capitals": ("Data/Ages.csv", "data/ages.csv"),
    "misspelt": ("data/age.csv", "data/ages.csv"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_relative_path_that_leads_elsewhere_is_corrected(
    name: str, tmp_path: Path, cache: Path
) -> None:
    asked, there = ELSEWHERE[name]
    source = f"""
        def wire(e, p, s):
            with open("{asked}", "rb") as f:
                return {{"v": f.read()}}
    """
    files = {"requirements.txt": "", "wire.py": source, there: "age,n\n"}
    folder = write(tmp_path / "b", files)
    with Runner(cache=cache) as runner:
        report = failure(runner, folder)
        assert there in report.summary, report.summary
        follow(report, folder)
        assert runner.execute(folder)["v"] == b"age,n\n"


@pytest.mark.parametrize(
    ("line", "summary", "hint"),
    [
        ("open('nowhere.csv')", "asks for nowhere.csv, which is not", "as nowhere.csv"),
        ("json.load(open('/home/me/data/x.json'))", "asks for /home/me/data/x.json, which this",
         "read it by its path there, as 'x.json'"),
        ("open('run_2020.csv')", "asks for run_2020.csv, which is not", "as run_2020.csv"),
        ("open('out/a.csv', 'w')", "there is no folder out", "os.makedirs('out'"),
        ("Path('out/a.txt').write_text('')", "there is no folder out", "'out'"),
        ("Path('out/a.txt').open(mode='a')", "there is no folder out", "'out'"),
        ("import os; os.chdir('/no/run')", "asks for /no/run, which this worker", "working folder"),
        ("open('data/' + 'nowhere.csv')", "FileNotFoundError in wire.py:3", "see wire.py:3"),
        ("open('/nowhere/a.csv', 'w')", "writes /nowhere/a.csv, and this", "as 'a.csv'"),
        ("import os; os.listdir('/home/' + 'me')", "asks for /home/me, which this worker",
         "name it by its path there"),
        ("import logging; logging.basicConfig(level=1, filename='/nowhere/run.log')",
         "writes /nowhere/run.log, and this worker has no folder /nowhere", "as 'run.log'"),
    ],
)  # fmt: skip
def test_a_file_that_the_bundle_does_not_have_is_named(
    line: str, summary: str, hint: str, tmp_path: Path, cache: Path
) -> None:
    wire = f"import json\nfrom pathlib import Path\n{line}\n"
    files = {"requirements.txt": "", "wire.py": wire, "data/ages.csv": "", "run_2021.csv": ""}
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(write(tmp_path / "b", files))
    report = caught.value.report
    assert summary in report.summary and hint in report.hints[0].title


def test_a_file_that_is_excluded_is_not_only_to_be_put_there(tmp_path: Path, cache: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "sir"\nversion = "1"\n[tool.uv]\npackage = false\n'
        '[tool.modelops]\nexclude = ["data/"]\n',
        "wire.py": "open('data/ages.csv')",
        "data/ages.csv": "",
    }
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.execute(write(tmp_path / "b", files))
    report = caught.value.report
    assert "asks for data/ages.csv, which is not in the bundle" in report.summary
    assert "[tool.modelops] exclude" in report.hints[0].title


@pytest.mark.parametrize(
    "path",
    [
        "'data\\\\ages.csv'",
        'r"data\\ages.csv"',
        "r'C:\\Users\\me\\sir\\data\\ages.csv'",
        "'D:/sir/data/ages.csv'",
    ],
)
def test_a_path_of_windows_is_written_as_the_bundle_has_it(
    path: str, tmp_path: Path, cache: Path
) -> None:
    wire = f"def wire(e, p, s):\n    return {{'v': open({path}, 'rb').read()}}\n"
    files = {"requirements.txt": "", "wire.py": wire, "data/ages.csv": "1"}
    folder = write(tmp_path / "b", files)
    with Runner(cache=cache) as runner:
        with pytest.raises(RunnerError) as caught:
            runner.execute(folder)
        assert "asks for a path of Windows" in caught.value.report.summary
        follow(caught.value.report, folder)
        assert runner.execute(folder)["v"] == b"1"
