"""Tells of failures that the code did not notice: a thread's, a program's that it has run."""

import re

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import one_line, printable

# A traceback by itself tells nothing: logging.exception() and traceback.print_exc() are what code
# writes that has taken notice. What is printed for an exception that nobody has caught is known by
# the line before, or, of a program, by a first frame that is no function's.
_UNCAUGHT = re.compile(
    r"(?P<before>(?:^[^\n]*\n){0,2})"
    r"^Traceback \(most recent call last\):\n(?P<frames>(?:[ \t][^\n]*\n)+)(?P<said>[^\s][^\n]*)",
    re.MULTILINE,
)
# As threading.excepthook and multiprocessing print it.
_OF_THREAD = re.compile(r"^Exception in thread [^\n]{1,300}:\n\Z", re.MULTILINE)
_OF_POOL = re.compile(r"^Exception in thread |/(?:multiprocessing|loky)/", re.MULTILINE)
_OF_PROCESS = re.compile(r"^Process \S{1,100}:\n\Z", re.MULTILINE)
_OF_ASYNCIO = re.compile(
    r"^(?:Task|Future) exception was never retrieved\nfuture: [^\n]*\n\Z", re.M
)
_OF_PROGRAM = re.compile(r' *File "[^"\n]*", line \d+, in (?:<module>|_run_module_as_main)\n')
# Of a line for a log, and of __del__().
_OF_LOG = re.compile(r"(?:\b(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\b|Exception ignored)[^\n]*\n\Z")
_NOT_RUN = re.compile(
    r"^(?:/bin/)?(?:ba|da|z)?sh: (?:(?:line )?\d+: )?([^:\n]{1,200}):"
    r" ((?:command )?not found|Permission denied)$",
    re.MULTILINE,
)


def unnoticed_failure(case: Case, stderr: str) -> str | None:
    """Return what a task that ended well has written of something that failed in it.

    :param stderr: what it has written to its standard error.
    """
    for found in _UNCAUGHT.finditer(stderr):
        place = case.printed_place(found["frames"])
        # A pool's own threads and processes may fail as the task ends, and take nothing with them.
        if not place and _OF_POOL.search(found["before"] + found["frames"]):
            continue
        if what := _kind(found["before"], found["frames"]):
            where = f" in {place}" if place else ""
            said = one_line(printable(found["said"]), 140)
            return f"the task ended well, though {what}: {said}{where}"
    if (program := _NOT_RUN.search(stderr)) is not None:
        return f"the task ended well, though its shell could not run {program[1]}: {program[2]}"
    return None


def _kind(before: str, frames: str) -> str | None:
    """Return what has failed by a traceback that was printed; ``None`` where that is not sure."""
    if _OF_THREAD.search(before):
        return "a thread of it failed, and what that was to give is missing"
    if _OF_PROCESS.search(before):
        return "a process of it failed, and what that was to give is missing"
    if _OF_ASYNCIO.search(before):
        return "nobody has awaited what failed in its event loop"
    if _OF_PROGRAM.match(frames) and not _OF_LOG.search(before):
        return "a program that it ran failed"
    return None


def add_failed_thread(case: Case, finding: Finding) -> None:
    """Say of a failure of the code that a thread which it had started failed first."""
    if case.evidence.stderr is None or finding.code not in (Code.TASK_RAISED, Code.LOAD_RAISED):
        return
    printed = _UNCAUGHT.finditer(case.evidence.stderr.text)
    failed = next((one for one in printed if _OF_THREAD.search(one["before"])), None)
    if failed is None:
        return
    place = case.printed_place(failed["frames"]) or "a library"
    said = one_line(printable(failed["said"]), 140)
    finding.explanation += (
        f" Before that, a thread that it had started ended in {place} by {said}: what the thread"
        " was to give is missing."
    )
    finding.hints.insert(0, Hint(f"see first why the thread failed in {place}: {said}"))
