"""Reads what CPython's faulthandler writes to stderr when a signal ends the process."""

import re

from runner.diagnosis.report import ExceptionInfo, Frame
from runner.diagnosis.text import last_lines, one_line, printable

_HEADER = re.compile(r"^Fatal Python error: (.*)$", re.MULTILINE)
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x[0-9a-f]+.*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(.*)", line (\d+|\?\?\?) in (.*)$')
_OUR_OWN = re.compile(r"/bundle_protocol/\w+\.py$|^<frozen (importlib|runpy|zipimport)")


def parse_fatal_error(stderr: str) -> ExceptionInfo | None:
    """The last fatal error in the text, with the current thread's stack, outermost call first.

    :returns: ``None`` where there is none.
    """
    headers = list(_HEADER.finditer(stderr))
    if not headers:
        return None
    header = headers[-1]
    frames: list[Frame] = []
    in_current = False
    for line in stderr[header.end() :].splitlines():
        if _THREAD.match(line):
            in_current = line.startswith("Current thread")
        elif in_current and (match := _FRAME.match(line)):
            file, number, function = match.groups()
            if not _OUR_OWN.search(file):
                frames.append(
                    Frame(
                        file=printable(file),
                        line=int(number) if number.isdecimal() else None,
                        function=printable(function),
                    )
                )
    return ExceptionInfo(
        type="Fatal Python error",
        message=one_line(printable(header.group(1))),
        traceback=frames[::-1],
    )


def words_before_fatal_error(stderr: str) -> str | None:
    """The last line before the last fatal error.

    Where a process gives itself up (SIGABRT), that is where the C library or a failed assertion
    says why: ``free(): invalid pointer``.
    """
    headers = list(_HEADER.finditer(stderr))
    words = last_lines(printable(stderr[: headers[-1].start()]), 1) if headers else []
    return words[0] if words else None
