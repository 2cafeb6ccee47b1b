"""The readable form of a report: the root cause first, then the evidence, then what to do."""

import re

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import is_standard_library, shown_frames, without_told
from runner.diagnosis.report.model import (
    ExceptionInfo,
    Excerpt,
    FoundInterpreter,
    Hint,
    Report,
    TaskInfo,
)
from runner.diagnosis.report.text import last_lines
from runner.events import Phase

_FILLING = re.compile(r" +((?:\x1b\[[0-9;]*m)*)$", re.MULTILINE)

# rich leaves out what a narrower terminal has no column for, and counts in 64 bits.
NARROWEST, WIDEST = 40, 10_000
EXCERPT_LINES = 12
FRAMES = 6
CAUSES = 4


def render_report(report: Report, console: Console) -> None:
    """Print a report: on a terminal with colours, elsewhere as plain text."""
    console.width = min(max(console.width, NARROWEST), WIDEST)
    with console.capture() as capture:
        for part in _parts(report):
            console.print(part, highlight=False, crop=False)
    # rich fills lines with spaces up to the width, which is a nuisance in logs and diffs.
    console.file.write(_FILLING.sub(r"\1", capture.get()))
    console.file.flush()


def _parts(report: Report) -> list[RenderableType]:
    title = Text.assemble(
        ("error", "bold red"), (f"[{report.code.value}]", "red"), ": ", (report.summary, "bold")
    )
    parts: list[RenderableType] = [title]
    if report.explanation:
        parts.append(_indented(Text(report.explanation)))
    parts += _evidence(report)
    for hint in report.hints:
        parts += _hint(hint)
    if report.retryable:
        parts.append(_indented(Text("This may pass by itself: it can be tried again.", "dim")))
    parts.append(_context(report))
    return parts


def _evidence(report: Report) -> list[RenderableType]:
    parts: list[RenderableType] = []
    if report.phase is Phase.INTERPRETER and report.interpreter and report.interpreter.found:
        parts.append(_section("interpreters found", _interpreters(report.interpreter.found)))
    if report.exception is not None:
        stack = report.exception.traceback if report.code is Code.CHILD_HUNG else []
        # That it was aborted then is the runner's doing.
        raised = _frames(report.exception) if stack else [_exception(report.exception)]
        parts.append(_section("traceback", Group(*raised)))
    uv = report.evidence.uv
    # What is recognised is explained in the lines of uv's that matter.
    unrecognised = report.code in (Code.ENVIRONMENT_FAILED, Code.ENVIRONMENT_TIMEOUT)
    if uv is not None and uv.stderr.strip() and unrecognised:
        parts.append(_section("uv said", _lines(uv.stderr)))
    for name, excerpt in (
        ("the child's stderr", report.evidence.stderr),
        ("the child's stdout", report.evidence.stdout),
        ("on the wire before hello", report.evidence.wire_noise),
    ):
        text = "" if excerpt is None else without_told(excerpt.text, report.exception)
        if excerpt is not None and text.strip():
            parts.append(_section(_heading(name, excerpt, text), _lines(text)))
    return parts


def _heading(name: str, excerpt: Excerpt, text: str) -> str:
    lines = len(last_lines(text, EXCERPT_LINES + 1))
    if lines <= EXCERPT_LINES and not excerpt.truncated:
        return name
    return f"{name}, its last lines of {excerpt.total_bytes} bytes"


def _lines(text: str) -> RenderableType:
    return Text("\n".join(last_lines(text, EXCERPT_LINES)), overflow="fold")


def _interpreters(found: list[FoundInterpreter]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for interpreter in found:
        table.add_row(
            Text(interpreter.version or "?", "green" if interpreter.usable else ""),
            Text(interpreter.path, overflow="fold"),
            Text(interpreter.reason or "", "dim"),
        )
    return table


def _exception(exception: ExceptionInfo) -> RenderableType:
    parts: list[RenderableType] = []
    current: ExceptionInfo | None = exception
    for _ in range(CAUSES):
        if current is None:
            break
        parts += _raised(current)
        for number, member in enumerate(current.exceptions[:CAUSES], 1):
            parts.append(Text(f"  member {number}", "dim"))
            parts.append(Padding(Group(*_raised(member)), (0, 0, 0, 2)))
        if current.causes_omitted:
            parts.append(Text(f"... {current.causes_omitted} causes left out", "dim"))
        current = current.cause
        if current is not None:
            parts.append(Text("caused by", "dim"))
    if current is not None:
        parts.append(Text("... and what led to it, which the report's JSON has", "dim"))
    return Group(*parts)


class _Path:
    """A line with a path in it, which is broken at a slash where it is too long."""

    def __init__(self, text: str, style: str = "") -> None:
        self._text = text
        self._style = style

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        left = self._text.lstrip()
        # A name may begin with spaces of its own: half a line at most, so that each line has some.
        indent = " " * min(len(self._text) - len(left), width // 2 - 2)
        further = indent + "  "
        while len(left) > (room := width - len(indent)):
            at = max(left.rfind("/", 1, room), left.rfind(" ", 1, room)) + 1 or room
            yield Text(indent + left[:at].rstrip(" "), self._style)
            left, indent = left[at:], further
        yield Text(indent + left, self._style)


def _left_out(count: int) -> list[RenderableType]:
    return [Text(f"  ... {count} calls left out", "dim")] if count > 0 else []


def _raised(exception: ExceptionInfo) -> list[RenderableType]:
    """One exception without its causes."""
    parts = _frames(exception)
    parts.append(Text(f"{exception.type}: {exception.message}", "red", overflow="fold"))
    parts += [Text(f"  note: {note}", overflow="fold") for note in exception.notes]
    return parts


def _frames(exception: ExceptionInfo) -> list[RenderableType]:
    parts: list[RenderableType] = []
    frames, last_left_out = shown_frames(exception, FRAMES)
    for left_out, frame in frames:
        parts += _left_out(left_out)
        line = "?" if frame.line is None else str(frame.line)
        style = "dim" if is_standard_library(frame.file) else ""
        parts.append(_Path(f"  {frame.file}:{line} in {frame.function}", style))
        if frame.text:
            parts.append(Text(f"    {frame.text}", "dim", overflow="fold"))
        if frame.repeated:
            parts.append(Text(f"    repeated {frame.repeated} more times", "dim"))
    parts += _left_out(last_left_out)
    return parts


def _hint(hint: Hint) -> list[RenderableType]:
    parts: list[RenderableType] = [Text.assemble(("help", "bold cyan"), ": ", hint.title)]
    if hint.command:
        # On a line of its own and never wrapped, so that it can be copied. In a group, because
        # rich joins what is printed as mere Text into one that wraps.
        line = Text(f"    {hint.command}", "cyan", no_wrap=True, overflow="ignore")
        parts.append(Group(line))
    if hint.edit is not None:
        edit = hint.edit.shown()
        parts.append(Text(f"    {edit.file}", "dim"))
        if edit.before is not None:
            parts.append(Text(_marked("-", edit.before), "red", overflow="fold"))
        parts.append(Text(_marked("+", edit.after), "green", overflow="fold"))
    return parts


def _marked(mark: str, text: str) -> str:
    return "\n".join(f"    {mark} {line}" for line in text.splitlines())


def _section(title: str, body: RenderableType) -> RenderableType:
    return _indented(Group(Text(title + ":", "bold"), Padding(body, (0, 0, 0, 2))))


def _indented(body: RenderableType) -> RenderableType:
    return Padding(body, (0, 0, 0, 2))


def _context(report: Report) -> Text:
    """Who, where and when, on a line or two: what a platform engineer asks first."""
    facts = [f"phase {report.phase.value}"]
    if report.bundle is not None:
        facts.append(f"bundle {report.bundle.name or report.bundle.path}")
    if report.child is not None and report.child.python is not None:
        facts.append(f"child on {report.child.python.implementation} {report.child.python.version}")
    if report.worker is not None:
        facts.append(f"worker on {report.worker.implementation} {report.worker.python}")
        facts.append(report.worker.hostname)
    if isinstance(report.task, TaskInfo):
        asked = report.task
        function = "" if asked.function is None else f", function {asked.function}"
        facts.append(f"task {asked.entrypoint}{function}, seed {asked.seed}, params {asked.params}")
    facts.append(f"report {report.id}")
    return Text("  " + " · ".join(facts), "dim")
