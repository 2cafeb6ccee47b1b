"""The exit codes of the command: what they mean, and which one a failure has."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.diagnosis.report.model import Report

EXIT_CODES = {
    "0": "all went well",
    "1": "doctor, matrix, rerun or check --reproducible has found something",
    "2": "the command line is wrong, or what it names is not there",
    "10": "the bundle cannot be read, or no Python is one that it accepts",
    "11": "the environment cannot be built",
    "12": "the child cannot be started, or cannot load the bundle",
    "13": "the task has failed; of many, one of them has; or standard output takes no result",
    "14": "a fault of the runner itself, or the system refuses what it needs",
    "128+N": "signal N has ended it: 130 for SIGINT (Ctrl-C), 143 for SIGTERM",
}

EXIT_CODES_HELP = "exit codes:\n" + "\n".join(
    f"  {code:<6} {meaning}" for code, meaning in EXIT_CODES.items()
)

FAILED_TASK = 13


def exit_code_of(report: "Report") -> int:
    """The exit code for a failure: that of the phase where it happened."""
    # Not on import: the help needs none of these.
    from runner.diagnosis.report.codes import Code
    from runner.events import Phase

    if report.code is Code.INTERNAL_ERROR:
        return 14
    match report.phase:
        case Phase.BUNDLE | Phase.INTERPRETER:
            return 10
        case Phase.ENVIRONMENT:
            return 11
        case Phase.SPAWN | Phase.HANDSHAKE | Phase.LOAD:
            return 12
        case Phase.EXECUTE | Phase.SHUTDOWN:
            return FAILED_TASK
