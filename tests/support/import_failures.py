"""Shared by the tests of failed imports: real children that cannot import, and what is found."""

from pathlib import Path

import msgspec
from children import Child, full_version
from conftest import need_python

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_raised import raised_finding
from runner.diagnosis.report.model import (
    BundleInfo,
    ChildInfo,
    EnvironmentInfo,
    ExceptionInfo,
    Frame,
    PythonInfo,
    Report,
)
from runner.events import Phase


async def load(
    folder: Path, files: dict[str, str], version: str = "3.11", venv: Path | None = None
) -> Report:
    """The report of a child of this Python, or of a venv, on a bundle with these files."""
    python = venv / "bin" / "python" if venv else need_python(version)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    child = Child(folder, python)
    child.launch = msgspec.structs.replace(child.launch, python_version=full_version(python))
    child.case.bundle_files = tuple(sorted(files))
    if "pyproject.toml" in files:
        child.case.pyproject = files["pyproject.toml"] or '[project]\nname = "sir"\n'
    child.case.environment = EnvironmentInfo(path=str(venv)) if venv else None
    assert child.case.bundle is not None
    child.case.bundle.entry_point = "wire.py:wire"
    return await child.fail()


def found(
    message: str,
    *,
    kind: str = "ImportError",
    file: str = "/bundle/wire.py",
    phase: Phase = Phase.LOAD,
    name: str | None = None,
    case: Case | None = None,
) -> Finding:
    """The finding in an exception that this machine cannot be made to raise."""
    attributes: dict[str, str | int | None] = {"name": name} if name else {}
    frames = [Frame("/bundle/wire.py", 1, "<module>"), Frame(file, 3, "<module>")]
    exception = ExceptionInfo(kind, message, traceback=frames, attributes=attributes)
    return raised_finding(case or a_case(), phase, exception)


def a_case(python: str = "3.11.7") -> Case:
    case = Case()
    case.bundle = BundleInfo(path="/bundle")
    soabi = f"cpython-{''.join(python.split('.')[:2])}-x86_64-linux-gnu"
    case.child = ChildInfo(
        argv=[], python=PythonInfo("cpython", python, "/venv/bin/python", "/venv", "linux", soabi)
    )
    case.installed = ()
    return case


def texts(finding: Finding | Report) -> str:
    """All that the hints say."""
    parts = []
    for hint in finding.hints:
        parts += [hint.title, hint.command or "", hint.edit.after if hint.edit else ""]
    return "\n".join(parts)
