"""All that is known of a run so far, and the hints that name its places and commands.

Each layer writes what it learns, as soon as it learns it; a failure at any step turns it into a
report.
"""

import os
import re
import shlex
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timezone
from pathlib import PurePath

from msgspec import UNSET, Struct, field

from runner.diagnosis.deaths.exit import Limits
from runner.diagnosis.machine import Machine
from runner.diagnosis.pyproject_edits import PYPROJECT, PyprojectText
from runner.diagnosis.report.asked import Asked, option_words, task_info
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import (
    CELL,
    BundleInfo,
    ChildInfo,
    Edit,
    EnvironmentInfo,
    Evidence,
    ExceptionInfo,
    Frame,
    Hint,
    InterpreterInfo,
    PhaseTiming,
    PythonInfo,
    Report,
    TaskInfo,
    WorkerInfo,
    in_notebook,
)
from runner.diagnosis.report.sanitise import sanitise_report
from runner.diagnosis.report.text import one_line, printable
from runner.diagnosis.stack_lines import StackLine
from runner.events import EventHandler, FactKeeper, Journal, Phase

SUMMARY_CHARACTERS = 400
_PRINTED_FRAME = re.compile(r'File "([^"\n]{1,1000})", line (\d{1,9}), in ([^\s]{1,200})')

DOING = {
    Phase.SPAWN: "while it was started",
    Phase.HANDSHAKE: "before it could say hello",
    Phase.LOAD: "while it loaded the bundle",
    Phase.EXECUTE: "while it ran the task",
    Phase.SHUTDOWN: "while it shut down",
}


class Finding(Struct):
    """A root cause, as the layer that met it or a recogniser that read the evidence states it."""

    code: Code
    summary: str
    phase: Phase | None = None
    """``None``: the only one that the code comes up in."""
    explanation: str = ""
    hints: list[Hint] = field(default_factory=list)
    exception: ExceptionInfo | None = None
    retryable: bool | None = None
    """``None``: what the code says."""

    def __post_init__(self) -> None:
        if self.phase is None:
            (self.phase,) = self.code.phases

    @classmethod
    def of(
        cls,
        code: Code,
        summary: str,
        explanation: str = "",
        *hints: Hint,
        phase: Phase | None = None,
        exception: ExceptionInfo | None = None,
        retryable: bool | None = None,
    ) -> "Finding":
        return cls(code, summary, phase, explanation, list(hints), exception, retryable)


class LfsPointer(Struct, frozen=True):
    """A file of the bundle that Git LFS has not fetched."""

    file: str
    named_in: tuple[str, ...] = ()
    """The source files of the bundle that name it."""


class Failure(Exception):
    """Internal: ends a run with a finding. Callers of the library see a ``RunnerError`` instead."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(f"{finding.code.value}: {finding.summary}")
        self.finding = finding

    @classmethod
    def of(
        cls,
        code: Code,
        summary: str,
        explanation: str = "",
        *hints: Hint,
        phase: Phase | None = None,
    ) -> "Failure":
        """Make the failure with a finding of which nothing else is known."""
        return cls(Finding.of(code, summary, explanation, *hints, phase=phase))


class Case:
    """The facts of one run, and its journal.

    :param handler: called with every event.
    :param keeper: called with every fact, for a recording.
    :param environ: where the values of secret variables are looked up, which no report shows.
    :param run_id: the run's, for its events; by default a new one.
    :param task_id: the task's, likewise.
    """

    def __init__(
        self,
        handler: EventHandler | None = None,
        keeper: FactKeeper | None = None,
        environ: Mapping[str, str] = os.environ,
        *,
        run_id: str | None = None,
        task_id: int | None = None,
    ) -> None:
        self.journal = Journal(handler, keeper, run_id=run_id, task_id=task_id)
        self._environ = environ
        self.bundle: BundleInfo | None = None
        self.task: Asked | TaskInfo | None = None
        """The task that was asked for, once it is known to be one."""
        self.worker: WorkerInfo | None = None
        self.interpreter: InterpreterInfo | None = None
        self.environment: EnvironmentInfo | None = None
        self.child: ChildInfo | None = None
        self.phase = Phase.EXECUTE
        """The one in which the child has failed, for who finds out why."""
        self.evidence = Evidence()
        self.bundle_files: tuple[str, ...] = ()
        """The bundle's content, as paths relative to its folder."""
        self.lfs_pointers: tuple[LfsPointer, ...] = ()
        """Those of them that are a Git LFS pointer, and not the file itself."""
        self.pyproject: str = ""
        """The text of the bundle's pyproject.toml, where an edit has to fit in."""
        self.pin: str | None = None
        """The line of the bundle's ``.python-version`` that counts."""
        self.bundle_dependencies: tuple[str, ...] = ()
        """The bundle's declared requirements (PEP 508), as far as its files say; its extras'
        and groups too, with markers that name these (PEP 751)."""
        self.options: tuple[str, ...] = ()
        """The options of a command by which it runs as here, each as it is typed."""
        self.installed: tuple[str, ...] = ()
        """The environment's modules and its distributions (``PyYAML-6.0.dist-info``), looked up
        once an import has failed."""
        self.imported: tuple[str, ...] = ()
        """The modules at the top that the code around an import which has failed asks for."""
        self.extras: dict[str, dict[str, list[str]]] = {}
        """The extras that the dependencies have, with what each brings: by canonical names, looked
        up once an import has failed."""
        self.older_wheels: str | None = None
        """An older minor version of Python, installed and accepted by the bundle, for which each
        dependency has a wheel; looked up once one of them is built from source."""
        self.wheel: str | None = None
        """The version of what could not be built that has a wheel, where uv has found one."""
        self.refused: tuple[str, ...] = ()
        """The texts of edits that ask for what there is not, as uv has said."""
        self.named: tuple[str, ...] = ()
        """The variables, or patterns of them, that the bundle or its caller names for the child."""
        self.machine: Machine | None = None
        """The machine's limits and mounts, looked up once an exception may be due to them."""
        self.stack: tuple[StackLine, ...] = ()
        """The bundle's own lines that the child's stacks name, read once it has written any."""
        self.libraries: tuple[str, ...] = ()
        """Files on the worker's library paths that are, in whatever version, a shared library that
        was not found."""
        self.withheld: tuple[str, ...] = ()
        """The names of the worker's variables that the child does not get."""

    @property
    def python(self) -> PythonInfo | None:
        """The child's, once it has said which it is."""
        return self.child.python if self.child else None

    @property
    def limits(self) -> Limits:
        return self.machine.limits if self.machine else Limits()

    @property
    def stderr(self) -> str:
        return self.evidence.stderr.text if self.evidence.stderr else ""

    def report(self, finding: Finding) -> Report:
        """The report of a run that ended with this finding."""
        phases = self.journal.phases
        began = min((phase.at - phase.seconds for phase in phases), default=0.0)
        retryable = finding.retryable
        assert finding.phase is not None  # it is told by the code
        report = Report(
            id=str(uuid.uuid4()),
            created_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            phase=finding.phase,
            code=finding.code,
            # Names that a child gives to files and functions may have line ends in them.
            summary=one_line(finding.summary, SUMMARY_CHARACTERS),
            explanation=finding.explanation,
            retryable=finding.code.retryable if retryable is None else retryable,
            hints=list(map(in_notebook, finding.hints)),
            bundle=self.bundle,
            task=UNSET if self.task is None else task_info(self.task),
            worker=self.worker,
            interpreter=self.interpreter,
            environment=self.environment,
            child=self.child,
            exception=finding.exception,
            evidence=self.evidence,
            timeline=[
                PhaseTiming(
                    phase=phase.phase,
                    started_at=round(phase.at - phase.seconds - began, 6),
                    seconds=round(phase.seconds, 6),
                    outcome=phase.outcome,
                )
                for phase in phases
            ],
        )
        return sanitise_report(report, self._environ)

    def found(
        self,
        code: Code,
        summary: str,
        explanation: str = "",
        *hints: Hint,
        exception: ExceptionInfo | None = None,
        retryable: bool | None = None,
    ) -> Finding:
        """Make a finding of what has failed in the child, in its phase."""
        return Finding.of(
            code,
            summary,
            explanation,
            *hints,
            phase=self.phase,
            exception=exception,
            retryable=retryable,
        )

    def raised(self, summary: str, explanation: str = "", *hints: Hint) -> Finding:
        """Make one of what the bundle's code has raised, at its load or in a task."""
        return self.found(Code.raised_in(self.phase), summary, explanation, *hints)

    def is_own(self, file: str) -> bool:
        """Tell whether a file is the bundle's own, in its folder or where it is installed."""
        return any(PurePath(file).is_relative_to(root) for root in self._roots())

    def _roots(self) -> list[str]:
        """Where the bundle's own code is: its folder, and where it is installed."""
        folder = [self.bundle.path] if self.bundle else []
        return folder + (self.environment.site if self.environment else [])

    def short_path(self, file: str) -> str:
        """The file as the bundle's author knows it."""
        path = PurePath(os.path.normpath(file))
        for root in self._roots():
            if path.is_relative_to(root):
                return str(path.relative_to(root))
        if "site-packages" in path.parts:
            return str(PurePath(*path.parts[path.parts.index("site-packages") + 1 :]))
        return printable(file)

    def own_frames(self, exception: ExceptionInfo) -> list[Frame]:
        """The frames in the bundle's own code."""
        return [frame for frame in exception.traceback if self.is_own(frame.file)]

    def telling_frame(self, exception: ExceptionInfo | None) -> Frame | None:
        """The innermost frame in the bundle's own code, else the innermost one."""
        if exception is None or not exception.traceback:
            return None
        return (self.own_frames(exception) or exception.traceback)[-1]

    def place_of(self, frame: Frame | None) -> str:
        if frame is None:
            return ""
        function = "" if frame.function == "<module>" else f" ({frame.function})"
        return f"{self.short_path(frame.file)}:{frame.line}{function}"

    def place(self, exception: ExceptionInfo | None, otherwise: str = "the bundle") -> str:
        """Where an exception was raised, as far as the bundle's own code knows."""
        return self.place_of(self.telling_frame(exception)) or otherwise

    def printed_place(self, text: str) -> str | None:
        """The innermost place in the bundle's own code, in a traceback as Python prints it."""
        frames = [found.groups() for found in _PRINTED_FRAME.finditer(text)]
        own = [frame for frame in frames if self.is_own(frame[0])]
        if not own:
            return None
        file, line, function = own[-1]
        return printable(f"{self.short_path(file)}:{line} ({function})")

    def file_in_bundle(self, frame: Frame) -> str:
        """The file of a frame as it is in the bundle, in which an edit is made."""
        short = self.short_path(frame.file)
        if short in self.bundle_files or not self.is_own(frame.file):
            return short
        # What is installed has no src before it.
        found = [file for file in self.bundle_files if file.endswith(f"/{short}")]
        return found[0] if len(found) == 1 else short

    def line_edit(self, frame: Frame, after: str) -> Edit | None:
        """The edit that puts another line in the place of a frame's; none where it is that."""
        if not frame.text or after == frame.text:
            return None
        return Edit(file=self.file_in_bundle(frame), before=frame.text, after=after)

    def edit_of(
        self,
        frame: Frame | None,
        written: str | re.Pattern[str],
        after: str | Callable[[re.Match[str]], str],
    ) -> Edit | None:
        """The edit of what a frame's line has written once; else none."""
        line = (frame and frame.text) or ""
        if frame is None or sum(1 for _ in re.finditer(written, line)) != 1:
            return None
        return self.line_edit(frame, re.sub(written, after, line))

    def pin_edit(self, version: str) -> Edit:
        """:param version: what ``.python-version`` is to say."""
        return Edit(file=".python-version", before=self.pin, after=version)

    def pyproject_text(self) -> PyprojectText:
        """The text of the bundle's pyproject.toml, to make edits of."""
        if not self.pyproject and PYPROJECT in self.bundle_files:
            return PyprojectText("", {}, is_known=False)
        return PyprojectText.of(self.pyproject)

    def declaring_file(self) -> str:
        """The file in which the bundle declares its dependencies."""
        source = self.environment.requirements_from if self.environment else None
        if source == "requirements.txt" or (
            self.bundle_files and "pyproject.toml" not in self.bundle_files
        ):
            return "requirements.txt"
        return self.pyproject_text().requirements_file or PYPROJECT

    def declare_hint(self, title: str, *requirements: str) -> Hint:
        """The lines that declare dependencies, in the file in which the bundle declares its own."""
        file = self.declaring_file()
        if file != PYPROJECT:
            return Hint(title, edit=Edit(file=file, after="\n".join(requirements)))
        there = self.pyproject_text()
        if "dependencies" in there.items("project", "dynamic"):  # its backend finds them somewhere
            return Hint(f"{title}: {', '.join(requirements)}")
        return Hint(
            title,
            command=f"uv add --project {self.bundle_argument()} {shlex.join(requirements)}",
            edit=there.with_item("project", "dependencies", *requirements),
        )

    def replaced_requirement(self, written: str, *others: str) -> Edit | None:
        """The edit that declares others in the place of one of the bundle's requirements."""
        file = self.declaring_file()
        if file != PYPROJECT:
            return Edit(file=file, before=written, after="\n".join(others))
        return self.pyproject_text().replaced_requirement(written, *others)

    def bundle_argument(self) -> str:
        return shlex.quote(self.bundle.path) if self.bundle else "BUNDLE"

    def file_argument(self, file: str) -> str:
        """A file of the bundle, as a command names it; of a notebook's cell, the notebook."""
        file = CELL.sub(r"\1", file)
        return shlex.quote(f"{self.bundle.path}/{file}" if self.bundle else file)

    def exec_command(
        self, options: str = "", *, without: str | None = None, unset: Collection[str] = ()
    ) -> str:
        """The command that runs the same task in the same way, but for these options.

        :param without: a parameter that is left out.
        :param unset: variables that are not handed on.
        """
        asked = [] if self.task is None else option_words(self.task, without)
        words = ["modelops-runner exec", self.bundle_argument(), *asked]
        given = {*options.split(" ")} - {"--env"}  # of which there may be several
        for one in self.options:
            option, value = [*shlex.split(one), ""][:2]
            if option not in given and not (option == "--env" and value.split("=")[0] in unset):
                words.append(one)
        return " ".join([*words, options]).rstrip()
