"""The exit codes of runs that fail."""

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase

_EXIT_CODES = {
    Phase.BUNDLE: 10,
    Phase.INTERPRETER: 10,
    Phase.ENVIRONMENT: 11,
    Phase.SPAWN: 12,
    Phase.HANDSHAKE: 12,
    Phase.LOAD: 12,
    Phase.EXECUTE: 13,
    Phase.SHUTDOWN: 13,
}


def exit_code_of(report: Report) -> int:
    """The exit code for a failure: that of the phase where it happened."""
    return 14 if report.code is Code.INTERNAL_ERROR else _EXIT_CODES[report.phase]
