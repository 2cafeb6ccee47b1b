"""The diagnostic report: one tree of structs, encoded as JSON with these very names.

What is not known is ``None``, never invented. The names are a contract: fields are added, not
renamed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field, structs

from runner.diagnosis.report.codes import Code
from runner.events import Outcome, Phase

# A cell's code is compiled so by the wire function that ``init`` writes.
CELL = re.compile(r"(.+\.ipynb), cell \d+")

# Where Python and packages are installed, and what is compiled.
_OF_LIBRARIES = re.compile(
    r"/lib(?:64)?/(?:python|pypy)\d|/(?:site|dist)-packages/|\.px[id]$|\.pyx$"
)

SCHEMA: Literal["modelops-runner/diagnostic-report/1"] = "modelops-runner/diagnostic-report/1"


class Edit(Struct, frozen=True):
    """A change of a file: ``before`` becomes ``after``, or where there is no ``before``, ``after``
    is added at the end. A file that is not there is made."""

    file: str
    after: str
    before: str | None = None
    """One whole line, but for its indentation, which further lines of ``after`` get too; else it
    stands in the file once."""

    def apply(self, text: str) -> str:
        """Make the change in the text of the file.

        :raises ValueError: ``before`` is not there, or at more than one place.
        """
        if self.before is None:
            return f"{text.rstrip()}\n\n{self.after}\n".lstrip("\n")
        lines = text.split("\n")
        whole = [number for number, line in enumerate(lines) if line.strip() == self.before]
        if len(whole) == 1:
            line = lines[whole[0]]
            indent = line[: len(line) - len(line.lstrip())]
            after = re.sub(r"\n(?=[^\n])", f"\n{indent}", self.after)
            lines[whole[0]] = line.replace(self.before, after)
            return "\n".join(lines)
        if text.count(self.before) != 1:
            raise ValueError(f"{self.before!r} stands {text.count(self.before)} times")
        return text.replace(self.before, self.after)

    def shown(self) -> Edit:
        """The same as people see it: a notebook's code is JSON in its file alone."""
        if self.before is None or not self.file.endswith(".ipynb"):
            return self
        try:
            before, after = (json.loads(f'"{code}"') for code in (self.before, self.after))
        except ValueError:  # masked, or cut short
            return self
        return Edit(file=self.file, before=before, after=after)


class Hint(Struct, frozen=True):
    title: str
    command: str | None = None
    edit: Edit | None = None
    by: Literal["person"] | UnsetType = UNSET
    """``person`` where the command only shows something, or somebody has to fill in, to decide or
    to allow what it does. Absent where a machine may do it, and the next run goes another way."""


def by_hand(title: str, command: str | None) -> Hint:
    """Return a hint whose command only shows something, or is for somebody to fill in or allow."""
    return Hint(title, command, by="person")


def in_notebook(hint: Hint) -> Hint:
    """A hint whose edit of a notebook's cell is one of the notebook's file, where code is JSON."""
    cell = hint.edit and CELL.fullmatch(hint.edit.file)
    if not hint.edit or not cell:
        return hint
    edit = None
    if hint.edit.before is not None:
        before, after = (
            json.dumps(code, ensure_ascii=False)[1:-1]
            for code in (hint.edit.before, hint.edit.after)
        )
        edit = Edit(file=cell[1], before=before, after=after)
    return structs.replace(hint, edit=edit)


class BundleInfo(Struct):
    path: str
    name: str | None = None
    version: str | None = None
    digest: str | None = None
    requires_python: str | None = None
    entry_point: str | None = None
    """The wire function, as declared or as the child loaded it."""


class TaskInfo(Struct, frozen=True, omit_defaults=True):
    """The task that was asked for."""

    entrypoint: str | None
    params: str
    """As JSON, the values that are long or many cut short."""
    seed: int
    function: str | None = None
    """The function of the bundle that it calls, where that is not the wire function."""


class WorkerInfo(Struct):
    python: str
    implementation: str
    platform: str
    hostname: str
    runner_version: str
    uv_version: str | None = None


class FoundInterpreter(Struct, frozen=True):
    path: str
    version: str | None
    usable: bool
    """True if it runs and the bundle accepts it."""
    reason: str | None = None
    """Why it is not usable."""


class InterpreterInfo(Struct):
    requested: str | None = None
    """The request (``--python``)."""
    accepted: str | None = None
    """The versions that the bundle accepts, as a PEP 440 specifier."""
    found: list[FoundInterpreter] = field(default_factory=list)
    chosen: str | None = None


class EnvironmentInfo(Struct):
    path: str | None = None
    key: str | None = None
    reused: bool | None = None
    requirements_from: str | None = None
    """The file that its dependencies come from: uv.lock, pyproject.toml, requirements.txt."""
    site: list[str] = field(default_factory=list)
    """The folders beside the venv in which the bundle itself is installed."""


class PythonInfo(Struct, frozen=True):
    """A child's Python, as its ``hello`` said."""

    implementation: str
    version: str
    executable: str
    prefix: str
    platform: str
    soabi: str | None = None


class ChildInfo(Struct):
    argv: list[str]
    pid: int | None = None
    cwd: str | None = None
    python: PythonInfo | None = None
    protocol: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    max_rss_bytes: int | None = None
    cpu_seconds: float | None = None
    lifetime_seconds: float | None = None
    memory_limit_bytes: int | None = None
    """The most that it may hold, with all that it starts, as its caller or its bundle says."""


class Frame(Struct, frozen=True):
    file: str
    line: int | None
    function: str
    text: str | None = None
    repeated: int = 0
    """How many more times it stood there in a row: a recursion."""


class ExceptionInfo(Struct, frozen=True):
    type: str
    message: str
    module: str | None = None
    notes: list[str] = field(default_factory=list)
    traceback: list[Frame] = field(default_factory=list)
    frames_omitted: int = 0
    """How many calls were left out of the middle of a long traceback."""
    attributes: dict[str, str | int | None] = field(default_factory=dict)
    """Python's facts beyond the message: ``name`` of a missing module, ``lineno``."""
    cause: ExceptionInfo | None = None
    causes_omitted: int = 0
    """How many were left out, of a long chain, between this one and its ``cause``."""
    exceptions: list[ExceptionInfo] = field(default_factory=list)
    """The members of an exception group (PEP 654), the first ones of many."""


def chain(exception: ExceptionInfo) -> Iterator[ExceptionInfo]:
    """The exception, the members of it if it is a group, its cause, the cause's cause.

    Not one that is a copy of its cause.
    """
    waiting = [exception]
    while waiting:
        current = waiting.pop()
        if original(current) is None:
            yield current
        if current.cause is not None:
            waiting.append(current.cause)
        waiting += reversed(current.exceptions)


def original(exception: ExceptionInfo) -> ExceptionInfo | None:
    """Return the cause that a library has raised again as a copy, as SimPy's loop does.

    The copy has no file of an ``OSError``, and none of the user's calls that led to it. What has
    none itself was caught within a library: pandas raises so a second time that a column lacks.
    """
    cause = exception.cause
    if cause is None or cause.type != exception.type:
        return None
    is_users = any(not _OF_LIBRARIES.search(frame.file) for frame in cause.traceback)
    return cause if is_users and cause.message.startswith(exception.message) else None


class Excerpt(Struct, frozen=True):
    """The head and the tail of a stream."""

    text: str
    total_bytes: int
    truncated: bool


class UvRun(Struct, frozen=True):
    argv: list[str]
    exit_code: int | None
    stderr: str


class Evidence(Struct):
    stderr: Excerpt | None = None
    stdout: Excerpt | None = None
    wire_noise: Excerpt | None = None
    uv: UvRun | None = None


class PhaseTiming(Struct, frozen=True):
    phase: Phase
    started_at: float
    """Seconds since the run began."""
    seconds: float
    outcome: Outcome


class Report(Struct, kw_only=True):
    schema: Literal["modelops-runner/diagnostic-report/1"] = SCHEMA
    id: str
    created_at: str
    """ISO 8601, UTC."""
    phase: Phase
    code: Code
    summary: str
    """One line."""
    explanation: str
    retryable: bool
    hints: list[Hint] = field(default_factory=list)
    bundle: BundleInfo | None = None
    task: TaskInfo | UnsetType = UNSET
    """Absent where no task was asked for, or none that could be sent."""
    worker: WorkerInfo | None = None
    interpreter: InterpreterInfo | None = None
    environment: EnvironmentInfo | None = None
    child: ChildInfo | None = None
    exception: ExceptionInfo | None = None
    evidence: Evidence = field(default_factory=Evidence)
    timeline: list[PhaseTiming] = field(default_factory=list)

    def _repr_html_(self) -> str:
        """The report as a notebook shows it."""
        from runner.diagnosis.report.html import report_frame  # nobody else needs it

        return report_frame(self)
