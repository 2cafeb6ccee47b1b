"""Imports of a name that is nearly another's: real bundles, and the hints, followed."""

from pathlib import Path

import pytest
from following import follow
from recordings import failure

from bundle_protocol.near_names import is_one_edit
from runner import Runner
from runner.diagnosis.report.codes import Code

WIRE = "\ndef wire(e, p, s):\n    return {'x': b''}\n"

MISSPELT = {
    "two letters swapped": ("import mymodle", "mymodel.py"),
    "a letter more": ("import mymodells as m", "mymodel.py"),
    "a letter less": ("from mymodl import *", "mymodel/__init__.py"),
    "another letter": ("from mimodel import f", "mymodel.py"),
    "in capitals": ("import MyModel", "mymodel.py"),
}


def bundle(folder: Path, files: dict[str, str]) -> Path:
    for name, text in {"requirements.txt": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_module_of_the_bundle_is_corrected_and_nothing_is_installed(
    name: str, tmp_path: Path, cache: Path
) -> None:
    line, file = MISSPELT[name]
    folder = bundle(tmp_path / "b", {"wire.py": line + WIRE, file: "def f(): pass\n"})
    with Runner(cache=cache) as runner:
        report = failure(runner, folder)
        assert report.code is Code.MODULE_NOT_FOUND
        assert "the bundle has mymodel" in report.summary
        assert not any("uv add" in (hint.command or "") for hint in report.hints)
        follow(report, folder)
        assert runner.execute(folder)["x"] == b""


@pytest.mark.parametrize(("line", "meant"), [("import numpi", "numpy"), ("import ymal", "yaml")])
def test_a_name_that_is_nearly_a_packages_is_never_advised_to_be_added(
    line: str, meant: str, tmp_path: Path, cache: Path
) -> None:
    files = {"wire.py": line + WIRE, "requirements.txt": "PyYAML; sys_platform == 'win32'\n"}
    with Runner(cache=cache) as runner:
        report = failure(runner, bundle(tmp_path / "b", files))
    assert report.hints[0].title == f"did you mean {meant}?"
    assert len(report.hints) == 1


@pytest.mark.parametrize("line", ["import dask", "import starsim", "import cv2"])
def test_a_package_that_is_known_is_still_advised(line: str, tmp_path: Path, cache: Path) -> None:
    files = {"wire.py": line + WIRE, "task.py": "", "starsin.py": "", "cv3.py": ""}
    with Runner(cache=cache) as runner:
        report = failure(runner, bundle(tmp_path / "b", files))
    assert report.hints[0].title.startswith("add ")


def test_one_edit_is_a_letter_more_less_another_or_swapped() -> None:
    for other in ("numpi", "numpyy", "nump", "nupmy", "umpy", "numby"):
        assert is_one_edit("numpy", other) and is_one_edit(other, "numpy"), other
    for other in ("numba", "nmupyy", "npumy1", "sympy", "nu"):
        assert not is_one_edit("numpy", other), other
