"""Says what a code means; shows a saved report again, on the terminal or as a page."""

import msgspec

from runner.cli.command_line.commands import Explain, ShowReport, UsageError
from runner.cli.result import print_report, write_file
from runner.diagnosis.report.explanation import explain
from runner.diagnosis.report.model import Report
from runner.diagnosis.report.sanitise import sanitise_report
from runner.stored_files import DamagedError, decoded, read_named


class _Failed(msgspec.Struct):
    """The document that ``exec --json`` prints of a run that failed."""

    report: Report


def run(command: Explain | ShowReport) -> tuple[int, str]:
    """Explain the code; print the report, or write its page."""
    if isinstance(command, Explain):
        return 0, explain(command.code)
    try:
        report = read_report(read_named(command.file))
    except OSError as error:
        raise UsageError(f"{command.file} cannot be read: {error.strerror}") from error
    except DamagedError as error:
        raise UsageError(f"{command.file} is not a report: {error}") from error
    if command.html is None:
        print_report(report)
        return 0, ""
    from runner.diagnosis.report.html import report_page

    try:
        write_file(command.html.absolute(), report_page(report).encode())
    except OSError as error:
        raise UsageError(f"{command.html} cannot be written: {error.strerror}") from error
    return 0, ""


def read_report(data: bytes) -> Report:
    """Read a report as ``--report`` writes it, or the document that ``--json`` prints.

    It comes from a file, so it is sanitised again: anybody may have written it.

    :raises DamagedError: it is neither.
    """
    try:
        report = decoded(data, _Failed).report
    except DamagedError:
        report = decoded(data, Report)
    return sanitise_report(report)
