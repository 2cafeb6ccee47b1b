"""Reads what CPython's faulthandler writes to stderr when a signal ends the process.

The form is that of Python/traceback.c and Modules/faulthandler.c, CPython 3.8 to 3.14, and PyPy.
"""

import re

from msgspec import Struct

from runner.diagnosis.report.model import ExceptionInfo, Frame
from runner.diagnosis.report.text import last_lines, one_line, printable

_WORDS = {
    "SIGSEGV": "Segmentation fault",
    "SIGBUS": "Bus error",
    "SIGILL": "Illegal instruction",
    "SIGFPE": "Floating",  # "point exception", with a hyphen since 3.12
}
# Not at a line's start: a progress bar may stand before it.
_HEADER = re.compile(r"Fatal Python error: (.*)$", re.MULTILINE)
# PyPy adds "approximate line numbers"; 3.14 a thread's name. A free-threaded Python shows only one
# stack, and names no thread.
_STACK = re.compile(
    r"^(Current thread|Thread|Stack)( 0x[0-9a-f]+)?( \[.*\])? \(most recent call first.*\):$"
)
_BEGINS = re.compile(r"(Current thread 0x|Stack \(most)")
_OF_DUMP = re.compile(r'(Current thread|Thread) 0x|  File "|  \.\.\.$')
_FRAME = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in (.+)$')
_BINARY = re.compile(r'^  Binary file "(.*)", at (\S*) \[0x[0-9a-f]+\]$')
_EXTENSIONS = re.compile(r"^Extension modules: (.*?)(?: \(total: \d+\))?$")
# What faulthandler.dump_traceback_later() writes before the stacks.
_TIMER = re.compile(r"^Timeout \(\d+:\d\d:\d\d(?:\.\d+)?\)!$", re.MULTILINE)
# A process that multiprocessing forks has the stack of the one that it was forked from.
_FORKS = "/multiprocessing/popen_fork.py"
_OUR_OWN = re.compile(r"/bundle_protocol/\w+\.py$|^<frozen (importlib|runpy|zipimport)")


class FatalError(Struct, frozen=True):
    """A fatal error as faulthandler wrote it."""

    exception: ExceptionInfo
    """The current thread's stack, outermost call first."""
    words_before: str
    """The text before it: where a process gives itself up, that is where it says why."""
    in_native_thread: bool = False
    """True if the thread that crashed runs no Python."""
    extension_modules: list[str] = []
    """Those loaded that are not the standard library's (3.10 and newer)."""
    binaries: list[tuple[str, str]] = []
    """The C stack, innermost call first: file, and symbol or offset in it (3.14 and newer)."""
    others: list[list[Frame]] = []
    """The stacks of the other threads that the bundle has started, outermost call first."""
    of_child: bool = False
    """True if the stack shows that it is the child's own, and not that of one of its
    subprocesses."""


def parse_fatal_error(stderr: str, signal_name: str | None = None) -> FatalError | None:
    """The last fatal error in the text.

    :param signal_name: the signal that ended the process. A fatal error of another kind was that of
        one of its subprocesses, which share its stderr.
    :returns: ``None`` where there is none.
    """
    for header in reversed(list(_HEADER.finditer(stderr))):
        message = one_line(printable(header.group(1)))
        if signal_name is None or _signal_of(message) == signal_name:
            return _parse(stderr, header.start(), header.end(), "Fatal Python error", message)
    return None


def signal_of_fatal_error(stderr: str) -> str | None:
    """The signal that the last fatal error in the text speaks of."""
    headers = _HEADER.findall(stderr)
    return _signal_of(one_line(printable(headers[-1]))) if headers else None


def parse_stack_dump(stderr: str, kind: str, message: str) -> FatalError | None:
    """The last stacks in the text that no fatal error wrote: those of a registered signal.

    :param kind: the exception's type.
    :returns: ``None`` where there are none.
    """
    lines = stderr.splitlines(keepends=True)
    last = len(lines)
    while last and not _BEGINS.match(lines[last - 1]):
        last -= 1
    if not last:
        return None
    first = last - 1
    while first and (not lines[first - 1].strip() or _OF_DUMP.match(lines[first - 1])):
        first -= 1
    start = sum(map(len, lines[:first]))
    return _parse(stderr, start, start, kind, message)


def last_words(text: str) -> str:
    """The last line that is none of faulthandler's stacks; empty where there is none."""
    written = (_OF_DUMP, _STACK, _EXTENSIONS, _TIMER)
    lines = printable(text).splitlines()
    words = [line for line in lines if not any(one.match(line) for one in written)]
    return "".join(last_lines("\n".join(words), 1))


def timer_of_end(stderr: str) -> str:
    """The words of the last ``dump_traceback_later()`` whose stacks end the text; else empty."""
    timers = list(_TIMER.finditer(stderr))
    return "" if not timers or last_words(stderr[timers[-1].end() :]) else timers[-1].group()


def _signal_of(message: str) -> str:
    for name, words in _WORDS.items():
        if message.startswith(words):
            return name
    # "Aborted", and what Python itself gives up for: "none_dealloc: deallocating None".
    return "SIGABRT"


def _is_forked(frames: list[Frame]) -> bool:
    return any(_FORKS in frame.file and frame.function == "_launch" for frame in frames)


def _parse(stderr: str, start: int, end: int, kind: str, message: str) -> FatalError:
    threads: list[list[Frame]] = []
    binaries: list[tuple[str, str]] = []
    extensions: list[str] = []
    stacks: list[str] = []
    for line in stderr[end:].splitlines():
        if match := _STACK.match(line):
            stacks.append(match.group(1))
            threads.append([])
        elif (match := _FRAME.match(line)) and threads:
            file, number, function = match.groups()
            line_number = int(number) if number.isdecimal() else None
            threads[-1].append(Frame(printable(file), line_number, printable(function)))
        elif match := _BINARY.match(line):
            binaries.append((printable(match.group(1)), match.group(2)))
        elif match := _EXTENSIONS.match(line):
            extensions = printable(match.group(1)).split(", ")
    # A process that the child has forked may have written its own before or after it.
    currents = [at for at, name in enumerate(stacks) if name != "Thread"]
    own = [at for at in currents if not _is_forked(threads[at])]
    current = next(iter(own or currents), None)
    frames = [] if current is None else threads[current]
    callers = [frame.file for frame in frames]
    return FatalError(
        ExceptionInfo(
            type=kind,
            message=message,
            traceback=[frame for frame in frames if not _OUR_OWN.search(frame.file)][::-1],
        ),
        words_before=stderr[:start],
        in_native_thread="Thread" in stacks and "Current thread" not in stacks,
        extension_modules=extensions,
        binaries=binaries,
        others=[
            [frame for frame in thread if not _OUR_OWN.search(frame.file)][::-1]
            for at, thread in enumerate(threads)
            if at != current and not any("/bundle_protocol/" in frame.file for frame in thread)
        ],
        of_child=any("/bundle_protocol/" in file for file in callers) and not _is_forked(frames),
    )
