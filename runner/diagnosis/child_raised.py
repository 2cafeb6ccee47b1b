"""Findings about what the bundle's code raised, while it was imported or while it ran a task."""

import re
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from runner.diagnosis.case import DOING, Case, Finding
from runner.diagnosis.data.lfs_pointers import add_lfs_hint, lfs_pointer
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint, by_hand, chain, original
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.diagnosis.unnoticed_failures import add_failed_thread
from runner.diagnosis.withheld import absence, unset_variable
from runner.events import Phase

_BY_HAND = "run the bundle's code by hand to see it without the runner between"

# What sys.exit() was given, where that is not a message.
_STATUS = re.compile(r"-?\d{0,20}|None|True|False")

_NO_NAME = re.compile(r"cannot import name '([^']{1,200})' from '[^']{1,200}' \((.{1,1000})\)$")

# The packages' own classes for it, with the top of their module.
_MEMORY_ERRORS = {
    ("MemoryError", None),
    ("_ArrayMemoryError", "numpy"),
    ("ArrowMemoryError", "pyarrow"),
    ("OutOfMemoryError", "torch"),
    ("OutOfMemoryError", "cupy"),
}
# As Cython and NumPy say that a compiled module was built for another release of NumPy; and as
# libraries ask for another package.
_ABOUT_PACKAGES = re.compile(
    r"size changed, may indicate binary|compiled against A[BP]I version|\binstall|tried using:"
    r"|unexpected keyword argument| removed (?:in|since)\b"
)


_Cause: TypeAlias = tuple[Finding, ExceptionInfo]
"""With the link of the chain that tells it."""


def raised_finding(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    """The bundle's code raised."""
    case.phase = phase
    known = _root_cause(case, exception)
    if known is None:
        finding = _plain_raise(case, exception)
        add_lfs_hint(case, finding)
    else:
        finding, root = known
        finding.summary += _surfaced(case, exception, root)
    add_failed_thread(case, finding)
    finding.exception = exception
    return finding


def returned_finding(
    case: Case, message: str, exception: ExceptionInfo, caught: Frame | None = None
) -> Finding:
    """The bundle's code raised, caught it, and returned it as if it were a result.

    :param message: the child's own, which names the output.
    :param caught: the line that begins with ``except``.
    """
    output = re.match(r"output (.{1,202}?) holds an exception", message)
    finding = raised_finding(case, Phase.EXECUTE, exception)
    root_is_known = finding.code is not Code.TASK_RAISED
    let_it_propagate = Hint(
        "let the exception leave the wire function (drop the try/except, or end it with"
        " `raise`): the report then has the whole of it, and no caller takes it for a result",
        edit=case.line_edit(caught, f"{caught.text}\n    raise")
        if caught and (caught.text or "").endswith(":")
        else None,
    )
    finding.code = Code.RESULT_INVALID
    finding.summary += "; the bundle caught it and returned it as the output " + (
        printable(output[1]) if output else "'error'"
    )
    finding.explanation = (
        "The wire function returned normally, and what it returned is the text of an exception."
        + (f" {finding.explanation}" if root_is_known else "")
    )
    own = [hint for hint in finding.hints if hint.title != _BY_HAND]
    finding.hints = [*own, let_it_propagate] if root_is_known else [let_it_propagate, *own]
    return finding


def exit_finding(
    case: Case, phase: Phase, exception: ExceptionInfo, exit_code: int | None, stderr: str
) -> Finding:
    """The bundle's code ended the process with ``sys.exit()``, and the child said where."""
    from runner.diagnosis.script_habits import exits_no_more, parsed_command_line

    case.phase = phase
    call = "sys.exit()" if exception.type == "SystemExit" else exception.type
    parsed = parsed_command_line(case, exception, stderr)
    if parsed is not None:
        finding = parsed
    elif (known := _root_cause(case, exception)) is not None:
        finding, _ = known
        finding.summary += f"; the bundle then ended the process by {call}, with status {exit_code}"
    else:
        frame = case.telling_frame(exception)
        place = case.place_of(frame)
        words = exception.message if not _STATUS.fullmatch(exception.message) else ""
        words = words or "".join(last_lines(printable(stderr), 1))
        why = (
            'A script\'s own call belongs under `if __name__ == "__main__":`.'
            if case.phase is Phase.LOAD
            else "A task that cannot go on raises an exception."
        )
        finding = case.found(
            Code.CHILD_EXITED,
            f"the child exited with status {exit_code} {DOING[case.phase]}, by {call}"
            + (f" in {place}" if place else "")
            + (f": {one_line(printable(words), 120)}" if words else ""),
            f"{call} ends the whole process, and with it the child. {why}"
            + ("" if words else " It said nothing."),
            Hint(
                f"take the call of {call} out"
                + (f" of {place}" if place else "")
                + ", or raise another exception, so that the report can say why",
                edit=exits_no_more(case, frame),
            ),
        )
    finding.exception = exception
    return finding


def concerns_imports(exception: ExceptionInfo) -> bool:
    """Tell whether what the environment has installed may say more of it."""
    kinds = ("ImportError", "ModuleNotFoundError", "AttributeError")
    return _find(exception, *kinds) is not None or any(
        _ABOUT_PACKAGES.search(link.message[:1000]) or "stars" in link.attributes
        for link in chain(exception)
    )


def misses_module(exception: ExceptionInfo) -> bool:
    """Tell whether a module, or a name of one, was not found."""
    return _find(exception, "ImportError", "ModuleNotFoundError") is not None


def concerns_bytecode(exception: ExceptionInfo) -> bool:
    """Tell whether a module's bytecode could not be read: a full disk had cut it short, say."""
    return any("marshal data" in link.message for link in chain(exception))


def missing_library(exception: ExceptionInfo) -> str | None:
    """The shared library that the loader has not found, by its name."""
    for link in chain(exception):
        path, found, _ = link.message.partition(": cannot open shared object file")
        if found:
            return path.rpartition(": ")[2].rpartition("/")[2] or None
    return None


def _root_cause(case: Case, exception: ExceptionInfo) -> _Cause | None:
    """Return what is known to be behind an exception, and the link of its chain that says so."""
    # Each child imports this module, and hardly any fails.
    from runner.diagnosis.data.misread_files import misread_file
    from runner.diagnosis.data.missing_files import missing_file
    from runner.diagnosis.frameworks import framework_misuse
    from runner.diagnosis.limits import out_of_memory
    from runner.diagnosis.machine_causes import MACHINE_CAUSES
    from runner.diagnosis.missing_keys import missing_key
    from runner.diagnosis.missing_names import missing_name, unset_attribute
    from runner.diagnosis.missing_parameters import missing_parameter
    from runner.diagnosis.programs import program_failure
    from runner.diagnosis.refused_values import refused_value
    from runner.diagnosis.script_habits import script_habit
    from runner.diagnosis.slips import slip
    from runner.diagnosis.syntax_errors import syntax_error

    for link in chain(exception):
        if (link.type, link.module and link.module.partition(".")[0]) in _MEMORY_ERRORS:
            return out_of_memory(case, link), link
    first = _first(case, exception, lfs_pointer, *MACHINE_CAUSES) or _recognised(case, exception)
    if first is not None:
        return first
    syntax = _find(exception, "SyntaxError", "IndentationError", "TabError")
    if syntax is None and "cannot contain null bytes" in exception.message:
        syntax = exception  # a ValueError before Python 3.11.4
    file = syntax.attributes.get("filename") if syntax else None
    # A task may read data as code, and then it is none of the bundle's files.
    if syntax and (case.phase is Phase.LOAD or (isinstance(file, str) and case.is_own(file))):
        return syntax_error(case, syntax), syntax
    broken = _find(exception, "ImportError") or _shared_library(exception)
    if broken is not None:
        return _import_failed(case, broken), broken
    found = _first(case, exception, script_habit, program_failure, missing_file, misread_file)
    if found is not None:
        return found
    leaf = _leaf(exception)
    # Not of the others in the chain: a key that is not there is often what code expects.
    for recognise in (
        *(unset_attribute, missing_parameter, missing_key, slip),
        *(framework_misuse, refused_value, missing_name),
    ):
        finding = recognise(case, leaf)
        if finding is not None:
            return finding, leaf
    return None


def _first(
    case: Case,
    exception: ExceptionInfo,
    *recognisers: Callable[[Case, ExceptionInfo], Finding | None],
) -> _Cause | None:
    """The first cause that any link of the chain tells, outermost first."""
    for link in chain(exception):
        for recognise in recognisers:
            finding = recognise(case, _with_own_frames(case, exception, link))
            if finding is not None:
                return finding, link
    return None


def _with_own_frames(case: Case, exception: ExceptionInfo, link: ExceptionInfo) -> ExceptionInfo:
    """A link of a chain that a library caught: Python tells its frames no further out than there.

    :returns: with the bundle's frames that led to it.
    """
    if any(case.is_own(frame.file) for frame in link.traceback):
        return link
    led = case.own_frames(exception)
    return msgspec.structs.replace(link, traceback=[*led, *link.traceback])


def _recognised(case: Case, exception: ExceptionInfo) -> _Cause | None:
    """The first cause in the chain that is known, outermost first."""
    from runner.diagnosis.imports.import_errors import is_second_try
    from runner.diagnosis.imports.import_failures import import_failure  # 17 modules, 5 ms

    for link in chain(exception):
        if is_second_try(link):
            continue
        finding = import_failure(case, link)
        if finding is not None:
            return finding, link
        if link.module is None and link.type == "ModuleNotFoundError":
            # It was tried last, and says what is missing: what led to it was expected to fail.
            return None
    return None


def _surfaced(case: Case, exception: ExceptionInfo, root: ExceptionInfo) -> str:
    """Name the exception that the root cause surfaced as, where that is another one."""
    outer = _leaf(exception)
    if root in (exception, outer) or outer.type in ("ImportError", "ModuleNotFoundError"):
        return ""
    frame = case.telling_frame(outer)
    where = f" in {case.place_of(frame)}" if frame else ""
    message = one_line(printable(outer.message), 100)
    return f"; it surfaced as {outer.type}{where}" + (f": {message}" if message else "")


def _leaf(exception: ExceptionInfo) -> ExceptionInfo:
    """Return what was raised first: a group's member, the original of a copy."""
    while (inner := next(iter(exception.exceptions), original(exception))) is not None:
        exception = inner
    return exception


def _import_failed(case: Case, exception: ExceptionInfo) -> Finding:
    from runner.diagnosis.missing_names import did_you_mean

    where = case.place(exception)
    lacking = _NO_NAME.search(exception.message)
    if lacking is not None and case.is_own(lacking[2]):
        name, file = printable(lacking[1]), case.short_path(lacking[2])
        return case.found(
            Code.IMPORT_FAILED,
            f"{where} imports {name!r} from {file}, which has no such name",
            "",
            *did_you_mean(case, exception),
            Hint(f"correct the name in {where}, or define {name} in {file}"),
        )
    return case.found(
        Code.IMPORT_FAILED,
        f"{where} could not import: {one_line(printable(exception.message), 140)}",
        "The module is there and cannot be imported as it is. Why is not known beyond"
        " what it says.",
        Hint(f"see {where}, and the traceback for who says it"),
    )


def _plain_raise(case: Case, exception: ExceptionInfo) -> Finding:
    from runner.diagnosis.common_words import common_advice, compiled_place
    from runner.diagnosis.wire_functions import is_stub, stub_hint

    leaf = _leaf(exception)
    frame = case.telling_frame(leaf) or case.telling_frame(exception)
    place = case.place_of(frame)
    place = compiled_place(case, leaf) or place
    message = one_line(printable(leaf.message), 140)
    elsewhere = _remote_place(case, leaf)
    summary = (leaf.type or "an exception") + (f" in {place}" if place else "")
    if elsewhere:
        summary = f"{leaf.type} in {elsewhere}, in a process that {place} waits for"
        place = elsewhere
    calls = leaf.frames_omitted + sum(1 + frame.repeated for frame in leaf.traceback)
    if leaf.type == "RecursionError" and calls > 1:
        summary += f", {calls} calls deep"
    if message:
        summary += f": {message}"
    if exception.exceptions:
        group = one_line(printable(exception.message), 100)
        summary += f"; the first in an {exception.type}: {group}"
    loading = case.phase is Phase.LOAD
    hints = [Hint(_where_to_look(leaf, frame, place) if place else _BY_HAND)]
    if is_stub(frame):
        summary, hints = f"{place} calls no model yet", [stub_hint(case)]
    elif not elsewhere and (advice := common_advice(case, leaf, frame)):
        hints.insert(0, advice)
    if variable := _missing_variable(leaf):
        why, hints = absence(case, variable)
        summary = f"{place} reads the variable {variable}, {why}"
    elif variable := unset_variable(case, leaf):
        why, hints = absence(case, variable)
        summary += f"; it is about the variable {variable}, {why}"
    explanation = "The bundle's code raised this while it " + (
        "was imported." if loading else "ran the task."
    )
    if variable := _variable_of_the_user(leaf):
        say = "say it where the worker is started"
        hints.append(by_hand(say, f"export {variable}"))
        explanation += (
            " The system's list of users does not know the one that the worker runs as; so it is in"
            " containers that run as any user."
        )
    if not elsewhere and (values := leaf.attributes.get("values")):
        explanation += f" In that line {one_line(printable(str(values)), 400)}."
    if leaf.notes:
        explanation += f" It notes: {one_line(printable('; '.join(leaf.notes)), 300)}"
    return case.raised(summary, explanation, *hints)


def _where_to_look(exception: ExceptionInfo, frame: Frame | None, place: str) -> str:
    raised = (frame and frame.text) or ""
    if frame and frame.function.isidentifier() and raised.startswith("raise NotImplementedError"):
        name = frame.function
        return f"write {name}(), of which {place} has the name alone; or write it in a subclass"
    if exception.type == "RecursionError":
        return f"see why {place} calls itself without end; write a deep recursion as a loop"
    return f"see {place}"


def _remote_place(case: Case, exception: ExceptionInfo) -> str | None:
    """The line of the bundle at which a pool's process raised, by the traceback that it sent."""
    sent = exception.cause
    if sent is None or sent.type not in ("RemoteTraceback", "_RemoteTraceback"):
        return None
    return case.printed_place(sent.message)


def _missing_variable(exception: ExceptionInfo) -> str | None:
    """The environment variable that ``os.environ`` did not have."""
    if exception.type != "KeyError" or not exception.traceback:
        return None
    last = exception.traceback[-1]
    if last.function != "__getitem__" or not last.file.endswith(("<frozen os>", "/os.py")):
        return None
    named = re.fullmatch(r"'([A-Za-z_][A-Za-z0-9_]*)'", exception.message)
    return named and named[1]


def _variable_of_the_user(exception: ExceptionInfo) -> str | None:
    """Return what tells the name or home of a user that the system does not know."""
    if any(
        one.message.strip("'\"").startswith(("getpwuid(): uid not found", "No username set in"))
        for one in chain(exception)
    ):
        return "USER=a-name"
    homeless = exception.message.startswith("Could not determine home directory")
    return "HOME=/a/folder" if homeless else None


def _find(exception: ExceptionInfo, *types: str) -> ExceptionInfo | None:
    """The first of these types in the chain, outermost first: what was tried last."""
    return next(
        # The child gives no module for what is built in.
        (link for link in chain(exception) if link.type in types and link.module is None),
        None,
    )


def _shared_library(exception: ExceptionInfo) -> ExceptionInfo | None:
    """The loader's words (dlopen(3)) where ctypes raises them as an OSError."""
    telling = re.compile(
        r"(?!\.).*(?:cannot open shared object file|undefined symbol|image not found)"
    )
    return next((link for link in chain(exception) if telling.match(link.message)), None)
