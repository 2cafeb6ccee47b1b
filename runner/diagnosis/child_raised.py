"""Findings about what the bundle's code raised, while it was imported or while it ran a task."""

from collections.abc import Iterator

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    DOING,
    exec_command,
    place_of,
    requires_python_hint,
    short_path,
    telling_frame,
)
from runner.diagnosis.codes import Code
from runner.diagnosis.import_failures import import_failure
from runner.diagnosis.newer_syntax import newer_syntax
from runner.diagnosis.report import ExceptionInfo, Hint
from runner.diagnosis.text import one_line, printable
from runner.events import Phase

_BY_HAND = "run the bundle's code by hand to see it without the runner between"


def raised_finding(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    """The bundle's code raised."""
    if _find(exception, "MemoryError"):
        return _out_of_memory(case, phase, exception)
    syntax = _find(exception, "SyntaxError", "IndentationError", "TabError")
    broken = _find(exception, "ImportError") or _shared_library(exception)
    loading = phase is Phase.LOAD
    recognised = _recognised(case, phase, exception)
    if recognised is not None:
        finding = recognised
    elif syntax is not None and loading:
        finding = _syntax_error(case, phase, syntax)
    elif broken is not None:
        finding = _import_failed(case, phase, broken)
    else:
        finding = _plain_raise(case, phase, exception)
    finding.exception = exception
    if not loading:
        # The phase's own code: what a task imports late is told in the summary and the hints.
        finding.code = Code.TASK_RAISED
    return finding


def concerns_imports(exception: ExceptionInfo) -> bool:
    """Whether what the environment has installed may say more of it."""
    kinds = ("ImportError", "ModuleNotFoundError", "AttributeError")
    return _find(exception, *kinds) is not None


def _recognised(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """The first cause in the chain that is known, outermost first."""
    for link in chain(exception):
        finding = import_failure(case, phase, link)
        if finding is not None:
            return finding
        if link.module is None and link.type == "ModuleNotFoundError":
            # It was tried last, and says what is missing: what led to it was expected to fail.
            return None
    return None


def _syntax_error(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    attributes = exception.attributes
    file, line = attributes.get("filename"), attributes.get("lineno")
    where = f"{short_path(case, str(file))}:{line}" if file else "the bundle"
    python = case.child.python if case.child else None
    version = f"{python.implementation} {python.version}" if python else "this Python"
    text = str(attributes.get("text") or "").strip()
    syntax = newer_syntax(text, exception.message, python.version) if python else None
    if syntax is not None:
        return Finding(
            phase=phase,
            code=Code.SYNTAX_ERROR,
            summary=f"{where} uses {syntax.name}, which came with Python {syntax.version}; this is"
            f" {version}",
            explanation=f"The line is: {one_line(text, 160)}" if text else "",
            hints=[
                requires_python_hint(
                    case,
                    f">={syntax.version}",
                    "say which Pythons the code is written for, and a newer one is chosen",
                ),
                Hint(title=f"or write {where} in the older way"),
            ],
        )
    return Finding(
        phase=phase,
        code=Code.SYNTAX_ERROR,
        summary=f"{where} is not valid for {version}: {one_line(exception.message, 100)}",
        explanation=f"The line is: {one_line(text, 160)}" if text else "",
        hints=[
            Hint(title=f"correct {where}; if it is right for a newer Python, say so in"
                 " requires-python")
        ],
    )  # fmt: skip


def _import_failed(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    where = place_of(case, telling_frame(case, exception)) or "the bundle"
    return Finding(
        phase=phase,
        code=Code.IMPORT_FAILED,
        summary=f"{where} could not import: {one_line(printable(exception.message), 140)}",
        explanation="The module is there and cannot be imported as it is: a name it does not have,"
        " a shared library it needs, or a build for another Python.",
        hints=[
            Hint(title="check that the version installed is the one that the code was written for",
                 command=exec_command(case, "--fresh-venv"))
        ],
    )  # fmt: skip


def _out_of_memory(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    where = place_of(case, telling_frame(case, exception))
    return Finding(
        phase=phase,
        code=Code.OUT_OF_MEMORY,
        summary=f"the child ran out of memory {DOING[phase]}" + (f", in {where}" if where else ""),
        explanation="Python could not allocate what the code asked for"
        + (f": {one_line(exception.message, 160)}" if exception.message else ".")
        + " The same task will do so again under the same limit.",
        hints=[Hint(title="give the task more memory, or make it smaller")],
        exception=exception,
    )


def _plain_raise(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding:
    frame = telling_frame(case, exception)
    where = f" in {place_of(case, frame)}" if frame else ""
    message = one_line(printable(exception.message), 140)
    loading = phase is Phase.LOAD
    return Finding(
        phase=phase,
        code=Code.LOAD_RAISED if loading else Code.TASK_RAISED,
        summary=f"{exception.type or 'an exception'}{where}" + (f": {message}" if message else ""),
        explanation="The bundle's code raised this while it was imported."
        if loading
        else "The bundle's code raised this while it ran the task.",
        hints=[Hint(title=f"see {place_of(case, frame)}")] if frame else [Hint(title=_BY_HAND)],
    )


def chain(exception: ExceptionInfo) -> Iterator[ExceptionInfo]:
    """The exception, its cause, the cause's cause."""
    current: ExceptionInfo | None = exception
    while current is not None:
        yield current
        current = current.cause


def _find(exception: ExceptionInfo, *types: str) -> ExceptionInfo | None:
    """The first of these types in the chain, outermost first: what was tried last."""
    return next(
        # The child gives no module for what is built in.
        (link for link in chain(exception) if link.type in types and link.module is None),
        None,
    )


def _shared_library(exception: ExceptionInfo) -> ExceptionInfo | None:
    """The loader's words (dlopen(3)) where ctypes raises them as an OSError."""
    telling = ("cannot open shared object file", "undefined symbol", "image not found")
    return next(
        (link for link in chain(exception) if any(words in link.message for words in telling)), None
    )
