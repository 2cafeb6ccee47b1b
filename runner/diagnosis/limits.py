"""Names the limit of the system that a refusal is due to: processes, open files, a file's size."""

import re

from msgspec import Struct

from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.deaths.exit import Limits
from runner.diagnosis.knowledge.resource_limits import (
    FILE_SIZE,
    MEMORY,
    OPEN_FILES,
    PROCESSES,
    ResourceLimit,
)
from runner.diagnosis.remedies import raise_memory_limit
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable, size_text

# As Linux counts: a recording is read on any system.
_EAGAIN, _EMFILE, _EFBIG = 11, 24, 27
# The functions of the standard library that start a process.
_FORKING = ("_execute_child", "_fork_exec", "_launch", "fork", "forkpty", "posix_spawn")
_NO_THREAD = re.compile(
    r"can't start new thread|pthread_create.{0,200}(?:failed|Resource temporarily unavailable)"
    r"|Thread creation failed|thread constructor failed|failed to spawn thread"
)
_NEAR = 0.8
"""The share of a limit from which on it counts as reached: some have ended meanwhile."""
_CUT_SHORT = re.compile(r"\d+ requested and \d+ written$")


class Reached(Struct, frozen=True):
    """A limit that the system has kept."""

    what: str
    """The limit with its value, as a part of a sentence."""
    explanation: str
    hints: list[Hint]
    known: bool = True
    """False if it is not known which limit it is."""


def limit_reached(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in a limit of the system."""
    limits = case.limits
    number = exception.attributes.get("errno")
    if _starts_process(exception):
        did, reached = "could not start another thread or process", process_limit(limits)
        hints = [Hint("start fewer threads or processes at a time"), *reached.hints]
    elif number == _EMFILE:
        did, reached = "could not open another file", _open_files(limits)
        hints = reached.hints
    elif number == _EFBIG or (limits.file_bytes and _CUT_SHORT.search(exception.message[-200:])):
        did, reached = "could not write more into a file", file_limit(limits)
        hints = reached.hints
    else:
        return None
    place = case.place(exception)
    return case.raised(f"{place} {did}: {reached.what}", reached.explanation, *hints)


def out_of_memory(case: Case, exception: ExceptionInfo) -> Finding:
    """The code asked for more than it could have."""
    where = case.place(exception, "")
    asked = one_line(printable(exception.message), 140)
    limit = case.child.memory_limit_bytes if case.child else None
    space = case.machine.limits.memory_bytes if case.machine else None
    own = " It may have no more than its memory limit, used or not." if limit else ""
    return case.found(
        Code.OUT_OF_MEMORY,
        f"the child ran out of memory {DOING[case.phase]}{where and f', in {where}'}"
        f"{asked and f': {asked}'}"
        + (f"; its memory limit is {size_text(limit)}" if limit else "")
        + (f"; it may map {size_text(space)} ({MEMORY.name})" if space else ""),
        f"Python could not allocate what the code asked for.{own} The same task will"
        " ask for as much again, under the same limit.",
        *([raise_hint(MEMORY)] if space else []),
        Hint(f"give the task more memory, or make it smaller{where and f': see {where}'}"),
        *([raise_memory_limit(case, limit)] if limit else []),
    )


def concerns_limits(exception: ExceptionInfo) -> bool:
    """Tell whether the limits of the process may say more of an exception."""
    number = exception.attributes.get("errno")
    return (
        number in (_EMFILE, _EFBIG)
        or _starts_process(exception)
        or exception.type.endswith("MemoryError")
        or _CUT_SHORT.search(exception.message[-200:]) is not None
    )


def _starts_process(exception: ExceptionInfo) -> bool:
    if _NO_THREAD.search(exception.message[:1000]):
        return True
    if exception.attributes.get("errno") != _EAGAIN:
        return False
    if not exception.traceback:  # the child's own frames are left out: it could not fork
        return True
    last = exception.traceback[-1]
    return last.function in _FORKING or "os.fork" in (last.text or "")


def process_limit(limits: Limits) -> Reached:
    """The limit on processes and threads that a refusal of one is due to, as far as it is known.

    Its hints come after one to start fewer.
    """
    own, group, used = limits.processes, limits.group_processes, limits.user_processes
    if group is not None and limits.group_refusals:
        return Reached(
            f"the control group may have {group} (pids.max)",
            "Each thread of each process in the worker's container or job counts; it has refused"
            f" {limits.group_refusals} so far.",
            [
                Hint(
                    "or raise it for the container: docker run --pids-limit; in Kubernetes"
                    " the node's podPidsLimit; TasksMax in systemd"
                )
            ],
        )
    if own is not None and used is not None and used >= own * _NEAR:
        return Reached(
            f"its user may have {own} ({PROCESSES.name})",
            f"Each thread of each process of the worker's user on this machine counts, those of"
            f" other jobs too: {used} just after it.",
            [raise_hint(PROCESSES, 4 * own, "or ")],
        )
    known = [
        f"{limit} {what}"
        for limit, what in (
            (own, f"for its user ({PROCESSES.name})"),
            (group, "for the control group"),
        )
        if limit is not None
    ]
    return Reached(
        "the system refused it",
        f"It is not known why. The limits on {PROCESSES.what} are {' and '.join(known)}."
        if known
        else f"It is not known why: there is no limit on {PROCESSES.what} for its user"
        f" ({PROCESSES.name}) or control group (pids.max).",
        [by_hand("or see what else is limited: memory for a thread's stack", "ulimit -a")],
        known=False,
    )


def _open_files(limits: Limits) -> Reached:
    most = limits.open_files
    return Reached(
        f"it may have {most} open ({OPEN_FILES.name})"
        if most
        else f"too many are open ({OPEN_FILES.name})",
        "Sockets and pipes count too. The limit is that of each process.",
        [
            raise_hint(OPEN_FILES, 4 * most if most else 4096),
            Hint("or close files as soon as they are read: with open(...) as file"),
        ],
    )


def file_limit(limits: Limits) -> Reached:
    most = limits.file_bytes
    return Reached(
        f"it may have {size_text(most)} ({FILE_SIZE.name})"
        if most is not None
        else f"it has all that it may have ({FILE_SIZE.name})",
        "The limit is the process's own: the worker's, or set by the bundle's code.",
        [raise_hint(FILE_SIZE), Hint("or write less into one file")],
    )


def raise_hint(resource: ResourceLimit, limit: int | str = "unlimited", begin: str = "") -> Hint:
    title = f"{begin}raise it where the worker is started"
    return by_hand(title, resource.command(limit))
