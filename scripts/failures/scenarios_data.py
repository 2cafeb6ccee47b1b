"""Scenarios of data files that are not what, or not where, the bundle's code expects."""

import pickle
import sqlite3

from failures.index import index, wheel
from failures.scenario import Place, Scenario
from failures.scenarios_bundle import project
from failures.scenarios_deaths import task
from runner.diagnosis.report.codes import Code

_POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)
_PICKLE = """
import pickle
with open("data/d.pkl", "rb") as file:
    CONTACTS = pickle.load(file)
"""

# As setuptools does it: a package's modules go into the wheel, and its data does not.
_SETUPTOOLS = r"""
import pathlib, zipfile

WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name, info = "sir-1.0-py3-none-any.whl", "sir-1.0.dist-info"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w") as wheel:
        for path in sorted(pathlib.Path("src").rglob("*.py")):
            wheel.write(path, path.relative_to("src"))
        if "[tool.setuptools.package-data]" in pathlib.Path("pyproject.toml").read_text():
            wheel.write("src/sir/data/ages.csv", "sir/data/ages.csv")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: sir\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", WHEEL)
        wheel.writestr(f"{info}/entry_points.txt", "[modelops.wire]\nsir = sir.model:wire\n")
        wheel.writestr(f"{info}/RECORD", "")
    return name
"""
_PROJECT = project(
    '\n[project.entry-points."modelops.wire"]\nsir = "sir.model:wire"\n'
    '\n[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
)


def _installed(reads: str, data: str) -> dict[str, str | bytes]:
    """A bundle that is installed as a package, and reads a data file."""
    model = (
        "from pathlib import Path\n\nROOT = Path(__file__).resolve().parents[2]\n\n"
        f"def wire(entrypoint, params, seed):\n    return {{'ages': {reads}.read_bytes()}}\n"
    )
    files = {"src/sir/__init__.py": "", "src/sir/model.py": model, data: "age,n\n"}
    return {"pyproject.toml": _PROJECT, **files}


_backend = index(wheel("setuptools", "80.0", files={"setuptools/build_meta.py": _SETUPTOOLS}))


def _database(place: Place) -> None:
    """The bundle has a database, in a folder."""
    (place.bundle / "data").mkdir()
    with sqlite3.connect(place.bundle / "data" / "epi.db") as database:
        database.execute("CREATE TABLE cases (day, number)")
    database.close()


DATA = (
    Scenario(
        "task-raised-not-compiled",
        Code.TASK_RAISED,
        "a program that the bundle has the source of was not compiled",
        {
            "requirements.txt": "",
            "model/Makefile": "decay: decay.c\n\tcc -o decay decay.c\n",
            "model/decay.c": '#include <stdio.h>\nint main(void) { puts("0.5"); return 0; }\n',
            "wire.py": (
                "import subprocess\n\n\ndef wire(entrypoint, params, seed):\n"
                '    return {"decay.txt": subprocess.check_output(["model/decay"])}\n'
            ),
        },
    ),
    Scenario(
        "load-raised-lfs-pointer",
        Code.LOAD_RAISED,
        "a pickle that is a Git LFS pointer is read while the bundle is imported",
        {"requirements.txt": "", "wire.py": _PICKLE, "data/d.pkl": _POINTER},
    ),
    Scenario(
        "task-raised-lfs-pointer",
        Code.TASK_RAISED,
        "a table that is a Git LFS pointer has not the columns that a task asks for",
        {
            **task(
                'with open("data/d.csv") as file:\n    rows = list(csv.DictReader(file))\n'
                'total = sum(float(row["age"]) for row in rows)',
                "import csv",
            ),
            "data/d.csv": _POINTER,
        },
    ),
    Scenario(
        "task-raised-not-packaged",
        Code.TASK_RAISED,
        "a package's data file is not in its wheel",
        _installed('(Path(__file__).parent / "data" / "ages.csv")', "src/sir/data/ages.csv"),
        prepare=(_backend,),
    ),
    Scenario(
        "task-raised-beside-src",
        Code.TASK_RAISED,
        "a folder beside src is looked for beside what is installed",
        _installed('(ROOT / "data" / "ages.csv")', "data/ages.csv"),
        prepare=(_backend,),
    ),
    Scenario(
        "task-raised-path-elsewhere",
        Code.TASK_RAISED,
        "a relative path begins at another folder than the bundle's",
        {**task('open("data/ages.csv")'), "model/data/ages.csv": "age,n\n"},
    ),
    Scenario(
        "task-raised-parameter-misspelt",
        Code.TASK_RAISED,
        "a parameter has another name than the one that the task reads",
        task('return {"v": str(params["gamma"]).encode()}'),
        args=("--param", "beta=0.3", "--param", "gama=0.1"),
    ),
    Scenario(
        "task-raised-database-elsewhere",
        Code.TASK_RAISED,
        "a database of the bundle is in another folder, and SQLite makes an empty one",
        task(
            "database = sqlite3.connect('epi.db')\n"
            "return {'x': str(database.execute('SELECT * FROM cases').fetchall()).encode()}",
            "import sqlite3",
        ),
        prepare=(_database,),
    ),
    Scenario(
        "task-raised-cut-off",
        Code.TASK_RAISED,
        "a data file was cut off by a download that stopped",
        {
            **task(
                'with open("data/contacts.pkl", "rb") as file:\n    pickle.load(file)',
                "import pickle",
            ),
            "data/contacts.pkl": pickle.dumps(list(range(99)), protocol=4)[:50],
        },
    ),
)
