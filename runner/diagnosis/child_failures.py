"""Findings about a child: how it died, what it answered, that it did not answer.

Pure: the evidence in, the finding out. A recording of a failure gives the same finding.
"""

import shlex
from collections.abc import Sequence

from bundle_protocol.messages import ErrorCode, ExitStatus
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    DOING,
    exec_command,
    place_of,
    requires_python_hint,
    telling_frame,
)
from runner.diagnosis.child_raised import raised_finding, returned_finding
from runner.diagnosis.codes import Code
from runner.diagnosis.fatal_error import parse_fatal_error, words_before_fatal_error
from runner.diagnosis.report import ExceptionInfo, Hint, PythonInfo
from runner.diagnosis.text import last_lines, one_line, printable
from runner.events import Phase

_SIGNALS = {
    "SIGSEGV": "Native code touched memory that is not its own: a fault in a C extension or a"
    " library under it, or a wheel that does not suit this Python or machine.",
    "SIGABRT": "The process gave itself up: abort() in native code, most often after an assertion"
    " or a broken heap, of which the C library says a line on stderr.",
    "SIGBUS": "A mapped file could not be read or grown: most often /dev/shm or a disk is full, or"
    " a file was cut while it was mapped.",
    "SIGFPE": "Native code divided an integer by zero.",
    "SIGILL": "Native code used an instruction that this processor does not have: a wheel or"
    " library built for another one.",
    "SIGKILL": "Somebody outside killed it, and a process that is killed so can say nothing. It is"
    " not known who: the kernel when memory ran out, a batch system's limit, or a person.",
    "SIGTERM": "Somebody outside asked it to end: a batch system, a container's stop, or a person.",
    "SIGXCPU": "It used up the CPU time that its limit allows (ulimit -t).",
    "SIGPIPE": "It wrote to a pipe or socket that nobody reads.",
}
_FROM_OUTSIDE = {"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP"}


def spawn_failed(case: Case, error: OSError) -> Finding:
    """The operating system did not start the process."""
    program = error.filename or (case.child.argv[0] if case.child else "the child")
    denied = isinstance(error, PermissionError)
    return Finding(
        phase=Phase.SPAWN,
        code=Code.PERMISSION_DENIED if denied else Code.SPAWN_FAILED,
        summary=f"{program} could not be started: {error.strerror}",
        explanation="The operating system refused to start the environment's Python."
        + (" A folder mounted noexec does this." if denied else ""),
        hints=[_build_anew(case)],
    )


def no_exchange_folder(error: OSError) -> Finding:
    """The folder for the child's larger results could not be made."""
    return Finding(
        phase=Phase.SPAWN,
        code=Code.SPAWN_FAILED,
        summary=f"no temporary folder could be made for the child: {error.strerror}",
        explanation=f"Larger results travel through it. What was refused is {error.filename}."
        if error.filename
        else "",
        hints=[Hint(title="name a folder that has room", command="export TMPDIR=/a/folder")],
    )


def python_too_old(case: Case, python: PythonInfo, oldest: str) -> Finding:
    return Finding(
        phase=Phase.HANDSHAKE,
        code=Code.PYTHON_TOO_OLD,
        summary=f"the child runs {python.implementation} {python.version};"
        f" tasks need Python {oldest} or newer",
        explanation=f"{python.executable} said hello and cannot run tasks: this runner's child side"
        f" needs Python {oldest}.",
        hints=[
            requires_python_hint(
                case,
                f">={oldest}",
                "let the runner choose, and say which Pythons it is for",
            )
        ],
    )


def python_mismatch(case: Case, python: PythonInfo, expected: str) -> Finding:
    return Finding(
        phase=Phase.HANDSHAKE,
        code=Code.PYTHON_MISMATCH,
        summary=f"the child runs Python {python.version}, its environment was built for {expected}",
        explanation=f"{python.executable} is not the interpreter that the environment was made"
        " with: it was upgraded or replaced since. Compiled packages may not load in it.",
        hints=[_build_anew(case)],
    )


def protocol_unsupported(offered: Sequence[int], spoken: Sequence[int]) -> Finding:
    def listed(versions: Sequence[int]) -> str:
        return ", ".join(map(str, versions)) or "none"

    return Finding(
        phase=Phase.HANDSHAKE,
        code=Code.PROTOCOL_UNSUPPORTED,
        summary=f"the child speaks protocol {listed(offered)}, this runner {listed(spoken)}",
        explanation="Runner and child come from different releases of modelops-runner.",
        hints=[Hint(title="install the same modelops-runner on both sides")],
    )


def violation(case: Case, phase: Phase, what: str) -> Finding:
    """What the child sent is not the protocol."""
    return Finding(
        phase=phase,
        code=Code.PROTOCOL_VIOLATION,
        summary=f"what the child sent is not the protocol: {one_line(printable(what), 120)}",
        explanation="The wire is a private descriptor of the child's, out of the way of print() and"
        " of native code. Something in the bundle, or a library it uses, found it and wrote to it."
        if phase is not Phase.HANDSHAKE
        else "The first bytes of a child are its hello; what came instead claims to be one and is"
        " not.",
        hints=[
            Hint(title="look for code that writes to descriptors it did not open (os.write, a"
                 " daemoniser, a debugger)")
        ],
    )  # fmt: skip


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
    return Finding(
        phase=phase,
        code=Code.PROTOCOL_VIOLATION,
        summary=summary,
        explanation=cause,
        hints=[Hint(title="close only the descriptors that the code itself opened")],
    )


def hung(case: Case, phase: Phase, limit: float, stderr: str) -> Finding:
    """The child did not answer in time."""
    fatal = parse_fatal_error(stderr)
    frame = telling_frame(case, fatal)
    standing = f"; it stood in {place_of(case, frame)}" if frame else ""
    option = "--timeout" if phase is Phase.EXECUTE else "--startup-timeout"
    what = {
        Phase.HANDSHAKE: "the child's Python did not say hello",
        Phase.LOAD: "the bundle was not loaded",
        Phase.EXECUTE: "the task was not done",
    }.get(phase, "the child did not answer")
    return Finding(
        phase=phase,
        code=Code.CHILD_HUNG,
        summary=f"{what} within {limit:g} s{standing}",
        explanation=(
            "The stack of each of its threads, as they were when the time ran out, is at the end of"
            " its stderr."
            if fatal
            else "It did not say where it stood: it was stopped, or deep in a system call."
        ),
        hints=[
            *([Hint(title=f"see why {place_of(case, frame)} takes so long")] if frame else []),
            Hint(
                title="if it is meant to take longer, raise the limit",
                command=exec_command(case, f"{option} {max(limit * 10, 60):g}"),
            ),
        ],
        exception=fatal,
    )


def death(
    case: Case,
    phase: Phase,
    *,
    exit_code: int | None,
    signal_name: str | None,
    oom_killed: bool,
    memory_limit: int | None,
    stderr: str,
    noise: str,
) -> Finding:
    """The process ended where it should not have.

    :param oom_killed: whether the kernel killed it for want of memory.
    :param memory_limit: the limit that it had with the worker, in bytes.
    """
    if oom_killed:
        return _oom_killed(phase, memory_limit)
    by_child = _own_decision(case, phase, exit_code, stderr)
    if by_child is not None:
        return by_child
    fatal = parse_fatal_error(stderr)
    words = last_lines(printable(stderr), 1) or last_lines(printable(noise), 1)
    if fatal is not None:
        gave_up = words_before_fatal_error(stderr) if signal_name == "SIGABRT" else None
        words = [gave_up] if gave_up else []
    said = f": {one_line(words[0], 120)}" if words else ""
    if signal_name is not None:
        frame = telling_frame(case, fatal)
        place = f", in {place_of(case, frame)}" if frame else ""
        outside = signal_name in _FROM_OUTSIDE
        return Finding(
            phase=phase,
            code=Code.CHILD_CRASHED,
            summary=f"{signal_name} ended the child {DOING[phase]}{place}{said}",
            explanation=_SIGNALS.get(signal_name, "The signal was sent by itself or from outside."),
            hints=_crash_hints(case, signal_name),
            exception=fatal,
            retryable=outside,
        )
    status = "in an unknown way" if exit_code is None else f"with status {exit_code}"
    return Finding(
        phase=phase,
        code=Code.CHILD_EXITED,
        summary=f"the child exited {status} {DOING[phase]}{said}",
        explanation=_why_exited(phase, exit_code, bool(words)),
        hints=_exit_hints(case, phase),
        exception=fatal,
    )


def _oom_killed(phase: Phase, limit: int | None) -> Finding:
    of = f" of {limit / 2**20:,.0f} MiB" if limit else ""
    where = "the worker's control group" if limit else "this machine"
    return Finding(
        phase=phase,
        code=Code.OUT_OF_MEMORY,
        summary=f"the kernel killed the child {DOING[phase]}: out of memory"
        + (f", with a limit{of}" if limit else ""),
        explanation=f"The memory{of} of {where} was used up, and the kernel's out-of-memory killer"
        " chose the child. The same task will meet the same end under the same limit.",
        hints=[
            Hint(title="give the worker more memory (a container's limit, a batch job's request)"),
            Hint(title="or make the task smaller, or run fewer at once on the machine"),
        ],
    )


def _own_decision(case: Case, phase: Phase, exit_code: int | None, stderr: str) -> Finding | None:
    """The child's side gave up by itself, and said so (docs/protocol.md, "Exit statuses")."""
    words = last_lines(stderr, 1)
    if not words or not words[0].startswith("bundle_protocol: "):
        return None
    if exit_code == ExitStatus.WIRE_CLOSED:
        return wire_closed(case, phase)
    if exit_code == ExitStatus.WIRE_BROKEN and phase is Phase.HANDSHAKE:
        return Finding(
            phase=phase,
            code=Code.PROTOCOL_VIOLATION,
            summary=f"the child {one_line(words[0].removeprefix('bundle_protocol: '), 120)}",
            explanation="Its standard input or output was closed before any code of the bundle ran:"
            " by a .pth file or a sitecustomize of the environment.",
            hints=[_build_anew(case)],
        )
    return None


def _why_exited(phase: Phase, exit_code: int | None, has_words: bool) -> str:
    words = "" if has_words else " It wrote nothing on stderr."
    if phase is Phase.HANDSHAKE:
        return (
            "Its Python ended before it ran any code of the bundle: a .pth file or a sitecustomize"
            f" of the environment ended it, or the interpreter itself is damaged.{words}"
        )
    called = "The bundle's code, or a library it uses, ended the process: sys.exit(), os._exit() or"
    return f"{called} exit() in native code. That is no exception, so there is no traceback.{words}"


def _exit_hints(case: Case, phase: Phase) -> list[Hint]:
    if phase is Phase.HANDSHAKE:
        return [
            _build_anew(case),
            Hint(
                title="start the child by hand and see what it says", command=_child_command(case)
            ),
        ]
    return [
        Hint(
            title="look for sys.exit(), exit() and quit() in what the bundle imports; a script's"
            ' own call belongs under `if __name__ == "__main__":`'
            if phase is Phase.LOAD
            else "raise an exception instead of calling sys.exit(), so that the report can say why"
        )
    ]


def _crash_hints(case: Case, signal_name: str) -> list[Hint]:
    if signal_name == "SIGKILL":
        return [
            Hint(title="see whether memory ran out", command="dmesg | grep -i 'killed process'"),
            Hint(title="see whether a batch system or container has a limit on memory or time"),
        ]
    if signal_name in _FROM_OUTSIDE:
        return [Hint(title="run it again; if it recurs, find out who sends the signal")]
    if signal_name == "SIGBUS":
        return [Hint(title="see whether a file system is full", command="df -h /dev/shm /tmp")]
    return [
        Hint(title="build the environment anew, in case a compiled package is damaged",
             command=exec_command(case, "--fresh-venv")),
        Hint(title="try another Python, or another version of the package that crashed",
             command=exec_command(case, "--python 3.12")),
    ]  # fmt: skip


_REMOTE_CODES = {
    ErrorCode.PYTHON_TOO_OLD: Code.PYTHON_TOO_OLD,
    ErrorCode.PROTOCOL_UNSUPPORTED: Code.PROTOCOL_UNSUPPORTED,
    ErrorCode.RESULT_INVALID: Code.RESULT_INVALID,
    ErrorCode.MESSAGE_TOO_LARGE: Code.MESSAGE_TOO_LARGE,
    ErrorCode.WIRE_NOT_DECLARED: Code.WIRE_NOT_DECLARED,
    ErrorCode.WIRE_AMBIGUOUS: Code.WIRE_AMBIGUOUS,
    ErrorCode.WIRE_NOT_FOUND: Code.WIRE_NOT_FOUND,
    ErrorCode.WIRE_INVALID: Code.WIRE_INVALID,
}

_REMOTE_HINTS = {
    Code.RESULT_INVALID: "return a dict of str to bytes: a table as Arrow, Parquet or CSV bytes,"
    " text through .encode(), anything else through json.dumps(...).encode()",
    Code.MESSAGE_TOO_LARGE: "write less per task, or split the task",
    Code.WIRE_NOT_DECLARED: 'name the function in pyproject.toml: [tool.modelops] wire = "..."',
    Code.WIRE_AMBIGUOUS: "keep one entry point in the group modelops.wire",
    Code.WIRE_NOT_FOUND: "correct the name where the bundle declares it, or define the function",
    Code.WIRE_INVALID: "make it: def wire(entrypoint: str, params: dict, seed: int)"
    " -> dict[str, bytes]",
}


def remote_error(
    case: Case, phase: Phase, code: int, message: str, exception: ExceptionInfo | None
) -> Finding:
    """The child answered with an error."""
    if exception is not None and code in (ErrorCode.LOAD_FAILED, ErrorCode.TASK_FAILED):
        return raised_finding(case, phase, exception)
    if exception is not None and code == ErrorCode.RESULT_INVALID:
        return returned_finding(case, exception)
    known = _REMOTE_CODES.get(ErrorCode(code)) if code in set(ErrorCode) else None
    if known is None:
        return violation(case, phase, f"error {code}: {message}")
    return Finding(
        # What the bundle declares is the bundle's, also where only its environment could tell.
        phase=Phase.BUNDLE if known is Code.WIRE_NOT_DECLARED else phase,
        code=known,
        summary=one_line(printable(message)),
        explanation=printable(message) if len(message) > 200 else "",
        hints=[Hint(title=_REMOTE_HINTS[known])] if known in _REMOTE_HINTS else [],
        exception=exception,
    )


def params_too_large(size: int, limit: int) -> Finding:
    return Finding(
        phase=Phase.EXECUTE,
        code=Code.MESSAGE_TOO_LARGE,
        summary=f"the task's parameters take {size} bytes as JSON; the limit is {limit}",
        explanation="Parameters travel as one message.",
        hints=[Hint(title="put large data into a file of the bundle and pass its name")],
    )


def _child_command(case: Case) -> str | None:
    return shlex.join(case.child.argv) if case.child else None


def _build_anew(case: Case) -> Hint:
    return Hint(title="build the environment anew", command=exec_command(case, "--fresh-venv"))
