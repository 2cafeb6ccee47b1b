"""Recognises a package that looks for a program or library which no wheel brings."""

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.conda_only import missed_on_system
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint


def system_library(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Something that is not on this worker, and who brings it."""
    found = missed_on_system(exception.message[:400])
    if found is None:
        return None
    package, known = found
    where = case.place(exception)
    hints = [Hint(known.instead)]
    if known.wheel:
        title = f"ask for {known.wheel}, which brings an {known.thing}"
        hints.insert(0, case.declare_hint(title, known.wheel))
    return case.found(
        Code.IMPORT_FAILED,
        f"{where} needs {package}, and {package} finds no {known.thing} on this worker",
        f"{package} is {known.what}.",
        *hints,
    )
