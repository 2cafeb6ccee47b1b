"""Recognises a link of the bundle's that leads to a file which only another machine has."""

import shlex
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    file_argument,
    place_of,
    raised_code,
    short_path,
    telling_frame,
)
from runner.diagnosis.report.model import ExceptionInfo, by_hand
from runner.diagnosis.report.text import printable
from runner.events import Phase


def broken_link(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Find that a file is not there because it is a link, and what it leads to is not."""
    target = exception.attributes.get("links_to")
    if not isinstance(target, str):
        return None
    named = PurePath(str(exception.attributes.get("filename")))
    files = [one for one in case.bundle_files if PurePath(one).name == named.name]
    if len(files) != 1 or short_path(case, target) == files[0]:
        return None
    where, file = place_of(case, telling_frame(case, exception)) or "the code", files[0]
    return Finding(
        phase=phase,
        code=raised_code(phase),
        summary=printable(
            f"{where} asks for {file}, which is a link to {target}, and that is not there"
        ),
        explanation="A link has nothing of the file's content, and goes without it to a machine.",
        hints=[
            by_hand(
                printable(f"put the file itself in the link's place, where {target} is"),
                f"cp --remove-destination {shlex.quote(target)} {file_argument(case, file)}",
            )
        ],
    )
