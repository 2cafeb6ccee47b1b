"""Recognises a package that looks for a program or library which no wheel brings."""

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import declare_hint, place_of, telling_frame
from runner.diagnosis.knowledge.conda_only import on_system
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.events import Phase

# What the packages say, in exceptions of their own making.
_SAYINGS = {
    "cannot load MPI library": ("mpi4py", "MPI"),
    "r_home is None": ("rpy2", "R"),
    "openrlib.R_HOME cannot be None": ("rpy2", "R"),
    "The R home directory": ("rpy2", "R"),
}
# The package index has some all the same, as wheels.
_WHEELS = {"MPI": "mpich"}


def system_library(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """What is not on this worker, and who brings it."""
    found = next((it for said, it in _SAYINGS.items() if said in exception.message[:400]), None)
    only = on_system(found[0]) if found else None
    if found is None or only is None:
        return None
    package, thing = found
    where = place_of(case, telling_frame(case, exception)) or "the bundle"
    wheel = _WHEELS.get(thing)
    hints = [Hint(title=only.instead)]
    if wheel is not None:
        hints.insert(0, declare_hint(case, wheel, f"ask for {wheel}, which brings an {thing}"))
    return Finding(
        phase=phase,
        code=Code.IMPORT_FAILED,
        summary=f"{where} needs {package}, and {package} finds no {thing} on this worker",
        explanation=f"{package} is {only.what}.",
        hints=hints,
    )
