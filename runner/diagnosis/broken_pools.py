"""Tells how a worker of the bundle's own process pool died, where that broke the pool."""

import re

from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.deaths.crashes import CRASHES, crash
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.deaths.fatal_error import signal_of_fatal_error
from runner.diagnosis.deaths.native_words import native_words
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand

# Of concurrent.futures, and of loky (joblib, scikit-learn).
_BROKEN = ("BrokenProcessPool", "TerminatedWorkerError")
# loky says how its workers ended: {SIGKILL(-9), EXIT(1)}.
_ENDS = re.compile(r"\b(SIG[A-Z]{2,8})\(-\d{1,3}\)|\bEXIT\((\d{1,3})\)")
_WORKER = "a worker of the bundle's process pool"


def is_broken_pool(exception: ExceptionInfo) -> bool:
    return exception.type.rpartition(".")[2] in _BROKEN


def broken_pool(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in the death of a process that the bundle's code had started."""
    if not is_broken_pool(exception):
        return None
    stderr = case.stderr
    fewer = Hint("let the pool have fewer workers (max_workers=, n_jobs=), or give them less")
    if case.machine and case.machine.oom_killed:
        return case.found(
            Code.OUT_OF_MEMORY,
            f"the kernel killed {_WORKER} {DOING[case.phase]}: out of memory",
            "The kernel's counters show a kill for want of memory at that time. Each"
            " worker of a pool has a copy of what it is given.",
            fewer,
            Hint("or give the worker's machine or container more memory"),
        )
    ends = _ENDS.search(exception.message[-1000:])
    signal_name = signal_of_fatal_error(stderr) or (ends[1] if ends else None)
    if signal_name in CRASHES:
        ended = Exit(None, None, signal_name, None, None, 0.0)
        crashed = crash(case, ended, signal_name, stderr, who=_WORKER)
        crashed.exception = None
        return crashed
    place = case.place(exception)
    if signal_name is not None:
        said = f"{signal_name} ended it"
        why = "Somebody outside sent that, or the kernel, when memory had run out."
        hints = [fewer, _LOOK]
    elif words := native_words(stderr):
        limits = case.limits
        said, why, hints = words.told(limits)
    elif ends:
        said, why = (
            f"it exited with status {ends[2]}",
            "Its code ended it: no exception was raised.",
        )
        hints = [_WITHOUT]
    else:
        said = "it is not known how"
        why = (
            "It wrote nothing of it on stderr, and the kernel's counters show no kill for want of"
            " memory."
            if case.machine and case.machine.oom_killed is False
            else "It wrote nothing of it on stderr, and the kernel's counters do not tell it here."
        )
        hints = [_WITHOUT, _LOOK]
    return case.raised(f"{_WORKER} died, and broke the pool of {place}: {said}", why, *hints)


_WITHOUT = Hint(
    "run one piece of its work without the pool, in the task's own process: then the report"
    " says how that ends"
)
_LOOK = by_hand("see whether memory ran out", "dmesg | grep -i 'killed process'")
