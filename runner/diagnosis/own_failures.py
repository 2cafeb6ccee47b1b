"""Findings about the runner itself: a fault of ours, a run that the caller ended."""

import traceback

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import one_line
from runner.events import Phase

_BUILDING = {
    Phase.BUNDLE: "while the bundle was read",
    Phase.INTERPRETER: "while an interpreter was looked for",
    Phase.ENVIRONMENT: "while the environment was built",
    Phase.SPAWN: "while the child was started",
    Phase.HANDSHAKE: "while the child was started",
    Phase.LOAD: "while the bundle was loaded",
    Phase.EXECUTE: "while the task ran",
    Phase.SHUTDOWN: "after the task was done",
}


def internal_error(case: Case, error: Exception) -> Finding:
    """An exception that nothing in the runner expected."""
    return Finding.of(
        Code.INTERNAL_ERROR,
        f"the runner itself failed: {type(error).__name__}: {one_line(str(error), 120)}",
        "This is a fault of modelops-runner, or of the machine under it, and not of the bundle.",
        by_hand("report it, with what this records", case.exec_command("--record failure")),
        phase=case.journal.current or Phase.BUNDLE,
        exception=_exception_info(error),
    )


def cancelled(case: Case, by: str) -> Finding:
    """The caller ended the run.

    :param by: what ended it, such as ``SIGINT``.
    """
    phase = case.journal.current or Phase.BUNDLE
    return Finding.of(
        Code.CANCELLED,
        f"{by} ended the run {_BUILDING[phase]}",
        "The child and its descendants are gone, and nothing half-built is left.",
        Hint(
            "run it again: what was built before is reused",
            command=case.exec_command() if case.bundle else None,
        ),
        phase=phase,
    )


def _exception_info(error: BaseException) -> ExceptionInfo:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return ExceptionInfo(
        type=type(error).__qualname__,
        module=type(error).__module__,
        message=str(error),
        notes=list(getattr(error, "__notes__", [])),
        traceback=[
            Frame(file=frame.filename, line=frame.lineno, function=frame.name, text=frame.line)
            for frame in traceback.extract_tb(error.__traceback__, limit=-50)
        ],
        cause=None if cause is None else _exception_info(cause),
    )
