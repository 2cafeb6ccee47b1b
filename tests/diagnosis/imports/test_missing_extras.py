"""An extra that a dependency does not have is the cause of what is missing."""

from pathlib import Path

import pytest

from runner.diagnosis.case import Case
from runner.diagnosis.imports.missing_extras import misspelt_extra
from runner.diagnosis.imports.missing_modules import missing_module_finding
from runner.diagnosis.report.model import BundleInfo, Edit, ExceptionInfo, Frame
from runner.environment.extras import extras_of

EXTRAS = {"pandas": {"excel": ["openpyxl"], "plot": ["matplotlib"], "all": ["openpyxl"]}}
INSIDE = "/v/lib/python3.12/site-packages/pandas/io.py"


def _case(*requirements: str) -> Case:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    case.bundle_files = ("requirements.txt", "wire.py")
    case.bundle_dependencies = requirements
    case.extras = EXTRAS
    return case


def _missing(name: str, file: str = "/b/wire.py") -> ExceptionInfo:
    frames = [Frame("/b/wire.py", 1, "<module>", f"import {name}"), Frame(file, 2, "f")]
    return ExceptionInfo(
        type="ModuleNotFoundError",
        message=f"No module named {name!r}",
        traceback=frames,
        attributes={"name": name},
    )


@pytest.mark.parametrize("name, file", [("openpyxl", "/b/wire.py"), ("another", INSIDE)])
def test_the_extra_that_was_meant_is_named(name: str, file: str) -> None:
    finding = misspelt_extra(_case("pandas[plot,exel]>=2"), _missing(name, file))
    assert finding is not None
    assert "the bundle asks for pandas[exel]" in finding.summary
    assert finding.hints[0].edit == Edit(
        file="requirements.txt", before="pandas[plot,exel]>=2", after="pandas[plot,excel]>=2"
    )


def test_the_one_extra_that_brings_it_is_meant_by_any_name() -> None:
    finding = misspelt_extra(_case("pandas[charts]"), _missing("matplotlib"))
    assert finding is not None and finding.hints[0].title == "did you mean pandas[plot]?"


@pytest.mark.parametrize(
    "requirement, name",
    [
        ("pandas[excel]", "openpyxl"),
        ("pandas[exel]", "yaml"),
        ("pandas", "openpyxl"),
        ("another[exel]", "openpyxl"),
        ("pandas[sheets]", "openpyxl"),  # two extras bring it
    ],
)
def test_another_cause_is_left_to_others(requirement: str, name: str) -> None:
    assert misspelt_extra(_case(requirement), _missing(name)) is None


def test_a_library_is_asked_for_the_smallest_extra_that_brings_what_it_imports() -> None:
    case = _case("pandas[plot]>=2", "six")
    case.extras = {"pandas": {"excel": ["openpyxl"], "all": ["openpyxl", "x"], "dev": ["openpyxl"]}}
    finding = missing_module_finding(case, _missing("openpyxl", INSIDE))
    assert finding is not None
    assert finding.hints[0].title == "ask for pandas[excel], which brings it"
    edit = finding.hints[0].edit
    assert edit is not None and edit.after == "pandas[excel,plot]>=2"
    assert finding.hints[1].title == "or add openpyxl to the dependencies"
    finding = missing_module_finding(case, _missing("openpyxl"))
    assert finding is not None and finding.hints[0].title == "add openpyxl to the dependencies"


def test_extras_are_those_of_the_metadata_by_canonical_names(tmp_path: Path) -> None:
    folder = tmp_path / "lib/python3.12/site-packages/A_b-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: A_b\nVersion: 1.0\nProvides-Extra: Big_Data\n"
        'Requires-Dist: Py_Arrow>1; extra == "Big_Data"\nRequires-Dist: numpy\n'
    )
    asked = ["a.b; python_version > '3'", "c[x]", "not a requirement", "d"]
    assert extras_of(tmp_path, asked) == {"a-b": {"big-data": ["py-arrow"]}}
