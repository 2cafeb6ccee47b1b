"""Recognises a key that a dict does not have: a parameter that the task was not given."""

import difflib
import shlex

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    exec_command,
    file_in_bundle,
    is_own,
    place_of,
    raised_code,
)
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable
from runner.events import Phase

_MOST_SHOWN = 300


def missing_key(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Which keys there are in place of the one that is missing, where the child has seen it."""
    attributes = exception.attributes
    keys, key = attributes.get("keys"), attributes.get("key")
    frame = exception.traceback[-1] if exception.traceback else None
    if not isinstance(keys, str) or not isinstance(key, str) or frame is None:
        return None
    if not is_own(case, frame.file):
        return None
    there = keys.split("\n") if keys else []
    listed = one_line(printable(", ".join(there)), _MOST_SHOWN) or "none"
    place, named = place_of(case, frame), printable(one_line(key, 80))
    near = difflib.get_close_matches(key[:100], there, n=1)
    hints = [_correct(case, frame, key, near[0])] if near else []
    if attributes.get("of_task"):
        summary = f"{place} reads the parameter {named!r}; the task has {listed}"
        explanation = "The bundle's code asks for a parameter that the task was not given."
        give = f"give the task the parameter {named!r}"
        hints.append(
            Hint(
                title=f"or {give}" if near else give,
                command=exec_command(case, f"--param {shlex.quote(f'{named}=...')}"),
                by="person",
            )
        )
    else:
        what = printable(str(attributes.get("mapping") or "the dict"))
        summary = f"KeyError in {place}: {named!r}; {what} has {listed}"
        explanation = f"The bundle's code asks {what} for a key that it does not have."
        hints = hints or [Hint(title=f"see where {what} is made, and {place}")]
    return Finding(
        phase=phase,
        code=raised_code(phase),
        summary=summary,
        explanation=explanation,
        hints=hints,
    )


def _correct(case: Case, frame: Frame, key: str, near: str) -> Hint:
    edit = None
    for quote in "\"'":
        before = f"{quote}{key}{quote}"
        if frame.text and frame.text.count(before) == 1:
            after = frame.text.replace(before, f"{quote}{near}{quote}")
            edit = Edit(file=file_in_bundle(case, frame), before=frame.text, after=after)
    return Hint(title=f"did you mean {printable(near)!r}?", edit=edit)
