"""Tells of failures that the code did not notice: a thread's, a program's that it has run."""

import re

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import one_line, printable

# As threading.excepthook prints it: the thread, the indented frames, the exception.
_FAILED = re.compile(
    r"^Exception in thread [^\n]{1,300}:\n"
    r"Traceback \(most recent call last\):\n((?:[ \t][^\n]*\n)+)([^\s][^\n]*)",
    re.MULTILINE,
)
_TRACEBACK = re.compile(
    r"^Traceback \(most recent call last\):\n((?:[ \t][^\n]*\n)+)([^\s][^\n]*)", re.MULTILINE
)
# What precedes a traceback that changes no result: of __del__(), of a line for a log.
_OF_NO_ACCOUNT = re.compile(r"(?:Exception ignored|--- Logging error ---)[^\n]*\n\Z")
_NOT_RUN = re.compile(
    r"^(?:/bin/)?(?:ba|da|z)?sh: (?:(?:line )?\d+: )?([^:\n]{1,200}):"
    r" ((?:command )?not found|Permission denied)$",
    re.MULTILINE,
)


def unnoticed_failure(case: Case, stderr: str) -> str | None:
    """Return what a task that ended well has written of something that failed in it.

    :param stderr: what it has written to its standard error.
    """
    if (failed := _FAILED.search(stderr)) is not None:
        what = "a thread of it failed, and what that was to give is missing"
    else:
        found = _TRACEBACK.finditer(stderr)
        failed = next((m for m in found if not _OF_NO_ACCOUNT.search(stderr[: m.start()])), None)
        what = "something in it failed, and it did not take notice"
    if failed is not None:
        place = case.printed_place(failed[1])
        where = f" in {place}" if place else ""
        return f"the task ended well, though {what}: {one_line(printable(failed[2]), 140)}{where}"
    if (program := _NOT_RUN.search(stderr)) is not None:
        return f"the task ended well, though its shell could not run {program[1]}: {program[2]}"
    return None


def add_failed_thread(case: Case, finding: Finding) -> None:
    """Say of a failure of the code that a thread which it had started failed first."""
    if case.evidence.stderr is None or finding.code not in (Code.TASK_RAISED, Code.LOAD_RAISED):
        return
    failed = _FAILED.search(case.evidence.stderr.text)
    if failed is None:
        return
    place = case.printed_place(failed[1]) or "a library"
    said = one_line(printable(failed[2]), 140)
    finding.explanation += (
        f" Before that, a thread that it had started ended in {place} by {said}: what the thread"
        " was to give is missing."
    )
    finding.hints.insert(0, Hint(f"see first why the thread failed in {place}: {said}"))
