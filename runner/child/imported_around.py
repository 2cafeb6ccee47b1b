"""Reads what the bundle's code imports beside a module that it has missed."""

from pathlib import Path

from runner.bundle.foreign.imports import imports_from
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import ExceptionInfo


def imported_around(case: Case, exception: ExceptionInfo) -> tuple[str, ...]:
    """Return the modules at the top that the failing file, and its own modules, import.

    :returns: in order; none where the file is not one of the bundle's.
    """
    frame = case.telling_frame(exception)
    if frame is None or case.bundle is None or not case.is_own(frame.file):
        return ()
    return tuple(sorted(imports_from(Path(case.bundle.path), case.file_in_bundle(frame))))
