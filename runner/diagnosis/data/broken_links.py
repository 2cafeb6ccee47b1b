"""Recognises a link of the bundle's that leads to a file which only another machine has."""

import shlex
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.model import ExceptionInfo, by_hand
from runner.diagnosis.report.text import printable


def broken_link(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find that a file is not there because it is a link, and what it leads to is not."""
    target = exception.attributes.get("links_to")
    if not isinstance(target, str):
        return None
    named = PurePath(str(exception.attributes.get("filename")))
    files = [one for one in case.bundle_files if PurePath(one).name == named.name]
    if len(files) != 1 or case.short_path(target) == files[0]:
        return None
    where, file = case.place(exception, "the code"), files[0]
    return case.raised(
        printable(f"{where} asks for {file}, which is a link to {target}, and that is not there"),
        "A link has nothing of the file's content, and goes without it to a machine.",
        by_hand(
            printable(f"put the file itself in the link's place, where {target} is"),
            f"cp --remove-destination {shlex.quote(target)} {case.file_argument(file)}",
        ),
    )
