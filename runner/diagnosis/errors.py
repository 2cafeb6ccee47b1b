"""The errors that callers of the library catch. Each carries its report."""

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase


class RunnerError(Exception):
    """A run failed. ``report`` says why; ``str()`` is its one-line summary with the code.

    It pickles, so it crosses process and cluster boundaries whole.
    """

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        return f"{self.report.code.value}: {self.report.summary}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class BundleError(RunnerError):
    """The bundle cannot be read (phase ``bundle``)."""


class InterpreterError(RunnerError):
    """No suitable interpreter (phase ``interpreter``)."""


class EnvironmentBuildError(RunnerError):
    """The environment could not be built (phase ``environment``)."""


class ChildStartError(RunnerError):
    """The child never became ready (phases ``spawn``, ``handshake``, ``load``)."""


class ExecutionError(RunnerError):
    """The task failed (phases ``execute``, ``shutdown``)."""


class InternalError(RunnerError):
    """A fault of the runner itself (code ``internal-error``)."""


_BY_PHASE: dict[Phase, type[RunnerError]] = {
    Phase.BUNDLE: BundleError,
    Phase.INTERPRETER: InterpreterError,
    Phase.ENVIRONMENT: EnvironmentBuildError,
    Phase.SPAWN: ChildStartError,
    Phase.HANDSHAKE: ChildStartError,
    Phase.LOAD: ChildStartError,
    Phase.EXECUTE: ExecutionError,
    Phase.SHUTDOWN: ExecutionError,
}


def error_for(report: Report) -> RunnerError:
    """The error that carries this report, of the class that its phase and code call for."""
    if report.code is Code.INTERNAL_ERROR:
        return InternalError(report)
    return _BY_PHASE[report.phase](report)
