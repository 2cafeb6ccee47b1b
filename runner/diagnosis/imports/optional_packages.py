"""Recognises that a library asks for another package, which it does not bring by itself."""

import re

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.dependencies import is_installed
from runner.diagnosis.imports.import_errors import missing_module
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import raising_package
from runner.diagnosis.report.model import ExceptionInfo
from runner.diagnosis.report.text import one_line, printable

_NAME = r"[A-Za-z][\w.-]{0,60}"
# As libraries say it, of one package or of several of which one is enough.
_ASKS = (
    re.compile(
        rf"pip install (?!as follows)(?:-U |--upgrade )?[`'\"]?({_NAME}(?:\[[\w,-]{{1,60}}\])?)"
    ),
    re.compile(rf"tried using: ('{_NAME}'(?:, '{_NAME}')*)"),
    re.compile(rf"input file in xarray's IO backends: \['({_NAME}'(?:, '{_NAME}')*)\]. But"),
    re.compile(rf"none of the suitable backend libraries \(({_NAME}(?:, {_NAME})*)\)"),
    re.compile(rf"[Mm]issing optional dependency [`'\"]?({_NAME})"),
    re.compile(rf"[Pp]lease install (?:the )?[`'\"]?({_NAME})[`'\"]?(?: package| library)?[ .,!]"),
    re.compile(rf"({_NAME}) needs to be installed"),
    re.compile(rf"[Pp]lease update jupyter and ({_NAME})"),
    re.compile(rf"^Cannot import '({_NAME})' with"),
    re.compile(r"^(Numpy) is not available$"),
    re.compile(rf"make sure [`'\"]?({_NAME})[`'\"]? is installed"),
    re.compile(rf"^The solver ({_NAME}) is not installed"),
    re.compile(rf"No Python bindings available for <class 'pyomo.{{1,80}}\.({_NAME})'> solver"),
    re.compile(rf"requires (?:the )?[`'\"]?({_NAME})[`'\"]? (?:to be installed|package|library)"),
)
# What such a sentence may have in a name's place.
_NO_NAMES = {"a", "an", "it", "one", "the", "this", "that", "these", "your", "python", "pip"}
_ONE_IS_ENOUGH = 4
# As CVXPY and Pyomo call them, with what brings them.
_SOLVERS = {
    "CBC": "cylp",
    "COPT": "coptpy",
    "GLPK": "cvxopt",
    "GLPK_MI": "cvxopt",
    "GUROBI": "gurobipy",
    "GurobiDirect": "gurobipy",
    "CPLEXDirect": "cplex",
    "HIGHS": "highspy",
    "PROXQP": "proxsuite",
    "SCIP": "pyscipopt",
    "SDPA": "sdpa-python",
    "XpressDirect": "xpress",
    **{name: name.lower() for name in (*("CLARABEL", "CPLEX", "CVXOPT", "DAQP", "ECOS", "MOSEK"),
                                       *("OSQP", "PIQP", "SCS", "XPRESS"))},
}  # fmt: skip


def optional_package(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find the package that a library asks for in the words of an exception."""
    package = raising_package(exception)
    if missing_module(exception) is not None:
        return None
    kinds = ("ImportError", "ModuleNotFoundError", "ValueError", "RuntimeError", "OSError",
             "AttributeError")  # fmt: skip
    if exception.type not in kinds:
        return None
    names = _asked_for(exception.message[:2000])
    if package is None:  # Compiled code has no frame: what it says without a doubt is torch's.
        package, names = "torch", [name.lower() for name in names if name == "Numpy"]
    return _needed(case, exception, package, names)


def missing_solver(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find the package that brings the solver which CVXPY or Pyomo do not find."""
    package = raising_package(exception)
    frame = case.telling_frame(exception)
    said = exception.message[:2000]
    if package not in ("cvxpy", "pyomo"):
        return None
    if " is not available (NotFound)" in said and "highs" in ((frame and frame.text) or ""):
        said = "The solver HIGHS is not installed"
    names = [_SOLVERS[name] for name in _asked_for(said) if name in _SOLVERS]
    return _needed(case, exception, package, names)


def _needed(case: Case, exception: ExceptionInfo, package: str, names: list[str]) -> Finding | None:
    # What is there is not what is missing: it may be too old, or broken.
    if not names or any(is_installed(case, name.replace("-", "_")) for name in names):
        return None
    place = case.place(exception)
    wanted = [distribution_named(name) for name in names]
    listed = printable(" or ".join(wanted))
    return case.found(
        Code.IMPORT_FAILED,
        f"{package} needs {listed} for what {place} does, and does not bring it by itself",
        f"The environment holds what {case.declaring_file()} declares and nothing else."
        f" {package} says: {one_line(printable(exception.message), 300)}",
        case.declare_hint(
            f"add {'one of them' if wanted[1:] else wanted[0]} to the dependencies", wanted[0]
        ),
    )


def _asked_for(message: str) -> list[str]:
    installed = set(_ASKS[0].findall(message))
    # dask says both: install distributed, by "dask[distributed]".
    by_extra = {one for one in installed if any(f"[{one}]" in other for other in installed)}
    if len(installed - by_extra) > 1:
        return []  # A choice between things that differ: of what shares a name, say.
    if by_extra:
        return list(installed - by_extra)
    for pattern in _ASKS:
        if found := pattern.search(message):
            names = [name.strip("'. ") for name in found[1].split(", ")]
            return [name for name in names if name.lower() not in _NO_NAMES][:_ONE_IS_ENOUGH]
    return []
