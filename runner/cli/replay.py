"""Shows the report that a recording gives today."""

from runner.cli.command_line.commands import Replay, UsageError
from runner.cli.result import print_report, report_document, report_json, write_file
from runner.recording.format import RecordingError, read_recording
from runner.recording.replay import replay


def run(command: Replay) -> tuple[int, str]:
    """Print the report, and write it where asked to."""
    try:
        report = replay(read_recording(command.recording))
    except OSError as error:
        raise UsageError(
            f"{error.filename or command.recording} cannot be read: {error.strerror}"
        ) from error
    except RecordingError as error:
        raise UsageError(f"{command.recording}: {error}") from error
    if report is None:
        raise UsageError(f"{command.recording}: the run went well, so there is no report")
    if command.report is not None:
        try:
            write_file(command.report.absolute(), report_json(report))
        except OSError as error:
            raise UsageError(f"{command.report} cannot be written: {error.strerror}") from error
    if command.json:
        return 0, report_document(report)
    print_report(report)
    return 0, ""
