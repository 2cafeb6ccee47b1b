"""Tells of a thread that failed before the code did: nobody else gets its exception."""

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
