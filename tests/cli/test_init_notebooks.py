"""``init`` of a notebook: its cells run as in Jupyter, and a failure names the cell."""

import json
from pathlib import Path

import pytest
from recordings import failure

from runner.bundle.read import read_bundle
from runner.cli import main
from runner.events import Event, Output
from runner.runner import Runner

IPYTHON = [
    "%run helper.py\n%matplotlib inline\nx = double(4)\nif x:\n    %time y = 3\n",
    "%%bash\necho hi | tee said.txt\n",
    "%env WHO=me\nlines = !printf '%s\\n' $x {y} \\\n  $WHO\n! pip install six >&2\n",
    "%cd /\nimport os\nhere = os.getcwd()\n%%%\n",
    "%%writefile made.py\ndef f():\n    return 7\n",
    "from made import f\nz = f()\nz?\n!ls\n",
    "paths = list(range(300_000))\n",
    "text = '''\n% no command\n! none either\n'''\nrest = (17\n % 5)\n",
]


def data_of(event: Event) -> bytes:
    return event.data if isinstance(event, Output) else b""


def _written(folder: Path, *cells: str, **files: str) -> Path:
    folder.mkdir()
    code = [{"cell_type": "code", "source": cell.splitlines(True)} for cell in cells]
    (folder / "study.ipynb").write_text(json.dumps({"cells": code}, indent=1))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    assert main(["init", str(folder)]) == 0
    return folder


def test_what_only_ipython_knows_is_done_or_left_out(tmp_path: Path) -> None:
    """A list with the numbers of a whole study is left out, too, and its name told."""
    said: list[bytes] = []
    folder = _written(tmp_path / "m", *IPYTHON, helper="def double(x):\n    return 2 * x\n")
    with Runner(cache=tmp_path / "cache", on_event=lambda one: said.append(data_of(one))) as runner:
        result = json.loads(runner.execute(folder)["result.json"])
    assert b"too large for result.json, and not in it: paths\n" in b"".join(said)
    text = "\n% no command\n! none either\n"
    assert result == {
        "seed": 0,
        "x": 8,
        "y": 3,
        "z": 7,
        "text": text,
        "rest": 2,
        "lines": ["8", "3", "me"],
        "here": "/",
    }


def test_what_ipython_alone_can_assign_is_named(tmp_path: Path) -> None:
    folder = _written(tmp_path / "m", "t = %timeit -o f()\n")
    with Runner(cache=tmp_path / "cache") as runner:
        summary = failure(runner, folder).summary
    assert "study.ipynb, cell 1:1" in summary and "%timeit -o f()" in summary


def test_a_notebook_in_another_language_is_no_model(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kernel = {"metadata": {"language_info": {"name": "julia"}}, "cells": []}
    (tmp_path / "a.ipynb").write_text(json.dumps(kernel))
    assert main(["init", str(tmp_path), "--model", "a.ipynb"]) == 2
    assert "a.ipynb is a notebook in julia, not in Python" in capfd.readouterr().err
    assert main(["init", str(tmp_path)]) == 0
    assert "a.ipynb" not in capfd.readouterr().err + (tmp_path / "wire.py").read_text()


def test_a_notebook_of_before_2014_runs_too(tmp_path: Path) -> None:
    cells = [{"cell_type": "code", "input": "import six\nx = 3"}, {"cell_type": "markdown"}]
    (tmp_path / "m").mkdir()
    text = json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3})
    (tmp_path / "m/old.ipynb").write_text(text)
    assert main(["init", str(tmp_path / "m")]) == 0
    assert read_bundle(tmp_path / "m").dependencies == ("six",)
    with Runner(cache=tmp_path / "cache") as runner:
        assert json.loads(runner.execute(tmp_path / "m")["result.json"]) == {"seed": 0, "x": 3}


@pytest.mark.parametrize(
    ("cell", "summary", "before", "after"),
    [
        (
            'params = {"beta": 1, "gamma": 2}\ny = params["gama"]\n',
            "study.ipynb, cell 2:2",
            'y = params["gama"]',
            'y = params["gamma"]',
        ),
        (
            "for i in range(3)\n    print(i)\n",
            "study.ipynb, cell 2:1 is not valid for",
            "for i in range(3)",
            "for i in range(3):",
        ),
        (
            "x = math.pi\n",
            "study.ipynb, cell 2:1 uses math, which is not imported there",
            "x = math.pi",
            "import math\nx = math.pi",
        ),
    ],
)
def test_a_failure_in_a_cell_names_its_line_and_is_mended_there(
    cell: str, summary: str, before: str, after: str, tmp_path: Path
) -> None:
    folder = _written(tmp_path / "m", "beta = 0.3\n", cell)
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert summary in report.summary
        edit = report.hints[0].edit
        assert edit is not None
        shown = edit.shown()
        assert (edit.file, shown.before, shown.after) == ("study.ipynb", before, after)
        notebook = folder / edit.file
        notebook.write_text(edit.apply(notebook.read_text()))
        assert "result.json" in runner.execute(folder)


def test_what_a_cell_asks_its_user_for_is_a_parameter(tmp_path: Path) -> None:
    folder = _written(tmp_path / "m", "n = int(input('How many? '))\nm = 2 * n\n")
    with Runner(cache=tmp_path / "cache") as runner:
        report = failure(runner, folder)
        assert report.hints[0].command == f"modelops-runner exec {folder} --param n=..."
        assert json.loads(runner.execute(folder, params={"n": 4})["result.json"])["m"] == 8


def test_a_notebook_for_python_2_is_rewritten_as_a_whole(tmp_path: Path) -> None:
    folder = _written(tmp_path / "m", "x = 1\n", "print 'x', x\n")
    with Runner(cache=tmp_path / "cache") as runner:
        command = failure(runner, folder).hints[1].command
    assert command is not None and command.endswith(f" {folder}/study.ipynb")
