"""Says of a stack that a child has written where it stood: in which loops, at which lock."""

import re

import msgspec

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.mended_lines import let_it_return
from runner.diagnosis.report.frames import is_standard_library, package_of
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable
from runner.diagnosis.stack_lines import Block, StackLine, lock_taken

_MOST_LOOPS = 4
_LONGEST = 80


def add_lines(case: Case, finding: Finding) -> None:
    """Give the calls of a stack the text of their lines, where that has been read."""
    exception = finding.exception
    if exception is None or not case.stack:
        return
    traceback = [
        msgspec.structs.replace(frame, text=line.text)
        if not frame.text and (line := _line_of(case, frame))
        else frame
        for frame in exception.traceback
    ]
    finding.exception = msgspec.structs.replace(exception, traceback=traceback)


def loops(case: Case, exception: ExceptionInfo) -> list[str]:
    """The loops that a stack stands in, outermost first, with their places."""
    told = [_named(case, frame, block) for frame, block in _blocks(case, exception)
            if not block.holds]  # fmt: skip
    return told[-_MOST_LOOPS:]


def endless(case: Case, exception: ExceptionInfo) -> Hint | None:
    """The hint where nothing that is known ends what it stands in."""
    for frame, block in reversed(_blocks(case, exception)):
        if block.ends_by_nobody:
            title = f"let {_named(case, frame, block)} end after a number of steps: in a task,"
            return Hint(f"{title} nothing but an exception ends it")
    for frame, inner in zip(exception.traceback, exception.traceback[1:], strict=False):
        line, package = _line_of(case, frame), package_of(inner.file)
        if line is not None and line.hands_over and package == "scipy":
            handed = ExceptionInfo(type="", message="", attributes={**line.hands_over})
            name = str(line.hands_over["returns_nothing"])
            return let_it_return(case, frame, handed, name, several=True)
        if line is not None and package == "simpy" and re.search(r"\.run\(\)", line.text):
            place = case.place_of(frame)
            title = f"say until when it runs, in {place}: .run(until=...); without, it ends with"
            return Hint(f"{title} the last of its processes, and never where one goes on for ever")
    return None


def integrates(case: Case, exception: ExceptionInfo) -> Hint | None:
    """The hint where SciPy's solve_ivp() takes steps without an end, or very small ones."""
    inside = any("/scipy/integrate/_ivp/" in frame.file for frame in exception.traceback)
    handed = re.search(r"\bsolve_ivp\(\s*([\w.]{1,100})", _text_of_solver(case, exception))
    if not inside or handed is None:
        return None
    return Hint(
        f"see whether a rate that {printable(handed[1])} gives becomes NaN, as of log() or a"
        " division: it goes on for ever then; where rates differ much in size, say method='LSODA'"
    )


def taken_twice(case: Case, exception: ExceptionInfo) -> tuple[str, Hint] | None:
    """Find that the bundle's innermost line waits for a lock that a line above it has taken.

    :returns: the end of a summary, and how it is mended.
    """
    # Locks of multiprocessing, and semaphores, are taken in Python code.
    own = [frame for frame in exception.traceback if not is_standard_library(frame.file)]
    last = own[-1] if own else None
    line = _line_of(case, last) if last else None
    lock = lock_taken(line.text) if line else None
    if last is None or line is None or lock is None:
        return None
    for frame, block in reversed(_blocks(case, exception)):
        if lock not in block.holds:
            continue
        edit = case.line_edit(
            msgspec.structs.replace(last, text=line.lock_text),
            re.sub(r"\bLock\(\)", "RLock()", line.lock_text),
        )
        place = case.place_of(msgspec.structs.replace(frame, line=block.line))
        lock = printable(lock)
        title = "take it once"
        if edit is not None:
            title = f"make {lock} an RLock(), which one thread may take again; or {title}"
        return f"for {lock}, which {place} has taken before", Hint(title, edit=edit)
    return None


def _text_of_solver(case: Case, exception: ExceptionInfo) -> str:
    texts = [line.text for frame in exception.traceback if (line := _line_of(case, frame))]
    return next((text for text in texts if "solve_ivp(" in text), "")


def _blocks(case: Case, exception: ExceptionInfo) -> list[tuple[Frame, Block]]:
    # What calls a notebook's cells is not its author's.
    cells = [frame for frame in exception.traceback if ".ipynb, cell " in frame.file]
    return [
        (frame, block)
        for frame in cells or exception.traceback
        if (line := _line_of(case, frame))
        for block in line.within
    ]


def _named(case: Case, frame: Frame, block: Block) -> str:
    place = case.place_of(msgspec.structs.replace(frame, line=block.line))
    return f"`{one_line(printable(block.text), _LONGEST)}` of {place}"


def _line_of(case: Case, frame: Frame) -> StackLine | None:
    place = (frame.file, frame.line)
    return next((one for one in case.stack if (one.file, one.line) == place), None)
