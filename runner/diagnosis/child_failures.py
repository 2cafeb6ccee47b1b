"""Findings about a child that was started or not: what it answered, that it did not answer.

Pure: the evidence in, the finding out. A recording of a failure gives the same finding.

It is there at each start of a child. What only one of its findings needs is imported for that.
"""

import errno
import re
import shlex
from collections.abc import Sequence

from bundle_protocol.messages import ErrorCode
from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.machine import Machine
from runner.diagnosis.refusals import FULL, lacks_room
from runner.diagnosis.remedies import build_anew, look_for, requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, PythonInfo, by_hand
from runner.diagnosis.report.text import one_line, printable
from runner.events import Phase

# ENOSPC, and EDQUOT of Linux and of macOS: a recording is replayed on either.
NO_ROOM = (28, 122, 69)

_TOO_LARGE = 27  # EFBIG

# EAGAIN and ENOMEM, of the one system on which a child forks.
NO_PROCESS = (11, 12)


def spawn_failed(case: Case, error: OSError, limit: str | None = None) -> Finding:
    """The operating system did not start the process.

    :param limit: the limit that was reached, with its value.
    """
    from runner.diagnosis.limits import process_limit
    from runner.diagnosis.noexec import move_hint

    argv0 = case.child.argv[0] if case.child else "the child"
    if limit is not None and error.errno not in NO_PROCESS:
        return Finding.of(
            Code.SPAWN_FAILED,
            f"{argv0} could not be started: {error.strerror}",
            f"{limit[0].upper()}{limit[1:]}.",
            Hint("allow more, or run less at a time", command="ulimit -a"),
            phase=Phase.SPAWN,
            retryable=True,
        )
    program = error.filename or argv0
    denied = isinstance(error, PermissionError)
    machine = case.machine or Machine()
    summary = f"{program} could not be started: {error.strerror}"
    if denied and machine.noexec is not None:
        summary = f"{program} could not be started: {machine.noexec.point} is mounted noexec"
        why, hints = "", [move_hint(case, machine.noexec)]
    elif denied:
        why = " Somebody must let the worker's user execute it, and enter each folder above it."
        command = f"namei -l {shlex.quote(str(program))}"
        hints = [by_hand("see which of them does not", command)]
    elif error.errno in NO_PROCESS:
        reached = process_limit(machine.limits)
        summary, why = f"{summary}; {reached.what}", f" {reached.explanation}"
        hints = [Hint("run fewer children at a time"), *reached.hints]
    elif error.errno == errno.ENOEXEC:
        why = " It is not a program for this kind of machine: the cache may be shared with another."
        hints = [build_anew(case)]
    elif error.errno == errno.ENOENT:
        why, hints = " It, or the interpreter that it is a link to, is gone.", [build_anew(case)]
    else:
        why = ""
        argv = case.child.argv if case.child else [str(program)]
        hints = [by_hand("start it by hand and see what it says", shlex.join(argv))]
    return Finding.of(
        Code.PERMISSION_DENIED if denied else Code.SPAWN_FAILED,
        summary,
        "The operating system refused to start the environment's Python." + why,
        *hints,
        phase=Phase.SPAWN,
    )


def no_exchange_folder(error: OSError) -> Finding:
    """The folder for the child's larger results could not be made."""
    if error.errno not in FULL and (lacking := lacks_room(Phase.SPAWN, error)) is not None:
        return lacking
    return Finding.of(
        Code.SPAWN_FAILED,
        f"no temporary folder could be made for the child: {error.strerror}",
        f"Larger results travel through it. What was refused is {error.filename}."
        if error.filename
        else "",
        by_hand("name a folder that has room", "export TMPDIR=/a/folder"),
        phase=Phase.SPAWN,
    )


def python_too_old(case: Case, python: PythonInfo, oldest: str) -> Finding:
    return Finding.of(
        Code.PYTHON_TOO_OLD,
        f"the child runs {python.implementation} {python.version};"
        f" tasks need Python {oldest} or newer",
        f"{python.executable} said hello and cannot run tasks: this runner's child side"
        f" needs Python {oldest}.",
        requires_python_hint(
            case, f">={oldest}", "let the runner choose, and say which Pythons it is for"
        ),
    )


def python_mismatch(case: Case, python: PythonInfo, expected: str) -> Finding:
    return Finding.of(
        Code.PYTHON_MISMATCH,
        f"the child runs Python {python.version}, its environment was built for {expected}",
        f"{python.executable} is not the interpreter that the environment was made"
        " with: it was upgraded or replaced since. Compiled packages may not load in it.",
        build_anew(case),
    )


def protocol_unsupported(offered: Sequence[int], spoken: Sequence[int]) -> Finding:
    child, own = (", ".join(map(str, one)) or "none" for one in (offered, spoken))
    return Finding.of(
        Code.PROTOCOL_UNSUPPORTED,
        f"the child speaks protocol {child}, this runner {own}",
        "Runner and child come from different releases of modelops-runner.",
        Hint("install the same modelops-runner on both sides"),
    )


def violation(case: Case, phase: Phase, what: str, *, foreign: bool = False) -> Finding:
    """The child sent what is not the protocol.

    :param foreign: whether it is bytes that no child writes, and not a message that is wrong.
    """
    if phase is Phase.HANDSHAKE:
        why = "The first bytes of a child are its hello; what came instead claims to be one, and is"
        why += " not."
    elif foreign:
        why = "The wire is a private descriptor, out of the way of print() and of native code."
        why += " Something in the bundle, or a library it uses, found it and wrote to it."
    else:
        why = "The message is whole, so the child itself has made it so: it does not follow the"
        why += " protocol, or code of the bundle has changed what it works with."
    if foreign or phase is Phase.HANDSHAKE:
        title = "look for code that writes to descriptors it did not open (os.write, a daemoniser,"
        hint = look_for(case, f"{title} a debugger)", _ON_DESCRIPTORS)
    else:
        title = "look for code that replaces functions of the standard library (json, os, zlib);"
        hint = Hint(f"{title} see a child of your own with scripts/check_child COMMAND")
    return Finding.of(
        Code.PROTOCOL_VIOLATION,
        f"what the child sent is not the protocol: {one_line(printable(what), 240)}",
        why,
        hint,
        phase=phase,
    )


_ON_DESCRIPTORS = r"\b(write|close|closerange|dup2?|fdopen) *\("


def wire_closed(case: Case, phase: Phase) -> Finding:
    """The wire ended and the process did not."""
    if phase is Phase.HANDSHAKE:
        summary = "the child closed its stdout before it said hello, and went on running"
        cause = "A .pth file or a sitecustomize of the environment closed descriptor 1."
    else:
        summary = f"the child's end of the wire was closed {DOING[phase]}"
        cause = (
            "Something in the bundle, or a library it uses, closed descriptors that are not its"
            " own: os.closerange() does, and so do many recipes for daemons."
        )
    return Finding.of(
        Code.PROTOCOL_VIOLATION,
        summary,
        cause,
        look_for(case, "close only what the code itself opened", _ON_DESCRIPTORS),
        phase=phase,
    )


def outputs_too_large(size: int, limit: int) -> Finding:
    return Finding.of(
        Code.MESSAGE_TOO_LARGE,
        f"the task's outputs have {size} bytes together; the limit is {limit}",
        "A worker holds the outputs of a task in memory: as many bytes as the memory"
        " limit of its child; where that has none, as half of the machine's memory.",
        Hint("write less per task, or split the task"),
        Hint("if the worker has room for them, raise the memory limit (--memory-limit)"),
    )


# The child's codes that reports have too, and what to do where nothing more is known.
_ADVICE = {
    ErrorCode.PYTHON_TOO_OLD: "",
    ErrorCode.PROTOCOL_UNSUPPORTED: "",
    ErrorCode.RESULT_INVALID: "return a dict of str to bytes: a table as Arrow, Parquet or CSV"
    " bytes, text through .encode(), anything else through json.dumps(...).encode()",
    ErrorCode.MESSAGE_TOO_LARGE: "write less per task, or split the task",
    ErrorCode.WIRE_NOT_DECLARED: "name the function in pyproject.toml: [tool.modelops] wire ="
    ' "..."',
    ErrorCode.WIRE_AMBIGUOUS: "ask for one of them by its name (--function NAME), or keep one entry"
    " point in the group modelops.wire",
    ErrorCode.WIRE_NOT_FOUND: "correct the name where the bundle declares it, or define the"
    " function",
    ErrorCode.WIRE_INVALID: "make it: def wire(entrypoint: str, params: dict, seed: int) ->"
    " dict[str, bytes]",
}


# How the child's words end where a wire function returns nothing.
_NOTHING = (
    "returned no outputs",
    "returned None, as without a `return`, not a dict of str to bytes",
)


def remote_error(
    case: Case,
    phase: Phase,
    code: int,
    message: str,
    exception: ExceptionInfo | None,
    defined: Frame | None = None,
    written: tuple[str, ...] = (),
) -> Finding:
    """The child answered with an error.

    :param defined: where the function is defined, or by which line it has returned.
    :param written: the files that the function writes, by its text.
    """
    from runner.diagnosis.child_raised import raised_finding, returned_finding
    from runner.diagnosis.returned_types import bytes_hints, return_hint
    from runner.diagnosis.wire_functions import invalid_hint, no_wire_hint, wire_hint

    if exception is not None and code in (ErrorCode.LOAD_FAILED, ErrorCode.TASK_FAILED):
        return raised_finding(case, phase, exception)
    if code in (ErrorCode.WARMUP_FAILED, ErrorCode.WARMUP_INVALID):
        return _warmup_failed(case, phase, message, exception)
    if exception is not None and code == ErrorCode.RESULT_INVALID:
        return returned_finding(case, message, exception, defined)
    if exception is not None and code == ErrorCode.INTERNAL_ERROR:
        number = exception.attributes.get("errno")
        if number in NO_ROOM and phase is Phase.EXECUTE:
            return no_room("the task's outputs", printable(message))
        if number == _TOO_LARGE:
            return Finding.of(
                Code.DISK_FULL,
                one_line(printable(message)),
                "Large values travel in memory or in files, and the limit holds for"
                " both. It is the worker's own, or set by the bundle's code.",
                Hint("allow larger files", command="ulimit -f unlimited"),
                phase=Phase.EXECUTE,
                retryable=False,
            )
        if number in NO_PROCESS:
            return no_process(case, phase, printable(message))
        if isinstance(number, int) and (
            found := lacks_room(phase, OSError(number, printable(message)))
        ):
            return found
    if code not in _ADVICE:
        return violation(case, phase, f"error {code}: {message}")
    known, advice = Code[ErrorCode(code).name], _ADVICE[ErrorCode(code)]
    hints = [Hint(advice)] if advice else []
    if known is Code.RESULT_INVALID:
        hints = [*bytes_hints(case, message, defined), *hints]
    if known is Code.RESULT_INVALID and message.endswith(_NOTHING):
        hints.insert(0, return_hint(case, defined, written))
    if known is Code.WIRE_AMBIGUOUS and (names := re.findall(r"([\w.]+:[\w.]+) \(of ", message)):
        hints = [Hint(advice, case.exec_command(f"--function {names[0]}"), by="person")]
    if known is Code.WIRE_NOT_FOUND and (named := wire_hint(case, message)):
        hints.insert(0, named)
    if known is Code.WIRE_INVALID and defined:
        hints = [invalid_hint(case, message, defined) or hints[0]]
    if known is Code.WIRE_NOT_DECLARED:
        hints.insert(0, no_wire_hint(case))
    return Finding.of(
        known,
        one_line(printable(message)),
        printable(message) if len(message) > 200 else "",
        *hints,
        # What the bundle declares is the bundle's, also where only its environment could tell.
        phase=Phase.BUNDLE if known is Code.WIRE_NOT_DECLARED else phase,
        exception=exception,
    )


_WARMUP = (
    "Each child calls the function that [tool.modelops] warmup names once, after the load and"
    " before any task."
)


def _warmup_failed(
    case: Case, phase: Phase, message: str, exception: ExceptionInfo | None
) -> Finding:
    """The bundle's warm-up function raised, or does not exist."""
    if exception is not None:
        from runner.diagnosis.child_raised import raised_finding

        finding = raised_finding(case, phase, exception)
        name = printable(message.removeprefix("the warmup ").partition(" raised ")[0])
        finding.summary += f"; the warmup {name} was called"
        if finding.code is Code.LOAD_RAISED:
            finding.explanation = _WARMUP
        return finding
    return Finding.of(
        Code.LOAD_RAISED,
        one_line(printable(message)),
        _WARMUP,
        Hint("correct warmup in [tool.modelops] of pyproject.toml, or take it out"),
        phase=phase,
    )


def no_room(what: str, explanation: str = "") -> Finding:
    """There is neither memory nor a disk with room for what travels beside the wire."""
    return Finding.of(
        Code.DISK_FULL,
        f"there is no room for {what}: the disk of the temporary folder is full",
        explanation
        or "Large values travel in memory, and through that folder where no memory can be had.",
        by_hand("free some space, or name a folder that has it", "export TMPDIR=/a/folder"),
        phase=Phase.EXECUTE,
    )


def no_process(case: Case, phase: Phase, summary: str) -> Finding:
    """The child could not fork a process for the task, or start a thread of its own."""
    from runner.diagnosis.limits import process_limit

    reached = process_limit(case.limits)
    return Finding.of(
        Code.SPAWN_FAILED,
        f"{one_line(summary)}; {reached.what}",
        f"{reached.explanation} The task has not begun.",
        Hint("run fewer children at a time"),
        *reached.hints,
        phase=phase,
        retryable=True,
    )


def params_too_large(size: int, limit: int) -> Finding:
    return Finding.of(
        Code.MESSAGE_TOO_LARGE,
        f"the task's parameters take {size} bytes as JSON; the limit is {limit}",
        "Parameters travel as one message.",
        Hint("put the data into a file of the bundle, and pass its name"),
        Hint("or, in Python, pass it as an input: execute(..., inputs={name: data})"),
    )
