"""A shared library that is missing, where the worker's own paths have it or another version."""

from pathlib import Path

import pytest
from children import Child

from runner.diagnosis.report.codes import Code
from runner.environment.installed import libraries_like, library_folders

pytestmark = pytest.mark.anyio

WIRE = "import ctypes\nctypes.CDLL('libepigsl.so.25')\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def child_of(folder: Path, **variables: str) -> Child:
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "wire.py").write_text(WIRE)
    child = Child(bundle)
    child.environ |= variables
    return child


def library(folder: Path, name: str) -> Path:
    folder.mkdir()
    (folder / name).write_bytes(b"")
    return folder


async def test_another_version_is_named(tmp_path: Path) -> None:
    folder = library(tmp_path / "lib", "libepigsl.so.27")
    (folder / "libepigsl.so").symlink_to("libepigsl.so.27")
    report = await child_of(tmp_path, LD_LIBRARY_PATH=f"/nowhere:{folder}").fail()
    assert report.code is Code.IMPORT_FAILED
    assert report.summary == "the shared library libepigsl.so.25 is missing"
    assert f"another version: {folder}/libepigsl.so.27." in report.explanation
    assert "for libepigsl.so.27" in report.hints[0].title


@pytest.mark.parametrize("variable", ["LIBRARY_PATH", "CONDA_PREFIX"])
async def test_a_folder_that_the_childs_loader_does_not_look_in_is_named(
    variable: str, tmp_path: Path
) -> None:
    folder = library(tmp_path / "lib", "libepigsl.so.25")
    value = folder if variable == "LIBRARY_PATH" else tmp_path
    report = await child_of(tmp_path, **{variable: str(value)}).fail()
    assert f"It lies in {folder}" in report.explanation
    assert str(report.hints[0].command).endswith(f"--env LD_LIBRARY_PATH={folder}")


def test_only_whole_paths_are_looked_in_and_only_names_like_it_are_told(tmp_path: Path) -> None:
    environ = {"LD_LIBRARY_PATH": f":relative:{tmp_path}:", "CONDA_PREFIX": "/opt/conda"}
    folders = library_folders(environ)
    assert folders == (str(tmp_path), "/opt/conda/lib")
    for name in ("liba.so", "liba.so.1", "libab.so.1", "liba.a"):
        (tmp_path / name).touch()
    assert libraries_like("liba.so.2", folders) == (f"{tmp_path}/liba.so", f"{tmp_path}/liba.so.1")
