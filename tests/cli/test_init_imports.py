"""``init`` where another tool knows the model: the report leads there, and then it runs."""

import json
import shlex
import sys
from pathlib import Path

import pytest
from conftest import write_files
from recordings import failure

from runner import Runner, RunnerError
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.versions import conda, pep440
from runner.bundle.pyproject import read_pyproject
from runner.bundle.read import read_bundle
from runner.cli import main
from runner.diagnosis.report.codes import Code

WIRE = "def wire(entrypoint, params, seed):\n    return {'v': %s.encode()}\n"
SIX = "import six\n" + WIRE % "six.__version__"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def _notebook(*sources: str) -> str:
    cells = [
        {"cell_type": "code", "metadata": {}, "source": source.splitlines(keepends=True)}
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


SETUP = """
from setuptools import setup
REQUIRES = ["six>=1.16"]
setup(name="epi", version="2.0", packages=["epi"], install_requires=REQUIRES + ["idna"],
      python_requires=">=3.9", description=open("README.md").read())
"""
CONDA = f"""
name: epi
channels:
  - conda-forge
dependencies:
  - python={HERE}
  - conda-forge::six=1.16  # pinned
  - libgcc-ng=13.2.0=h807b86a_5
  - graph-tool
  - pip
  - pip:
    - idna>=3
    - -r more.txt
"""
PIPFILE = """
[packages]
six = "*"
idna = {version = "~=3.4", markers = "python_version > '3.0'"}
[dev-packages]
nothing-of-this-name = "*"
[requires]
python_version = "%s"
"""
POETRY = """
[tool.poetry]
name = "epi"
version = "0.3"
package-mode = false
[tool.poetry.dependencies]
python = "^3.9"
six = "^1.16"
idna = {version = "^3.4", optional = true}
"""
SCRIPT = f"""
# /// script
# requires-python = ">=3.9"
# dependencies = [
#   "six",
# ]
# ///
{SIX}"""

CASES = {
    "setup": {"setup.py": SETUP, "epi/__init__.py": "", "wire.py": SIX, "README.md": "epi"},
    "setup-cfg": {
        "setup.cfg": "[metadata]\nname = epi\n[options]\npy_modules = wire\n"
        "python_requires = >=3.9\ninstall_requires =\n    six\n    idna\n",
        "wire.py": SIX,
    },
    "conda": {"environment.yml": CONDA, "wire.py": SIX},
    "pipenv": {"Pipfile": PIPFILE % HERE, "wire.py": SIX},
    "poetry": {"pyproject.toml": POETRY, "wire.py": SIX},
    "script": {"wire.py": SCRIPT},
    "notebook": {
        "model.ipynb": _notebook(
            "%matplotlib inline\nimport six, json", "scale = 1\nv = six.__version__"
        )
    },
}


@pytest.mark.parametrize("kind", CASES)
def test_following_the_hint_makes_it_run(kind: str, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "my model", CASES[kind])
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.code is Code.BUNDLE_NOT_FOUND
        assert next(name for name in CASES[kind] if name != "epi/__init__.py") in report.summary
        command = report.hints[0].command
        assert command == f"modelops-runner init {shlex.quote(str(folder))}"
        assert main(shlex.split(command)[1:]) == 0
        outputs = runner.execute(folder, params={"scale": 2}, seed=3)
        if kind == "notebook":
            result = json.loads(outputs["result.json"])
            assert result["v"].startswith("1.") and result["scale"] == 2 and result["seed"] == 3
        else:
            assert outputs["v"].startswith(b"1.")
    for name, text in CASES[kind].items():
        assert (folder / name).read_text().startswith(text)


def test_all_that_can_be_read_is_taken_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = {}
    for kind, files in CASES.items():
        folder = write_files(tmp_path / kind, files)
        if kind == "setup":
            (folder / "setup.py").write_text(f"raise SystemExit('it was run')\n{SETUP}")
        assert main(["init", str(folder)]) == 0
        bundle = read_bundle(folder)
        read[kind] = (bundle.name, bundle.version, bundle.python.text, bundle.dependencies)
    assert read == {
        "setup": ("epi", "2.0", ">=3.9", ("six>=1.16", "idna")),
        "setup-cfg": ("epi", "0.1.0", ">=3.9", ("six", "idna")),
        "conda": ("epi", "0.1.0", f"=={HERE}.*", ("six==1.16.*", "idna>=3")),
        "pipenv": (
            "pipenv", "0.1.0", f"=={HERE}.*", ("six", "idna~=3.4; python_version > '3.0'"),
        ),
        "poetry": ("epi", "0.3", ">=3.9,<4", ("six>=1.16,<2",)),
        "script": ("script", "0.1.0", ">=3.9", ("six",)),
        "notebook": ("notebook", "0.1.0", None, ("six",)),
    }  # fmt: skip
    said = capsys.readouterr().err
    assert "not taken over: graph-tool is a library for graphs" in said
    assert "-r more.txt of its pip list is not a requirement" in said
    assert "libgcc" not in said


def test_a_repository_is_named_as_pip_and_uv_name_it(tmp_path: Path) -> None:
    table = """
a = {git = "git@git.example:lab/a.git", tag = "v1"}
b = {git = "https://git.example/b.git"}
c = {git = "ssh://git@git.example:22/c.git"}
"""
    folder = write_files(tmp_path / "epi", {"Pipfile": f"[packages]\n{table}"})
    assert main(["init", str(folder)]) == 0
    assert read_bundle(folder).dependencies == (
        "a @ git+ssh://git@git.example/lab/a.git@v1",
        "b @ git+https://git.example/b.git",
        "c @ git+ssh://git@git.example:22/c.git",
    )


def test_what_another_tool_would_not_write_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = """
six = {version = "^1", extras = 3}
a = {version = "^1", extras = [[1]]}
b = 3
"c d" = "1"
e = {git = 3, branch = [1]}
f = {version = "*", python = "~="}
"""
    files = {
        "pyproject.toml": f"[tool.poetry]\nname = [1]\n[tool.poetry.dependencies]\n{table}",
        "Pipfile": f"[packages]\n{table}[requires]\npython_version = [1]\n",
        "model.ipynb": _notebook('!pip install -q "six" \'idna -r requirements.txt -U\n\0import x'),
        "environment.yml": "dependencies:\n  - [six]\n  - pip:\n  - {a: b}\n",
    }
    for name, text in files.items():
        folder = write_files(tmp_path / name.partition(".")[0], {name: text})
        assert main(["init", str(folder)]) == 0
        found = read_bundle(folder).dependencies
        if name == "model.ipynb":
            assert found == ("six", "idna")
    assert "b = 3 has no equal" in capsys.readouterr().err


def test_what_a_setup_py_computes_is_named_and_not_guessed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "import setuptools\nsetuptools.setup(name='epi',\n  install_requires=open('r').read())\n"
    folder = write_files(tmp_path / "epi", {"setup.py": text})
    assert main(["init", str(folder)]) == 0
    assert "install_requires of setup.py:3 is computed" in capsys.readouterr().err
    assert read_bundle(folder).dependencies == ()


def test_what_the_model_imports_beside_what_a_setup_py_asks_for_is_asked_for_too(
    tmp_path: Path,
) -> None:
    setup = "import setuptools\nsetuptools.setup(name='epi', install_requires=['six (>=1)', '!'])\n"
    model = "import epi, six, matplotlib\nprint(six)\n"
    folder = write_files(tmp_path / "epi", {"setup.py": setup, "epi.py": "", "run.py": model})
    assert main(["init", str(folder), "--model", "run.py"]) == 0
    assert read_bundle(folder).dependencies == ("six (>=1)", "matplotlib")


@pytest.mark.parametrize(
    ("files", "listed"),
    [
        ({"setup.py": "from setuptools import setup\nsetup(name='epi')\n"}, ["epi", "wire"]),
        (
            {
                "pyproject.toml": "[project]\nname = 'epi'\nversion = '1'\n[build-system]\n"
                "requires = ['setuptools']\n"
            },
            ["epi", "wire"],
        ),
        ({"setup.py": "from setuptools import setup\nsetup(py_modules=['epi'])\n"}, None),
        ({"setup.py": "from setuptools import setup\nsetup()\n", "a/__init__.py": ""}, None),
    ],
)
def test_setuptools_is_told_both_modules_where_a_wire_comes_beside_the_only_one(
    files: dict[str, str], listed: list[str] | None, tmp_path: Path
) -> None:
    folder = write_files(
        tmp_path / "epi", {**files, "epi.py": "def run(beta=1):\n    return beta\n"}
    )
    assert main(["init", str(folder), "--model", "epi.py:run"]) == 0
    pyproject = read_pyproject(folder)
    assert pyproject is not None
    assert pyproject.table("tool.setuptools").get("py-modules") == listed


def test_a_module_that_is_compiled_of_the_folders_own_sources_is_asked_of_nobody(
    tmp_path: Path,
) -> None:
    files = {
        "build.sh": "f2py -c -m flib model.f90\n",
        "src/fast.cpp": "PYBIND11_MODULE(fastsir, m) {}\n",
        "run.py": "import fastsir, flib, six\nprint(six)\n",
    }
    folder = write_files(tmp_path / "epi", files)
    assert main(["init", str(folder)]) == 0
    assert read_bundle(folder).dependencies == ("six",)


@pytest.mark.parametrize("in_cfg", [False, True])
def test_what_a_setup_py_says_besides_is_left_to_it(in_cfg: bool, tmp_path: Path) -> None:
    (tmp_path / "epi").mkdir()
    given = {
        "long_description": "What it simulates.",
        "description": "A model",
        "keywords": "sir",
        "author": "A. Modeller",
        "license": "MIT",
    }
    version = "version=open('VERSION').read().strip()"
    setup = [version, "packages=['epi']", "extras_require={'plot': ['matplotlib']}"]
    setup.append("entry_points={'console_scripts': ['epi = epi:main']}")
    cfg = ""
    if in_cfg:
        cfg = "\n".join(["[metadata]", *(f"{key} = {value}" for key, value in given.items())])
    else:
        setup += [f"{key}={value!r}" for key, value in given.items()]
    files = {
        "setup.py": f"from setuptools import setup\nsetup(name='epi', {', '.join(setup)})\n",
        "setup.cfg": cfg,
        "VERSION": "2.5\n",
        "MANIFEST.in": "include VERSION\n",
        "epi/__init__.py": "",
        "wire.py": "from importlib.metadata import metadata, entry_points\n"
        "def wire(entrypoint, params, seed):\n    m = metadata('epi')\n"
        "    return {'v': '|'.join([m['Version'], m['Summary'], m.get_payload().strip(),\n"
        "        *(e.value for e in entry_points(name='epi'))]).encode()}\n",
    }
    folder = write_files(tmp_path / "epi", files)
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        outputs = runner.execute(folder)
    assert outputs["v"] == b"2.5|A model|What it simulates.|epi:main"


def test_poetrys_older_table_runs_as_it_is(tmp_path: Path) -> None:
    text = POETRY.replace("package-mode = false", 'packages = [{include = "epi"}]') + (
        '[tool.poetry.plugins."modelops.wire"]\nepi = "epi.model:wire"\n'
        '[build-system]\nrequires = ["poetry-core"]\nbuild-backend = "poetry.core.masonry.api"\n'
    )
    files = {"pyproject.toml": text, "epi/__init__.py": "", "epi/model.py": SIX}
    folder = write_files(tmp_path / "model", files)
    bundle = read_bundle(folder)
    assert (bundle.name, bundle.version, bundle.wire) == ("epi", "0.3", "epi.model:wire")
    assert bundle.python.text == ">=3.9,<4" and bundle.dependencies is None
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["v"].startswith(b"1.")


@pytest.mark.parametrize("asked", ["", "six\n"])
def test_a_notebook_beside_its_requirements_gets_a_wire(tmp_path: Path, asked: str) -> None:
    files = {"requirements.txt": asked, "model.ipynb": _notebook("v = 2 * seed")}
    folder = write_files(tmp_path / "model", files)
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.code is Code.WIRE_NOT_DECLARED
        command = report.hints[0].command
        assert command is not None
        assert main(shlex.split(command)[1:]) == 0
        assert json.loads(runner.execute(folder, seed=3)["result.json"])["v"] == 6
    assert (folder / "requirements.txt").read_text() == asked


def test_a_parameter_takes_the_place_of_what_a_notebook_says(tmp_path: Path) -> None:
    cells = (
        "%matplotlib inline\nbeta = 0.3\nr = beta * 10\nseed: int = 42",
        "def peak(gamma):\n    return gamma\nn = 1\nn = n + 1\na, b = 1, 2\nc = d = 1",
        "import pickle\nclass Agent: pass\nagents = len(pickle.loads(pickle.dumps([Agent()])))",
        "if __name__ == '__main__':\n    display(a)\nfirst = (beta, r, seed, n)\nbeta = 7",
    )
    folder = write_files(tmp_path / "m", {"model.ipynb": _notebook(*cells)})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:

        def left(params: dict[str, object]) -> dict[str, object]:
            made = runner.execute(folder, params=params, seed=5)["result.json"]
            result: dict[str, object] = json.loads(made)
            return result

        assert left({})["r"] == 3 and left({})["seed"] == 5
        again = left({"beta": 0.5, "n": 10, "b": 3})
        assert (again["r"], again["n"], again["beta"]) == (5, 11, 7)
        assert (again["a"], again["b"]) == (1, 3)
        assert left({"r": [1]})["r"] == [1]
        # Never set, an argument, set beside another: none of them would change anything.
        for name in ("bta", "gamma", "d"):
            with pytest.raises(RunnerError, match=f"no cell of model.ipynb sets {name}"):
                left({name: 1})
        with pytest.raises(RunnerError, match="has no entry point 'lockdown'"):
            runner.execute(folder, "lockdown")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("^1.2.3", ">=1.2.3,<2"),
        ("^0.2.3", ">=0.2.3,<0.3"),
        ("^0.0.3", ">=0.0.3,<0.0.4"),
        ("^0", ">=0,<1"),
        ("~1.2.3", ">=1.2.3,<1.3"),
        ("~1", ">=1,<2"),
        ("~=1.4", "~=1.4"),
        ("*", ""),
        ("1.4", "==1.4"),
        ("1.4.*", "==1.4.*"),
        (">= 1.4, <2", ">=1.4,<2"),
        (">=1 || <0.5", None),
    ],
)
def test_poetrys_versions_are_translated(written: str, meant: str | None) -> None:
    assert pep440(written) == meant


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", ""),
        ("=1.26", "==1.26.*"),
        ("=1.26.*", "==1.26.*"),
        ("==1.26.4", "==1.26.4"),
        ("=1.26.4=py312_0", "==1.26.4"),
        (">=1.20,<2", ">=1.20,<2"),
        ("1.26.*", "==1.26.*"),
        ("1.2|1.3", None),
    ],
)
def test_condas_versions_are_translated(written: str, meant: str | None) -> None:
    assert conda(written) == meant


EXPORTED = f"""\
# This file may be used to create an environment using:
# $ conda create --name <env> --file <this file>
# platform: linux-64
_libgcc_mutex=0.1=main
openssl=3.0.13=h7f8727e_0
python={HERE}.1=h955ad1f_0
six=1.16.0=pyhd3eb1b0_1
brotli-bin=1.0.9=h5eee18b_7
idna=3.7=pypi_0
"""
# Without its head, as somebody has cut it off.
CUT = "".join(f"{line}\n" for line in EXPORTED.splitlines() if not line.startswith("#"))
LISTED = f"# packages in environment at /opt/envs/sir:\n{CUT.replace('=', '     ')}"


@pytest.mark.parametrize("exported", [EXPORTED, CUT, LISTED])
def test_condas_list_is_read_as_pips(exported: str, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "model", {"requirements.txt": exported, "wire.py": SIX})
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.code is Code.BUNDLE_INVALID
        command = report.hints[0].command
        assert command is not None
        assert main(shlex.split(command)[1:]) == 0
        bundle = read_bundle(folder)
        assert bundle.dependencies == ("six==1.16.0", "idna==3.7")
        assert bundle.python.text == f"=={HERE}.*"
        assert runner.execute(folder)["v"] == b"1.16.0"
    assert (folder / "requirements.txt").read_text() == exported


RUN = """
import argparse, json
import six
parser = argparse.ArgumentParser()
parser.add_argument("--beta", type=float)
parser.add_argument("--days", type=int, nargs="+")
parser.add_argument("--fast", action="store_true")
parser.add_argument("--seed", type=int)
with open("out.json", "w") as file:
    json.dump(vars(parser.parse_args()), file)
print(six.__version__)
"""


@pytest.mark.parametrize("there", ["pyproject.toml", "requirements.txt"])
def test_a_script_becomes_a_bundle_that_runs_it(there: str, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"run.py": RUN, "test_run.py": "import pytest\n"})
    if there == "requirements.txt":
        (folder / there).write_text("six\n")
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        command = report.hints[0].command
        assert command == f"modelops-runner init {folder}"
        assert main(shlex.split(command)[1:]) == 0
        params = {"beta": -0.5, "days": [1, 2], "fast": True, "other": None}
        result = runner.execute(folder, params=params, seed=7)
        assert result["printed.txt"].startswith(b"1.")
        with pytest.raises(RunnerError, match=r"run\.py:\d+ does not take the options .*--beta"):
            runner.execute(folder, params={"beta": "high"})
        assert json.loads(result.files["out.json"]) == {
            "beta": -0.5, "days": [1, 2], "fast": True, "seed": 7
        }  # fmt: skip
    assert (folder / "run.py").read_text() == RUN


ARGUMENTS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument(
    'country')
parser.add_argument("days", type=int, nargs="+")
parser.add_argument("--beta", type=float, required=True)
print(sorted(vars(parser.parse_args()).items()))
"""


def test_arguments_by_their_place_are_given_by_their_names(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"run.py": ARGUMENTS})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.hints[0].command == (
            f"modelops-runner exec {folder} --param country=... --param days=... --param beta=..."
        )
        params = {"days": [1, 2], "beta": 0.5, "country": "Peru"}
        made = runner.execute(folder, params=params)["printed.txt"]
    assert made == b"[('beta', 0.5), ('country', 'Peru'), ('days', [1, 2])]\n"


def test_numbers_of_a_command_line_are_given_by_the_names_that_they_get(tmp_path: Path) -> None:
    text = "import sys\nbeta = float(sys.argv[1])\n"
    text += "days = int(sys.argv[2]) if len(sys.argv) > 2 else 100\nprint(beta * days)\n"
    folder = write_files(tmp_path / "m", {"run.py": text})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        hint = failure(runner, folder).hints[0]
        assert hint.command == f"modelops-runner exec {folder} --param beta=..."
        assert runner.execute(folder, params={"beta": 0.5})["printed.txt"] == b"50.0\n"
        made = runner.execute(folder, params={"beta": 0.5, "days": 2})["printed.txt"]
    assert made == b"1.0\n"


def test_what_a_script_imports_where_it_is_asked_to_is_not_imported_before(tmp_path: Path) -> None:
    text = "beta = 0.3\ngpu = False\nif gpu:\n    import cupy\nprint(beta)\n"
    folder = write_files(tmp_path / "m", {"run.py": text, "requirements.txt": ""})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["printed.txt"] == b"0.3\n"


def test_what_the_build_of_a_setup_py_imports_is_there(tmp_path: Path) -> None:
    text = "import os, six\nfrom setuptools import setup\nimport helpers\n"
    text += "setup(name='epi', version='2', packages=['epi'])\n"
    files = {"setup.py": text, "helpers.py": "", "epi/__init__.py": "", "wire.py": WIRE % "'1'"}
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 0
    assert 'requires = ["setuptools", "six"]' in (folder / "pyproject.toml").read_text()
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["v"] == b"1"


NEGATED = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--full-mixing", action=argparse.BooleanOptionalAction, default=True)
print(parser.parse_args().full_mixing)
"""


def test_what_a_script_does_without_an_option_can_be_turned_off(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"run.py": NEGATED})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        for value in (True, False):
            made = runner.execute(folder, params={"full_mixing": value})["printed.txt"]
            assert made == f"{value}\n".encode()
        with pytest.raises(RunnerError, match=r"run.py has no entry point 'other'"):
            runner.execute(folder, "other")


def test_a_command_that_a_project_installs_is_run(tmp_path: Path) -> None:
    main_of = "def start():\n    " + NEGATED.strip().replace("\n", "\n    ") + "\n"
    files = {
        "pyproject.toml": "[project]\nname = 'epi'\nversion = '1'\n"
        "[project.scripts]\nepi = 'epi.cli:start'\n",
        "epi/__init__.py": "",
        "epi/cli.py": main_of,
    }
    folder = write_files(tmp_path / "m", files)
    with Runner(cache=tmp_path / "cache") as runner:
        hint = failure(runner, folder).hints[0]
        assert hint.title == "write a wire.py that runs epi/cli.py" and hint.command is not None
        assert main(shlex.split(hint.command)[1:]) == 0
        made = runner.execute(folder, params={"full_mixing": False})["printed.txt"]
        assert made == b"False\n"
        words = r"does not take the options that it was given: unrecognized arguments: --mixng=1"
        with pytest.raises(RunnerError, match=words):
            runner.execute(folder, params={"mixng": 1})


def test_parameters_that_a_script_does_not_read_are_no_result(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"run.py": "import sys\nprint(3)\nsys.exit(0)\n"})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["printed.txt"] == b"3\n"
        with pytest.raises(RunnerError, match=r"run\.py has no one place that gives beta a value"):
            runner.execute(folder, params={"beta": 0.1})


MODEL = """
def simulate(beta, days=10, *, seed=None):
    return {"size": beta * days, "seed": seed}

def plot(result):
    ...
"""


def test_a_function_gets_the_tasks_parameters_as_its_arguments(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"sir.py": MODEL})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        made = runner.execute(folder, params={"beta": 0.5}, seed=7)["result.json"]
        assert json.loads(made) == {"size": 5.0, "seed": 7}
        with pytest.raises(RunnerError, match="'bta'; it takes beta, days"):
            runner.execute(folder, params={"beta": 1, "bta": 0.5})
        report = failure(runner, folder)
        assert report.hints[0].command == f"modelops-runner exec {folder} --param beta=..."
        with pytest.raises(RunnerError) as caught:
            runner.execute(folder, params={"Beta": 1})
        assert caught.value.report.hints[0].command == report.hints[0].command


@pytest.mark.parametrize(
    "source", ["def a(x): ...\ndef b(y): ...\n", "def run(*values): ...\n", "def load(file): ...\n"]
)
def test_where_it_is_not_known_what_runs_the_model_it_is_left_to_the_author(
    source: str, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "m", {"sir.py": source})
    assert main(["init", str(folder)]) == 0
    assert "no model is called yet" in (folder / "wire.py").read_text()


def test_a_function_that_takes_a_task_is_named(tmp_path: Path) -> None:
    source = "import six\n\n" + WIRE.replace("wire", "simulate") % "six.__version__"
    folder = write_files(tmp_path / "m", {"model.py": source})
    assert main(["init", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["model.py", "pyproject.toml"]
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["v"].startswith(b"1.")


IMPORTS = """
import json, yaml, epi.data, parameters, graph_tool, numppy
from . import other
from typing import TYPE_CHECKING
try:
    import cupy
except ImportError:
    cupy = None
if TYPE_CHECKING:
    import pandas
"""


def test_imports_become_requirements_but_for_what_may_be_missing_or_a_strangers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "model.py": IMPORTS,
        "parameters.py": "",
        "epi/data.py": "import numpy\nimport Cython\nimport colours\nimport leapfrog\n",
        "plotter/colours.py": "",
        "numpy/notes.py": "",
        "versioneer.py": "import cx_Freeze\nif __name__ == '__main__':\n    print(1)\n",
        "test/test_it.py": "import nose\n",
    }
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 0
    assert read_bundle(folder).dependencies == ("Cython", "numpy", "PyYAML")
    said = capsys.readouterr().err
    assert "not taken over: import graph_tool: " in said
    assert "not taken over: import numppy: it is nearly numpy" in said
    assert "not taken over: import leapfrog: only files in folders below do so" in said
    assert "colours" not in said
    assert "once wire.py calls the model" in said
    assert "no model is called yet" in (folder / "wire.py").read_text()


IMPORTING = (
    "import numpy, cv2, strangers\ndef run(n=3):\n    return {'sum': int(numpy.arange(n).sum())}\n"
)
PROJECT = '[project]\nname = "m"\nversion = "1"\ndependencies = [{}]\n'


@pytest.mark.parametrize(
    ("file", "declared", "then"),
    [
        ("requirements.txt", "", "opencv-python-headless\nnumpy\n"),
        ("requirements.txt", "opencv-python\nscipy  # 1\n", "opencv-python\nscipy  # 1\n\nnumpy\n"),
        ("requirements.txt", "-r others.txt\n", "-r others.txt\n"),
        ("requirements.txt", "NumPy==1.26\ncv2 @ git+https://x/y\n", None),
        (
            "pyproject.toml",
            PROJECT.format('"scipy"'),
            PROJECT.format('"scipy", "opencv-python-headless", "numpy"'),
        ),
        ("pyproject.toml", PROJECT.format('"numpy", "opencv-python"'), None),
    ],
)
def test_what_is_declared_gets_what_the_model_imports_of_many_users(
    tmp_path: Path, file: str, declared: str, then: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.py").write_text(IMPORTING)
    (tmp_path / file).write_text(declared)
    (tmp_path / file).chmod(0o640)
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / file).read_text() == (declared if then is None else then)
    assert (tmp_path / file).stat().st_mode & 0o777 == 0o640
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted(["model.py", "wire.py", file])
    said = capfd.readouterr().err
    assert (f"what {file} lacked" in said) == (then not in (None, declared))


@pytest.mark.parametrize(
    ("needed", "declared", "missing"),
    [
        ("opencv-python-headless", "opencv_contrib_python>=4", []),
        ("psycopg2", "psycopg2-binary", []),
        ("polars", "polars-lts-cpu", []),
        ("cupy", "cupy-cuda12x[all]", []),
        ("faiss-cpu", "faiss-gpu-cu12", []),
        ("torch-geometric", "torch", ["torch-geometric"]),
        ("matplotlib", "matplotlib-inline", ["matplotlib"]),
    ],
)
def test_another_build_of_what_is_needed_does(
    needed: str, declared: str, missing: list[str]
) -> None:
    assert Foreign(file="", kind="", dependencies=(needed,)).not_among([declared]) == missing


def test_a_lock_says_what_there_is_and_nothing_is_added(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(IMPORTING)
    (tmp_path / "pyproject.toml").write_text(PROJECT.format('"scipy"'))
    (tmp_path / "uv.lock").write_text("version = 1\n")
    assert main(["init", str(tmp_path)]) == 0
    assert (tmp_path / "pyproject.toml").read_text() == PROJECT.format('"scipy"')


PACKAGED = {
    "pack/__init__.py": "",
    "pack/rates.py": "BETA = 0.5\n",
    "pack/sir.py": "from .rates import BETA\ndef run(days):\n    return BETA * days\n",
    "pack/__main__.py": "from . import rates\nfrom .sir import run\ndays = 10\nprint(run(days))\n",
    "tool/pack2/__init__.py": "from .rates import BETA\n",
    "tool/pack2/rates.py": "BETA = 2\n",
    "tool/pack2/work.py": "import argparse\nfrom . import BETA\n"
    "parser = argparse.ArgumentParser()\nparser.add_argument('--days', type=int, default=3)\n"
    "if __name__ == '__main__':\n    print(BETA * parser.parse_args().days)\n",
    "loose/rates.py": "BETA = 3\n",
    "loose/go.py": "from .rates import BETA\ndef main(days=2):\n    print(BETA * days)\nmain()\n",
}


@pytest.mark.parametrize(
    ("file", "params", "printed"),
    [
        ("pack/__main__.py", {}, b"5.0\n"),
        ("pack/__main__.py", {"days": 4}, b"2.0\n"),
        ("tool/pack2/work.py", {"days": 5}, b"10\n"),
        ("loose/go.py", {"days": 5}, b"15\n"),
    ],
)
def test_a_module_of_a_package_is_run_as_by_python_m(
    file: str, params: dict[str, int], printed: bytes, tmp_path: Path, cache: Path
) -> None:
    folder = write_files(tmp_path / "model", PACKAGED)
    assert main(["init", str(folder), "--model", file]) == 0
    with Runner(cache=cache) as runner:
        assert runner.execute(folder, params=params)["printed.txt"] == printed


def test_what_tries_a_model_out_is_not_its_only_script(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runs = "if __name__ == '__main__':\n    print(1)\n"
    files = {
        "run.py": f"def run(n): ...\n{runs}",
        "later.py": f"import run\n{runs}",
        "tests.py": runs,
    }
    folder = write_files(tmp_path / "model", files)
    assert main(["init", str(folder)]) == 0
    assert "later.py" in (folder / "wire.py").read_text()
    assert main(["init", str(write_files(tmp_path / "other", {**files, "again.py": runs}))]) != 0
    said = capfd.readouterr().err
    assert said.index("again.py") < said.index("tests.py")


@pytest.mark.parametrize(
    "script",
    [
        "import sys\nprint(open(sys.argv[1]).read(), sys.argv[2])\n",
        "import sys\ndef run(a, b):\n    print(open(a).read(), b)\nrun(*sys.argv[1:])\n",
    ],
)
def test_a_script_gets_the_words_of_its_command_line(
    script: str, tmp_path: Path, cache: Path
) -> None:
    folder = write_files(tmp_path / "model", {"go.py": script, "settings.ini": "fast"})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=cache) as runner:
        params = {"argv": ["settings.ini", 3]}
        assert runner.execute(folder, params=params)["printed.txt"] == b"fast 3\n"
        report = failure(runner, folder)
    assert "go.py" in report.summary


def test_a_script_that_reads_a_word_is_told_how_it_is_given(tmp_path: Path, cache: Path) -> None:
    script = "import sys\nprint(open(sys.argv[1]).read())\n"
    folder = write_files(tmp_path / "model", {"go.py": script})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=cache) as runner:
        hint = failure(runner, folder).hints[0]
    assert hint.by == "person" and hint.command is not None
    assert """--param 'argv=["..."]'""" in hint.command
