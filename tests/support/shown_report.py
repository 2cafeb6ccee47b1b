"""A report as people read it, as plain text."""

import io

from rich.console import Console

from runner.diagnosis.report.model import Report
from runner.diagnosis.report.terminal import render_report


def report_text(report: Report, width: int = 80) -> str:
    """The readable form as plain text.

    :param width: in characters.
    """
    buffer = io.StringIO()
    render_report(report, Console(file=buffer, width=width, no_color=True, color_system=None))
    return buffer.getvalue()
