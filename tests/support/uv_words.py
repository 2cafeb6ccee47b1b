"""The words of uv in real failures, and what is made of them.

tests/data/uv_output/<release>/<case>.txt is the stderr of real failures: of packages on PyPI, of
servers on loopback, of small projects under /srv/run.
"""

import json
import re
from pathlib import Path

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.model import BundleInfo, Edit, EnvironmentInfo, InterpreterInfo
from runner.diagnosis.uv.error import Step, UvFailure
from runner.diagnosis.uv.output import diagnose_uv

DATA = Path(__file__).parents[1] / "data" / "uv_output"
PROJECT = '[project]\nname = "sir-model"\nrequires-python = ">=3.8"\n'
RELEASES = ["0.13.9", "0.7.22", "0.4.30"]


def step_of(name: str) -> Step:
    if name.startswith("venv"):
        return "venv"
    if name.startswith("bundle") or name.endswith("build-requires"):
        return "bundle"
    return "dependencies"


def requirements_from(name: str) -> str:
    if "requirement" in name or name == "hash-mismatch":
        return "requirements.txt"
    return "uv.lock" if "lock" in name else "pyproject.toml"


def diagnose(
    text: str, name: str = "", *dependencies: str, python: str = "3.11.7", case: Case | None = None
) -> Finding:
    if case is None:
        case = Case()
        case.bundle = BundleInfo("/srv/run/sir-model", "sir-model", requires_python=">=3.8")
        if requirements_from(name) != "requirements.txt":
            case.pyproject = f"{PROJECT}dependencies = {json.dumps(dependencies)}\n"
    case.environment = EnvironmentInfo(requirements_from=requirements_from(name))
    said = re.search(r"Using (?:CPython|Python) (\d\S+)", text)
    failure = UvFailure(
        argv=["uv", "venv", "/srv/run/newvenv"],
        exit_code=1,
        stderr=text,
        step=step_of(name),
        cwd="/srv/copy",
        bundle_path="/srv/run/sir-model",
        bundle_name="sir-model",
        requirements_from=requirements_from(name),
        dependencies=dependencies,
        python_version=said.group(1) if said else python,
    )
    return diagnose_uv(case, failure)


def recorded(name: str, release: str = "0.13.9") -> str:
    return (DATA / release / f"{name}.txt").read_text("utf-8")


def edits(finding: Finding) -> list[Edit]:
    return [hint.edit for hint in finding.hints if hint.edit]


def of_bundle(name: str, *files: str, requested: str | None = None) -> Finding:
    """The finding for a failure of a bundle with these files."""
    case = Case()
    case.bundle = BundleInfo("/srv/run/sir-model", "sir-model", requires_python=">=3.8")
    case.bundle_files = files
    case.pyproject = PROJECT
    case.interpreter = InterpreterInfo(requested=requested)
    return diagnose(recorded(name), name, case=case)
