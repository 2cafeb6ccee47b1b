"""Findings about a signal that a child's own code brought about: a fault in native code."""

import shlex

from msgspec import Struct, field

from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.deaths.exit import Exit, Space
from runner.diagnosis.deaths.fatal_error import FatalError, last_words, parse_fatal_error
from runner.diagnosis.deaths.native_words import native_words
from runner.diagnosis.imports.dependencies import from_source, upgrade
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.knowledge.newer_syntax import is_older
from runner.diagnosis.remedies import start_by_hand
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import Frame, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable, size_text
from runner.diagnosis.surroundings import lacking
from runner.events import Phase

CRASHES = {
    "SIGSEGV": "Native code touched memory that is not its own: a fault in a C extension or a"
    " library under it, or a wheel that does not suit this Python or machine.",
    "SIGABRT": "The process gave itself up: abort() in native code, most often after an assertion"
    " or a broken heap; the C library then writes a line to stderr.",
    "SIGBUS": "A mapped file could not be read or grown.",
    "SIGFPE": "Native code divided an integer by zero.",
    "SIGILL": "Native code used an instruction that this processor does not have.",
    "SIGTRAP": "Native code met a trap: the place that its compiler or author holds to be"
    " impossible, or a debugger's breakpoint.",
    "SIGSYS": "It made a system call that a sandbox (seccomp) forbids.",
}
"""The summary of each signal when nothing more is known."""

# faulthandler shows at most the innermost hundred frames; fewer where it is interrupted.
_DEEP = 90
# The most functions that take part in a recursion, where they call each other in turn.
_CYCLE = 8
# 3.14 shows the innermost 32 frames of the C stack; a few are the signal handler's own.
_DEEP_NATIVE = 24
_NATIVE_STACKS = "3.14"
"""The first Python that writes the C stack of a crash."""
_FULL = 0.01
"""The share of room at which a file system counts as full."""
_NAMED = 3


class _Reading(Struct):
    """A crash as the evidence tells it."""

    what: str
    """The end of the summary, after the place; empty where nothing is known."""
    explanation: str
    hints: list[Hint] = field(default_factory=list)
    code: Code = Code.CHILD_CRASHED
    retryable: bool = False


def crash(
    case: Case, ended: Exit, signal_name: str, stderr: str, *, who: str = "the child"
) -> Finding:
    """A signal of :data:`CRASHES` ended the child.

    :param stderr: what it wrote there, or what it wrote at all.
    :param who: the process that it ended.
    """
    fatal = parse_fatal_error(stderr, signal_name)
    exception = fatal.exception if fatal else None
    frame = case.telling_frame(exception)
    reading = _read(case, ended, signal_name, stderr, fatal, frame)
    place = f", in {case.place_of(frame)}" if frame else ""
    what = f": {reading.what}" if reading.what else ""
    explanation = reading.explanation
    if fatal is not None and fatal.in_native_thread:
        explanation += " The thread that crashed runs no Python: a library started it."
    return case.found(
        reading.code,
        f"{signal_name} ended {who} {DOING[case.phase]}{place}{what}",
        explanation,
        *(reading.hints or _crash_hints(case, fatal, case.place_of(frame))),
        exception=exception,
        retryable=reading.retryable,
    )


def _read(
    case: Case,
    ended: Exit,
    signal_name: str,
    stderr: str,
    fatal: FatalError | None,
    frame: Frame | None,
) -> _Reading:
    before = fatal.words_before if fatal else stderr
    if fatal is not None and (overflow := _stack_overflow(ended, fatal)):
        return overflow
    if (lack := lacking(case, before, ends_process=True)) is not None:
        return _Reading(lack.what, lack.explanation, lack.hints)
    said = native_words(before)
    if said is not None and signal_name != "SIGBUS":
        code = Code.OUT_OF_MEMORY if said.kind.out_of_memory else Code.CHILD_CRASHED
        return _Reading(*said.told(ended.limits), code)
    if signal_name == "SIGILL":
        return _illegal_instruction(case, fatal)
    if signal_name == "SIGBUS":
        return _bus_error(case, ended, frame)
    if signal_name == "SIGABRT" and fatal is not None and fatal.exception.message != "Aborted":
        return _Reading(
            fatal.exception.message,
            "Python found its own state broken and gave up: a C extension breaks the rules for"
            " reference counts or the GIL.",
        )
    quoted = last_words(before) if fatal is None or signal_name == "SIGABRT" else ""
    return _Reading(one_line(quoted, 120), CRASHES[signal_name])


def _stack_overflow(ended: Exit, fatal: FatalError) -> _Reading | None:
    functions = _recursion(fatal.exception.traceback)
    binaries = fatal.binaries
    native = len(binaries) >= _DEEP_NATIVE and len(set(binaries)) <= len(binaries) // 2
    by_python = "stack overflow" in fatal.exception.message
    if not functions and not native and not by_python:
        return None
    stack = ended.limits.stack_bytes
    of = f" of {size_text(stack)}" if stack else ""
    name = " and ".join(printable(function) for function in functions)
    if functions:
        calls = "calls itself" if len(functions) == 1 else "call each other"
        why = (
            f"{one_line(name, 200)} {calls} without end, or deeper than the stack{of} can hold;"
            " Python's own guard did not stop it, most often because sys.setrecursionlimit() was"
            " raised."
        )
    else:
        why = f"Native code calls itself without end, or deeper than the stack{of} can hold."
    return _Reading(
        "its stack overflowed",
        why,
        [
            Hint("see why the recursion does not end; write a deep one as a loop, with a list"
                 " of what is left to do"),
            *([Hint("leave sys.setrecursionlimit() alone: then it is a RecursionError with a"
                    " traceback")] if functions else []),
            Hint("if it must be that deep, run it in a thread with a larger stack:"
                 " threading.stack_size(512 * 2**20) before the thread is made"),
        ],
    )  # fmt: skip


def _recursion(frames: list[Frame]) -> list[str]:
    """The functions that call themselves, or each other, all the way down."""
    innermost = frames[-_DEEP:]
    functions = list(dict.fromkeys((frame.file, frame.function) for frame in innermost))
    if len(innermost) < _DEEP or len(functions) > _CYCLE:
        return []
    return [function for _, function in functions]


def _illegal_instruction(case: Case, fatal: FatalError | None) -> _Reading:
    suspects, certain = _suspects(fatal)
    named = ", ".join(suspects[:_NAMED])
    more = f" and {len(suspects) - _NAMED} more" if len(suspects) > _NAMED else ""
    if certain:
        who = f"{named}, or a library under it, is a wheel built for another processor (AVX2, ...)."
    elif suspects:
        who = (
            "A wheel or library was built for another processor (AVX2, ...). It is one of the"
            f" compiled packages that were loaded: {named}{more}."
        )
    else:
        who = "A wheel or library was built for another processor (AVX2, ...)."
    trap = " Code that a compiler holds to be unreachable ends so too."
    return _Reading(
        (f"{named} used " if certain else "") + "an instruction that this processor does not have",
        who + trap,
        [
            *([from_source(case, suspects[:_NAMED])] if suspects else []),
            by_hand("see what this processor has, and compare with one on which it works", "lscpu"),
        ],
    )  # fmt: skip


def _suspects(fatal: FatalError | None) -> tuple[list[str], bool]:
    """The packages whose native code may have crashed, and whether it is known to be the one."""
    if fatal is None:
        return [], False
    for file, _ in fatal.binaries:
        if package := package_of(file):
            return [package], True
    frames = fatal.exception.traceback
    if frames and (package := package_of(frames[-1].file)):
        return [package], True
    return list(dict.fromkeys(name.partition(".")[0] for name in fatal.extension_modules)), False


def _bus_error(case: Case, ended: Exit, frame: Frame | None) -> _Reading:
    full = [space for space in ended.spaces if space.free_bytes <= space.total_bytes * _FULL]
    if full:
        space = full[0]
        return _Reading(
            f"{space.path} is full ({size_text(space.total_bytes)})",
            "Whoever writes to a mapped file that its file system has no room for gets this signal."
            + (" Shared memory is kept there: of multiprocessing, joblib, PyTorch, Ray."
               if space.path == "/dev/shm" else ""),
            _room_hints(space),
            retryable=True,
        )  # fmt: skip
    rooms = "; ".join(
        f"{space.path} has {size_text(space.free_bytes)} of {size_text(space.total_bytes)} free"
        for space in ended.spaces
    )
    known = f" {rooms}, after what the child alone held there was freed." if rooms else ""
    place = case.place_of(frame)
    return _Reading(
        "",
        "A mapped file could not be read or grown: it was cut while it was mapped (mmap,"
        f" numpy.memmap), its disk is full, or its disk or server failed.{known}",
        [
            Hint("replace a file that others have mapped: write a new one beside it, and"
                 " rename it" + (f"; see {place}" if place else "")),
            by_hand("see whether a file system is full", "df -h"),
        ],
    )  # fmt: skip


def _room_hints(space: Space) -> list[Hint]:
    if space.path != "/dev/shm":
        return [
            by_hand("make room there", f"df -h {shlex.quote(space.path)}"),
            by_hand("or name a folder that has room", "export TMPDIR=/a/folder"),
        ]
    return [
        by_hand(
            "see what fills it: what was not unlinked outlives the process that made it",
            "ls -lh /dev/shm",
        ),
        by_hand(
            "give it more room: docker run --shm-size=8g; in Kubernetes, an emptyDir of"
            " medium Memory mounted there; else",
            "mount -o remount,size=8g /dev/shm",
        ),
    ]


def _crash_hints(case: Case, fatal: FatalError | None, place: str) -> list[Hint]:
    suspects, certain = _suspects(fatal)
    named = ", ".join(suspects[:_NAMED])
    hints = [Hint(f"see {place}, the last line of Python before it")] if place else []
    if certain:
        distribution = distribution_named(suspects[0])
        hints.append(upgrade(case, distribution, f"take a newer {distribution}, or an older one"))
    elif suspects:
        hints.append(
            Hint(f"take other releases of the compiled packages that were loaded: {named}")
        )
    newer = _python_with_native_stacks(case)
    if not certain and newer is not None:
        title = f"run it on Python {newer}, whose report has the native stack, which names the file"
        hints.append(by_hand(title, case.exec_command(f"--python {newer}")))
    if not hints and case.phase is Phase.HANDSHAKE:
        return [start_by_hand(case)]
    return hints or [
        Hint(
            "it is not known what crashed: have the code print what it is at, a line before"
            " each call of native code"
        )
    ]


def _python_with_native_stacks(case: Case) -> str | None:
    """A Python of this machine that the bundle accepts, where the child's is an older one."""
    python = case.python
    if python is None or not is_older(python.version, _NATIVE_STACKS) or case.interpreter is None:
        return None
    usable = (one.version for one in case.interpreter.found if one.usable and one.version)
    return next((one for one in usable if not is_older(one, _NATIVE_STACKS)), None)
