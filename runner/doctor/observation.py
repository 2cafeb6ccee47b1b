"""The findings of an examination, one line for each thing that it looked at."""

from enum import Enum

from msgspec import Struct, field

from runner.diagnosis.report.model import Hint


class Verdict(str, Enum):
    OK = "ok"
    WARNING = "warning"
    """Something will be slower, or fails under circumstances that the text names."""
    PROBLEM = "problem"
    """Tasks will fail. Makes the command's exit status 1."""


class Observation(Struct, frozen=True):
    """:param subject: what was looked at, as a person names it: ``uv``, ``worker tcp://...``."""

    subject: str
    verdict: Verdict
    text: str
    """The facts, root cause first."""
    hints: list[Hint] = field(default_factory=list)
