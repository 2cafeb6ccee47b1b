"""Findings about a child that died where it should not have.

Pure: the evidence in, the finding out. A recording of a failure gives the same finding.
"""

import shlex

import msgspec

from bundle_protocol.messages import ExitStatus
from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.child_failures import wire_closed
from runner.diagnosis.deaths.crashes import CRASHES, crash
from runner.diagnosis.deaths.exit import Exit, Limits
from runner.diagnosis.deaths.fatal_error import (
    FatalError,
    last_words,
    parse_fatal_error,
    parse_stack_dump,
    signal_of_fatal_error,
    timer_of_end,
)
from runner.diagnosis.deaths.kills import kill
from runner.diagnosis.deaths.native_words import native_words
from runner.diagnosis.imports.hidden_modules import hidden_in_words
from runner.diagnosis.knowledge.child_variables import passes
from runner.diagnosis.remedies import look_for, raise_memory_limit, start_by_hand
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable, size_text
from runner.diagnosis.surroundings import lacking
from runner.events import Phase


def death(case: Case, phase: Phase, ended: Exit, *, stderr: str, noise: str) -> Finding:
    """The process ended where it should not have.

    :param noise: what was on the wire before the hello.
    """
    case.phase = phase
    if ended.oom_killed:
        return _oom_killed(case, ended.memory_limit)
    by_child = _own_decision(case, ended.code, stderr)
    if by_child is not None:
        return by_child
    if ended.signal_name is None and ended.code is None:
        return _lost(case, ended, stderr, noise)
    fatal = parse_fatal_error(stderr)
    if fatal is not None and case.phase is Phase.HANDSHAKE and ended.code is not None:
        return _python_did_not_start(case, fatal)
    if fatal is not None and fatal.of_child and ended.signal_name not in CRASHES:
        crashed = crash(case, ended, signal_of_fatal_error(stderr) or "SIGABRT", stderr)
        end = ended.signal_name or f"the exit status {ended.code}"
        crashed.explanation += f" What its parent saw of that end is {end}."
        return crashed
    if ended.signal_name is None:
        return _exited(case, ended.code, ended.limits, stderr, noise)
    if ended.signal_name in CRASHES:
        return crash(case, ended, ended.signal_name, stderr or noise)
    return kill(case, ended, ended.signal_name, stderr)


def _python_did_not_start(case: Case, fatal: FatalError) -> Finding:
    """Python gave up before it ran anything (Py_ExitStatusException)."""
    named = [name for name in ("PYTHONHOME", "PYTHONPATH") if passes(name, case.named)]
    said = fatal.exception.message
    hints = [
        _not_handed_on(case, named)
        if named
        else Hint(
            "see whether its standard library is there, and install that Python anew if not",
            command=shlex.join([case.child.argv[0], "-c", "import encodings"])
            if case.child
            else None,
            by="person",
        )
    ]
    return Finding.of(
        Code.CHILD_EXITED,
        f"the child's Python could not start: {one_line(said, 160)}",
        "It looks for its standard library beside its executable, or where PYTHONHOME"
        " says, before it runs anything.",
        *hints,
        phase=Phase.HANDSHAKE,
        exception=fatal.exception,
    )


def _not_handed_on(case: Case, named: list[str]) -> Hint:
    title = f"do not hand on {' or '.join(named)}: the child's Python has its own place"
    there = case.pyproject_text()
    own = set(named) & set(there.items("tool.modelops", "env"))
    if own:
        return Hint(title, edit=there.without("tool.modelops", "env", own.pop()))
    return Hint(title, command=case.exec_command(unset=named))


def _lost(case: Case, ended: Exit, stderr: str, noise: str) -> Finding:
    """Somebody else took its status. What it has said of a signal is all that there is then."""
    said = signal_of_fatal_error(stderr)
    finding = (
        _exited(case, None, ended.limits, stderr, noise)
        if said is None
        else crash(case, ended, said, stderr)
    )
    return msgspec.structs.replace(
        finding,
        explanation=f"{finding.explanation} Its status was lost: the worker's process ignores"
        " SIGCHLD, or waits for children that are not its own.",
    )


def over_memory(case: Case, phase: Phase, limit: int, used: int | None, stderr: str) -> Finding:
    """The child, or the process of its task, was ended at the memory limit that the runner sets.

    :param limit: bytes.
    :param used: the bytes that it held, where they are known.
    """
    case.phase = phase
    said = f"it stood here when it held more than {size_text(limit)}"
    fatal = parse_stack_dump(stderr, "MemoryLimit", said)
    exception = fatal.exception if fatal else None
    frame = case.telling_frame(exception)
    place = case.place_of(frame)
    held = f"it held {size_text(used)} of memory, and its" if used else "its"
    return case.found(
        Code.OUT_OF_MEMORY,
        f"the child was ended {DOING[case.phase]}"
        + (f", in {place}" if place else "")
        + f": {held} memory limit is {size_text(limit)}",
        "The limit is the one that --memory-limit, Runner(memory_limit=) or the"
        " bundle's own memory-limit sets. It counts the child with all that it has started."
        " The same task will meet the same end under the same limit."
        + (" Where it stood when it was ended is in its stack, below." if fatal else ""),
        *([Hint(f"see what takes so much in {place}")] if place else []),
        raise_memory_limit(case, max(limit, used or 0)),
        exception=exception,
    )


def _oom_killed(case: Case, limit: int | None) -> Finding:
    of = f" of {size_text(limit)}" if limit else ""
    where = "the worker's control group" if limit else "this machine"
    return case.found(
        Code.OUT_OF_MEMORY,
        f"the kernel killed the child {DOING[case.phase]}: out of memory"
        + (f", with a limit{of}" if limit else ""),
        f"The memory{of} of {where} was used up, and the kernel's out-of-memory killer"
        " chose the child. The same task will meet the same end under the same limit.",
        Hint("give the worker more memory (a container's limit, a batch job's request)"),
        Hint("or make the task smaller, or run fewer at once on the machine"),
    )


def _own_decision(case: Case, exit_code: int | None, stderr: str) -> Finding | None:
    """The child's side gave up by itself, and said so (docs/protocol.md, "Exit statuses")."""
    words = last_lines(stderr, 1)
    if not words and exit_code == ExitStatus.TRANSPORT_CLOSED and case.phase is not Phase.HANDSHAKE:
        return wire_closed(case, case.phase)  # stderr was closed with the wire
    if not words or not words[0].startswith("bundle_protocol: "):
        return None
    if exit_code == ExitStatus.TRANSPORT_CLOSED:
        return wire_closed(case, case.phase)
    if exit_code == ExitStatus.TRANSPORT_BROKEN and case.phase is Phase.HANDSHAKE:
        return case.found(
            Code.PROTOCOL_VIOLATION,
            f"the child {one_line(words[0].removeprefix('bundle_protocol: '), 120)}",
            "Its standard input or output was closed before any code of the bundle ran:"
            " by a .pth file or a sitecustomize of the environment.",
            _see_start_up(case),
        )
    return None


def _exited(case: Case, exit_code: int | None, limits: Limits, stderr: str, noise: str) -> Finding:
    hidden = hidden_in_words(case, "\n".join(last_lines(printable(stderr), 20)))
    if hidden is not None:
        hidden.summary += f"; the child then exited with status {exit_code} {DOING[case.phase]}"
        return hidden
    said = native_words(stderr)
    status = "in an unknown way" if exit_code is None else f"with status {exit_code}"
    timer = timer_of_end(stderr) if exit_code == 1 else ""  # of one that ends the process
    words = timer or one_line(last_words(stderr) or last_words(noise), 120)
    # A fatal error would have ended the child by a signal: this one is a subprocess's.
    fatal = parse_fatal_error(stderr)
    lack = lacking(case, stderr, ends_process=True)
    if lack is not None:
        words, hints = lack.what, lack.hints
        explanation = lack.explanation
    elif said is not None:
        words, explanation, hints = said.told(limits)
    else:
        explanation, hints = _why_exited(case, bool(words)), _exit_hints(case)
    notes = [explanation]
    if fatal is not None:
        words = ""
        notes.append(
            "Before that, one of its subprocesses died of a fatal error, whose stack is below."
        )
    elif exit_code is not None and (name := _SIGNALS_OF_STATUS.get(exit_code)):
        notes.append(
            f"A shell gives the status {exit_code} to a command that {name} ended: it may be"
            " that of a subprocess, passed on."
        )
    return case.found(
        Code.OUT_OF_MEMORY if said and said.kind.out_of_memory else Code.CHILD_EXITED,
        f"the child exited {status} {DOING[case.phase]}" + (f": {words}" if words else ""),
        " ".join(notes),
        *hints,
        exception=fatal.exception if fatal else None,
    )


_SIGNALS_OF_STATUS = {
    # 128 and the number, as Linux counts: a recording is read on any system.
    132: "SIGILL",
    134: "SIGABRT",
    135: "SIGBUS",
    136: "SIGFPE",
    137: "SIGKILL",
    139: "SIGSEGV",
    143: "SIGTERM",
    152: "SIGXCPU",
}


def _why_exited(case: Case, has_words: bool) -> str:
    words = "" if has_words else " It wrote nothing on stderr."
    if case.phase is Phase.HANDSHAKE:
        return (
            "Its Python ended before it ran any code of the bundle. What runs then is the"
            f" interpreter, the .pth files and the sitecustomize of the environment.{words}"
        )
    # By sys.exit() it would have said so: see exit_finding().
    return (
        "No exception ended it, so there is no traceback, and what did is not known: os._exit() of"
        f" Python, or exit() of native code, ends a process so.{words}"
    )


def _exit_hints(case: Case) -> list[Hint]:
    if case.phase is Phase.HANDSHAKE:
        return [start_by_hand(case), _see_start_up(case)]
    title = "see whether the bundle's own code ends the process, and raise an exception there;"
    title += " where none does, have it print what it is at"
    return [look_for(case, title, r"\b_?exit *\(")]


def _see_start_up(case: Case) -> Hint:
    """Which code of the environment runs as Python starts (site)."""
    venv = case.environment.path if case.environment else None
    files = f"{shlex.quote(venv)}/lib/python*/site-packages" if venv else ""
    return by_hand(
        "see which package of the environment has a .pth file or a sitecustomize, and leave it out",
        f"ls {files}/*.pth {files}/sitecustomize.py" if files else None,
    )
