"""Shows the report that a recording gives today."""

from msgspec import json

from runner.cli.command_line.commands import Replay, UsageError
from runner.cli.result import report_json, write_file
from runner.recording.format import RecordingError, read_recording
from runner.recording.replay import replay


def show_replay(command: Replay) -> int:
    """Print the report, and write it where asked to; returns the exit code."""
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
            text = json.format(json.encode(report)) + b"\n"
            write_file(command.report.absolute(), text, private=True)
        except OSError as error:
            raise UsageError(f"{command.report} cannot be written: {error.strerror}") from error
    if command.json:
        print(report_json(report), end="")
        return 0
    from rich.console import Console

    from runner.diagnosis.report.terminal import render_report

    render_report(report, Console())
    return 0
