"""``init``: which of a folder's scripts, notebooks and functions runs its model."""

import json
import shlex
from pathlib import Path

import pytest
from conftest import need_python, write_files
from recordings import failure

from runner import Runner, RunnerError
from runner.bundle.read import read_bundle
from runner.cli import main
from runner.diagnosis.report.codes import Code
from runner.interpreter.model import OLDEST_FOR_TASKS

MAIN = "if __name__ == '__main__':\n    print({})\n"


def _commands(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if line.startswith("  modelops-runner")]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_of_several_each_is_named_and_nothing_is_written(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {
        "simulate it.py": "import helpers\n" + MAIN.format("helpers.N"),
        "demo.py": MAIN.format("1"),
        "helpers.py": "import six\nN = 2\n" + MAIN.format("N"),
        "old/run.py": "import plot\n",
    }
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 2
    said = _commands(capfd.readouterr().err)
    init = f"modelops-runner init {folder} --model"
    assert said == [f"{init} 'simulate it.py'", f"{init} demo.py", f"{init} helpers.py"]
    assert _names(folder) == {"simulate it.py", "demo.py", "helpers.py", "old"}
    assert main(shlex.split(said[0])[1:]) == 0
    # What only a file imports that is not run may be a stranger's by now.
    assert read_bundle(folder).dependencies == ("six",)
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["printed.txt"] == b"2\n"


def test_where_none_is_at_the_top_those_below_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {
        "epi/__init__.py": "",
        "epi/tables.py": "print('made at the import')\n",
        "epi/model.py": MAIN.format("3"),
        "examples/lockdown.py": "print(1)\n",
        "examples/helpers.py": "N = 2\n",
        "dashboard.py": "import streamlit as st\nst.title('epi')\n",
        "a/plots.py": "print('a plot')\n",
        "doctests.py": "import unittest\nunittest.main()\n",
        "run.py": "from server import server\nserver.launch()\n",
        "server.py": "def draw(agent):\n    return 1\nserver = ModularServer(Epi, [draw])\n",
        "app/page.py": "import streamlit as st\nst.title('epi')\n",
        "docs/conf.py": "print('not a model')\n",
        "tests/test_epi.py": MAIN.format("4"),
        "notebooks/a study.ipynb": "{}",
    }
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 0
    assert _commands(capfd.readouterr().err)[1:] == [
        f"modelops-runner init {folder} --model epi/model.py",  # by its name
        f"modelops-runner init {folder} --model a/plots.py",
        f"modelops-runner init {folder} --model examples/lockdown.py",
        f"modelops-runner init {folder} --model 'notebooks/a study.ipynb'",
    ]
    assert main(["init", str(folder), "--model", "examples/lockdown.py"]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["printed.txt"] == b"1\n"


def test_what_was_written_without_a_model_is_written_again_for_one(tmp_path: Path) -> None:
    code = {"cell_type": "code", "metadata": {}, "source": ["import six\n", "v = 3"]}
    notebook = {"cells": [code], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    files = {"runs/a.ipynb": json.dumps(notebook), "epi/data.py": "import numpy\n"}
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 0
    assert read_bundle(folder).dependencies == ("numpy",)
    assert main(["init", str(folder), "--model", "runs/a.ipynb"]) == 0
    assert read_bundle(folder).dependencies == ("six",)
    stub = (folder / "wire.py").read_text()
    (folder / "pyproject.toml").write_text('[project]\nname = "mine"\nversion = "1"\n')
    assert main(["init", str(folder)]) == 0
    assert (folder / "wire.py").read_text() == stub
    assert "mine" in (folder / "pyproject.toml").read_text()


def test_the_hint_of_a_bundle_names_them_too(tmp_path: Path) -> None:
    files = {"requirements.txt": "", "a.py": MAIN.format("1"), "b.py": MAIN.format("2")}
    folder = write_files(tmp_path / "m", files)
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.code is Code.WIRE_NOT_DECLARED
        hint = report.hints[0]
        assert hint.title == "write a wire.py that runs the model: a.py or b.py"
        assert hint.by == "person" and hint.command is not None
        assert main(shlex.split(hint.command)[1:]) == 0
        assert runner.execute(folder)["printed.txt"] == b"1\n"


def test_scripts_that_no_other_one_imports_come_first(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {
        "a_data.py": MAIN.format("0"),
        "main_seir.py": "import a_data\ndef helper(): ...\nfor day in range(2):\n    print(day)\n",
        "rates.py": "import a_data\nprint(1)\n",
    }
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 2
    said = _commands(capfd.readouterr().err)
    assert [line.split()[-1] for line in said] == ["main_seir.py", "rates.py", "a_data.py"]


def test_a_script_is_run_whatever_functions_it_has(tmp_path: Path) -> None:
    files = {
        "run.py": "import tools\ndef simulate(n):\n    return n\nprint(simulate(tools.two()))\n"
    }
    files["tools.py"] = "def two():\n    return 2\n"
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        assert runner.execute(folder)["printed.txt"] == b"2\n"


def test_what_prepares_a_module_does_not_make_it_a_script(tmp_path: Path) -> None:
    source = (
        "import warnings\nwarnings.filterwarnings('ignore')\n"
        "def simulate(beta=2):\n    return {'size': beta}\n"
    )
    folder = write_files(tmp_path / "m", {"sir.py": source})
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        assert json.loads(runner.execute(folder)["result.json"]) == {"size": 2}


NOTEBOOK = json.dumps(
    {
        "cells": [
            {
                "cell_type": "code",
                "source": "import tools\nrows = tools.read('../data/rows.csv')\n"
                "open('left.txt', 'w').write('1')",
            }
        ]
    }
)
SCRIPTS_OF_THEIR_FOLDER = {
    "plain": "import tools\nprint(tools.read('../data/rows.csv'))\nopen('left.txt', 'w').close()\n",
    "with options": "import argparse, os, tools\nargparse.ArgumentParser().parse_args()\n"
    "print(tools.read(os.path.join('..', 'data', 'rows.csv')))\nopen('left.txt', 'w').close()\n",
    "with settings": "import settings, tools\n"
    "print(tools.read(settings.ROWS))\nopen('left.txt', 'w').close()\n",
}
TOOLS = "import six\ndef read(path):\n    return open(path).read().split()\n"


@pytest.mark.parametrize("named", ["folder", "shell"])
def test_a_script_or_a_notebook_below_runs_as_where_it_is(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "data/rows.csv": "1 2\n",
        "examples/tools.py": TOOLS,
        "examples/settings.py": "ROWS = './../data/rows.csv'\n",
        "examples/look.ipynb": NOTEBOOK,
        "examples/run.py": "import tools\nprint(tools.read('data/rows.csv'))\n",
    }
    monkeypatch.chdir(tmp_path)
    prefix = "" if named == "folder" else "m/"
    with Runner(cache=tmp_path / "cache") as runner:
        folder = write_files(tmp_path / "m", files)
        assert main(["init", "m", "--model", f"{prefix}examples/run.py"]) == 0
        assert read_bundle(folder).dependencies == ("six",)
        assert runner.execute(folder)["printed.txt"] == b"['1', '2']\n"
        for kind, code in SCRIPTS_OF_THEIR_FOLDER.items():
            (folder / "wire.py").unlink()
            (folder / "examples/own.py").write_text(code)
            assert main(["init", "m", "--model", f"{prefix}examples/own.py"]) == 0
            result = runner.execute(folder)
            assert result["printed.txt"] == b"['1', '2']\n", kind
            assert set(result.files) == {"examples/left.txt"}
        (folder / "wire.py").unlink()
        assert main(["init", "m", "--model", f"{prefix}examples/look.ipynb"]) == 0
        result = runner.execute(folder)
        assert json.loads(result["result.json"])["rows"] == ["1", "2"]
        assert set(result.files) == {"examples/left.txt"}


def test_modules_that_a_notebook_puts_on_its_path_are_asked_what_they_need(tmp_path: Path) -> None:
    code = "import sys\nsys.path.append('../models')\nfrom hbv import run\nx = run()\n"
    cells = [{"cell_type": "code", "source": code}]
    files = {
        "interfaces/a.ipynb": json.dumps({"cells": cells}),
        "models/hbv.py": "import six\nsys_path = '../tools'\nimport frames\ndef run(): return 1\n",
        "tools/frames.py": "import idna\n",
        "old/tools/other.py": "import certifi\n",
    }
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder), "--model", "interfaces/a.ipynb"]) == 0
    assert read_bundle(folder).dependencies == ("idna", "six")


FUNCTIONS = "def spread(beta, seed=None):\n    return [beta, seed]\ndef decay(x):\n    return x\n"


def test_a_function_may_be_named_and_a_stub_is_replaced(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_files(tmp_path / "m", {"src/epi/model.py": FUNCTIONS})
    assert main(["init", str(folder)]) == 0
    said = capfd.readouterr().err
    assert f"modelops-runner init {folder} --model FILE[:FUNCTION]" in said
    assert main(["init", str(folder), "--model", "src/epi/model.py:spread"]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        made = runner.execute(folder, params={"beta": 2}, seed=5)["result.json"]
    assert json.loads(made) == [2, 5]
    written = (folder / "wire.py").read_text()
    assert main(["init", str(folder), "--model", "src/epi/model.py:decay"]) == 2
    assert "remove it to have another one written" in capfd.readouterr().err
    assert (folder / "wire.py").read_text() == written


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nope.py", "nope.py is not in "),
        ("modle.py", "m; did you mean model.py?"),
        ("../outside.py", "../outside.py is not in "),
        (
            "model.py",
            "model.py does nothing when it is run; name a function of it: model.py:spread,"
            " model.py:decay",
        ),
        (
            "model.py:sprd",
            "model.py has no function sprd that can be called with a task's parameters; name a"
            " function of it: model.py:spread, model.py:decay",
        ),
        (
            "page.py",
            "page.py makes a page for a browser, by streamlit; name a function of it: page.py:grow",
        ),
    ],
)
def test_what_cannot_be_run_is_said_and_nothing_is_written(
    named: str, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    page = "import streamlit as st\ndef grow(rate):\n    return rate\nst.write(grow(2))\n"
    files = {"model.py": FUNCTIONS, "page.py": page, "../outside.py": "print(1)\n"}
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder), "--model", named]) == 2
    assert said in capfd.readouterr().err
    assert _names(folder) == {"model.py", "page.py"}


def test_a_command_of_the_project_is_run_as_one(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": "[project]\nname = 'epi'\nversion = '1'\n"
        "[project.scripts]\nepi = 'epi.cli:start'\nother = 'epi.cli:other'\n",
        "epi/__init__.py": "",
        "epi/cli.py": "import sys\ndef start():\n    print(sys.argv[1:])\ndef other(): ...\n",
    }
    folder = write_files(tmp_path / "m", files)
    assert main(["init", str(folder)]) == 2
    assert main(["init", str(folder), "--model", "epi.cli:start"]) == 0
    with Runner(cache=tmp_path / "cache") as runner:
        made = runner.execute(folder, params={"beta": 2})["printed.txt"]
    assert made == b"['--beta=2']\n"


PLAIN = """
# -*- coding: latin-1 -*-
import pickle, sys
beta, gamma = 0.3, 0.1
days: int = 5
seed = 42
name = "J\xfcrgen"

class Agent: pass

def main():
    days = 7
    step = 1
    step = step + 1
    print(beta, gamma, days, step, seed, name, len(pickle.loads(pickle.dumps([Agent()]))))

if __name__ == "__main__":
    scale = 2
    beta = beta * scale
    main()
    sys.exit(0)
"""


def test_a_parameter_takes_the_place_of_what_a_plain_script_says(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "m", {"run.py": ""})
    (folder / "run.py").write_text(PLAIN.strip(), "latin-1")
    assert main(["init", str(folder)]) == 0
    with Runner(cache=tmp_path / "cache") as runner:

        def printed(**params: object) -> str:
            return runner.execute(folder, params=params, seed=3)["printed.txt"].decode()

        assert printed() == "0.6 0.1 7 2 3 J\xfcrgen 1\n"
        assert printed(beta=0.5, days=9) == "1.0 0.1 9 2 3 J\xfcrgen 1\n"
        assert printed(step=5, scale=1, gamma=None) == "0.3 None 7 6 3 J\xfcrgen 1\n"
        with pytest.raises(RunnerError, match=r"run.py has no one place that gives bta a value"):
            printed(bta=1)


CALLS = """
from dataclasses import dataclass
from other import run as start

class Model:
    def __init__(self, n, beta=0.5, gamma=0.1):
        self.x = (n, beta, gamma)

@dataclass
class Costs:
    mu: float = 1.0

def show(x, *, width=3, days=1):
    print(x, width)

def again(name, rate=0.1):
    return Model(1, rate)

def main():
    made = Model(10, 0.5)
    show(made.x)
    print(Costs(), start(3, k=2))
    for name in "ab":
        again(name, rate=0.2)

if __name__ == "__main__":
    main()
"""


def test_a_parameter_is_given_to_the_one_call_that_takes_it(tmp_path: Path) -> None:
    other = "def run(days, k=1, seed=None):\n    return days, k, seed\n"
    folder = write_files(tmp_path / "m", {"run.py": CALLS, "other.py": other})
    assert main(["init", str(folder), "--model", "run.py"]) == 0
    params = {"n": 1, "beta": 2, "gamma": 3, "mu": 4, "width": 5, "k": 7}
    with Runner(cache=tmp_path / "cache") as runner:
        made = runner.execute(folder, seed=4)["printed.txt"]
        assert made == b"(10, 0.5, 0.1) 3\nCosts(mu=1.0) (3, 2, 4)\n"
        made = runner.execute(folder, params=params, seed=4)["printed.txt"]
        assert made == b"(1, 2, 3) 5\nCosts(mu=4) (3, 7, 4)\n"
        # Two functions take days: which one is meant is not known. A loop gives rate as it likes.
        for name in ("days", "rate"):
            with pytest.raises(RunnerError, match=f"has no one place that gives {name} a value"):
                runner.execute(folder, params={name: 6})


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"run.py": "print(1)\n"},
        {"run.py": "import argparse\nargparse.ArgumentParser().parse_args()\nprint(1)\n"},
        {"model.py": "def simulate(beta=1):\n    return beta\n"},
        {"m.ipynb": '{"cells": [{"cell_type": "code", "source": "x = 1\\n%time y = 2"}]}'},
    ],
    ids=["example", "plain", "options", "function", "notebook"],
)
def test_what_is_written_runs_on_the_oldest_python_of_tasks(
    files: dict[str, str], tmp_path: Path
) -> None:
    oldest = need_python(str(OLDEST_FOR_TASKS))
    folder = tmp_path / "m"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    assert main(["init", str(folder)]) == 0
    pyproject = folder / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace(">=3.10", ">=3.8"))
    with Runner(cache=tmp_path / "cache", python=str(oldest)) as runner:
        assert runner.execute(folder)
