"""All that is known of a run so far.

Each layer writes what it learns, as soon as it learns it; a failure at any step turns it into a
report.
"""

import os
import uuid
from collections.abc import Mapping
from datetime import datetime, timezone

from msgspec import UNSET, Struct, field

from runner.diagnosis.machine import Machine
from runner.diagnosis.report.asked import Asked, task_info
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import (
    BundleInfo,
    ChildInfo,
    EnvironmentInfo,
    Evidence,
    ExceptionInfo,
    Hint,
    InterpreterInfo,
    PhaseTiming,
    Report,
    TaskInfo,
    WorkerInfo,
)
from runner.diagnosis.report.sanitise import sanitise_report
from runner.diagnosis.report.text import one_line
from runner.events import EventHandler, FactKeeper, Journal, Phase

SUMMARY_CHARACTERS = 400


class Finding(Struct, kw_only=True):
    """A root cause, as the layer that met it or a recogniser that read the evidence states it."""

    phase: Phase
    code: Code
    summary: str
    explanation: str = ""
    hints: list[Hint] = field(default_factory=list)
    exception: ExceptionInfo | None = None
    retryable: bool | None = None
    """``None``: what the code says."""

    @classmethod
    def of(
        cls,
        phase: Phase,
        code: Code,
        summary: str,
        explanation: str = "",
        *hints: Hint,
        retryable: bool | None = None,
    ) -> "Finding":
        """Make one of all that most have."""
        return cls(
            phase=phase,
            code=code,
            summary=summary,
            explanation=explanation,
            hints=list(hints),
            retryable=retryable,
        )


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
        cls, phase: Phase, code: Code, summary: str, explanation: str = "", *hints: Hint
    ) -> "Failure":
        """Make the failure with a finding of which nothing else is known."""
        return cls(Finding.of(phase, code, summary, explanation, *hints))


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
        self.installed: tuple[str, ...] = ()
        """The environment's modules and its distributions (``PyYAML-6.0.dist-info``), looked up
        once an import has failed."""
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
        self.libraries: tuple[str, ...] = ()
        """Files on the worker's library paths that are, in whatever version, a shared library that
        was not found."""
        self.withheld: tuple[str, ...] = ()
        """The names of the worker's variables that the child does not get."""

    def report(self, finding: Finding) -> Report:
        """The report of a run that ended with this finding."""
        phases = self.journal.phases
        began = min((phase.at - phase.seconds for phase in phases), default=0.0)
        retryable = finding.retryable
        report = Report(
            id=str(uuid.uuid4()),
            created_at=datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
            phase=finding.phase,
            code=finding.code,
            # Names that a child gives to files and functions may have line ends in them.
            summary=one_line(finding.summary, SUMMARY_CHARACTERS),
            explanation=finding.explanation,
            retryable=finding.code.retryable if retryable is None else retryable,
            hints=finding.hints,
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
