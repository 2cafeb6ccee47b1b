"""Failures of the phase ``environment``."""

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.events import Phase


def failure(code: Code, summary: str, explanation: str, *hints: Hint) -> Failure:
    return Failure(
        Finding(
            phase=Phase.ENVIRONMENT,
            code=code,
            summary=summary,
            explanation=explanation,
            hints=list(hints),
        )
    )
