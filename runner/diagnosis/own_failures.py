"""Findings about the runner itself: a fault of ours, a run that the caller ended."""

import os
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


def cancelled(
    case: Case,
    by: str,
    how_far: str | None = None,
    again: Hint | None = None,
    said: str | None = None,
) -> Finding:
    """The caller ended the run, or a task has signalled the worker.

    :param by: what ended it, such as ``SIGINT``.
    :param how_far: how far the run was; by default, its phase.
    :param again: how to go on; by default, by the same command.
    :param said: what children have said on standard error; by default, what the case has of that.
    """
    from runner.diagnosis.deaths.kills import sender  # a run that ends well needs none of it

    phase = case.journal.current or Phase.BUNDLE
    summary = f"{by} ended the run{how_far or f' {_BUILDING[phase]}'}"
    hint = again or Hint(
        "run it again: what was built before is reused",
        command=case.exec_command() if case.bundle else None,
    )
    if place := sender(case, by, os.getpid(), case.stderr if said is None else said):
        summary += f": {place} sent it"
        hint = Hint(f"see {place}: in this isolation a task's parent is the runner itself")
    return Finding.of(
        Code.CANCELLED,
        summary,
        "The child and its descendants are gone, and nothing half-built is left.",
        hint,
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
