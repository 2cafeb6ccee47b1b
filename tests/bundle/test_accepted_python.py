"""Which Pythons a bundle accepts: its requires-python and the version pinned beside it."""

from pathlib import Path

import pytest

from runner.bundle.model import Bundle
from runner.bundle.read import read_bundle
from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.execution.prepare import requirement_of
from runner.interpreter import failures
from runner.interpreter.model import Interpreter


def bundle(folder: Path, pin: str, *, requires: str | None = None, name: str = "") -> Bundle:
    folder.mkdir(exist_ok=True)
    (folder / "wire.py").write_text("def wire(e, p, s): ...\n")
    (folder / (name or ".python-version")).write_text(pin)
    if requires is None:
        (folder / "requirements.txt").touch()
    else:
        text = f'[project]\nname = "m"\nversion = "1"\nrequires-python = "{requires}"\n'
        (folder / "pyproject.toml").write_text(text)
    return read_bundle(folder)


def accepts(read: Bundle, version: str, request: str | None = None) -> bool:
    return requirement_of(read, request).accepts(version)


def test_a_pin_chooses_among_what_a_project_accepts(tmp_path: Path) -> None:
    read = bundle(tmp_path, "3.13\n", requires=">=3.10,!=3.13.1")
    assert accepts(read, "3.13.0")
    assert not accepts(read, "3.12.4")
    assert not accepts(read, "3.13.1")
    assert (read.python.text, read.python.at) == ("==3.13.*", ".python-version:1")
    assert read.info().requires_python == ">=3.10,!=3.13.1"


def test_a_python_that_is_asked_for_goes_before_the_pin_and_not_before_the_requirement(
    tmp_path: Path,
) -> None:
    read = bundle(tmp_path, "3.13\n", requires=">=3.10")
    assert accepts(read, "3.12.4", "3.12")
    assert not accepts(read, "3.9.1", "3.9")


def test_a_pin_beside_requirements_is_all_that_is_said_and_so_stands(tmp_path: Path) -> None:
    read = bundle(tmp_path, "3.13\n")
    assert accepts(read, "3.13.0", "3.13")
    assert not accepts(read, "3.12.4", "3.12")


def test_a_pin_that_the_project_excludes_is_one_report_with_both_lines(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        bundle(tmp_path, "# ours\n3.11\n", requires=">=3.12")
    finding = caught.value.finding
    assert finding.code is Code.BUNDLE_INVALID
    assert finding.summary == (
        ".python-version:2 asks for Python 3.11, and pyproject.toml:4 for >=3.12"
    )
    pin, widen = (hint.edit for hint in finding.hints)
    assert pin is not None and widen is not None
    assert (pin.file, pin.before, pin.after) == (".python-version", "3.11", "3.12")
    assert widen.after == 'requires-python = ">=3.11"'


@pytest.mark.parametrize("pin", ["my-model-venv", "system", "miniconda3-4.7.12", "3.13t"])
def test_a_pin_that_is_no_version_does_not_count_in_a_project_and_that_is_said(
    pin: str, tmp_path: Path
) -> None:
    read = bundle(tmp_path, f"{pin}\n", requires=">=3.10")
    assert accepts(read, "3.10.2")
    assert any(pin in note and ".python-version:1" in note for note in read.notes)


@pytest.mark.parametrize("pin", ["3.12", "cpython@3.12", "cpython-3.12.1-linux-x86_64-gnu"])
def test_a_pin_may_be_written_as_uv_writes_it(pin: str, tmp_path: Path) -> None:
    read = bundle(tmp_path, f"{pin}\n", requires=">=3.10")
    assert accepts(read, "3.12.1") and not accepts(read, "3.11.1")


def test_the_first_of_several_versions_counts_where_there_is_no_other_pin(tmp_path: Path) -> None:
    read = bundle(tmp_path, "3.12\n3.13\n", requires=">=3.10", name=".python-versions")
    assert accepts(read, "3.12.1") and not accepts(read, "3.13.0")
    assert read.python.at == ".python-versions:1"
    read = bundle(tmp_path, "3.13\n", requires=">=3.10")
    assert accepts(read, "3.13.0") and not accepts(read, "3.12.1")


def test_where_a_pinned_python_is_not_there_the_pin_is_what_is_to_be_edited(tmp_path: Path) -> None:
    requirement = requirement_of(bundle(tmp_path, "3.13\n", requires=">=3.10"))
    worker = Interpreter(Path("python"), "3.11.7", "CPython", None, "linux")
    finding = failures.unsatisfied(requirement, worker, [worker], None).finding
    assert "(.python-version:1)" in finding.summary
    edits = [hint.edit for hint in finding.hints if hint.edit]
    assert [(edit.file, edit.before, edit.after) for edit in edits] == [
        (".python-version", "3.13", "3.11")
    ]


@pytest.mark.parametrize("pin", ["pypy3.9", "pypy@3.9", "PyPy-3.9"])
def test_a_pin_of_another_python_is_never_taken_for_cpython(pin: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text("def wire(entrypoint, params, seed): ...\n")
    (tmp_path / ".python-version").write_text(f"# of the cluster\n{pin}\n")
    with pytest.raises(Failure) as failed:
        read_bundle(tmp_path)
    finding = failed.value.finding
    assert f".python-version:2: {pin!r} asks for another Python than CPython" in finding.summary
    edit = finding.hints[0].edit
    assert edit is not None
    text = edit.apply((tmp_path / ".python-version").read_text())
    (tmp_path / ".python-version").write_text(text)
    assert read_bundle(tmp_path).python.text == "==3.9.*"

    (tmp_path / ".python-version").write_text(pin)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "sir"\nversion = "1"\n')
    assert (
        f"does not count: CPython is meant, unless --python {pin}" in read_bundle(tmp_path).notes[0]
    )
