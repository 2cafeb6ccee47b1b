"""Paths as they are from a task's working folder, which has the bundle's files in it."""

import re
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import printable


def folder_there(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A folder that the code makes, and that the bundle has already."""
    frame = case.telling_frame(exception)
    named = str(exception.attributes.get("filename") or "")
    asked = in_working_folder(case, PurePath(named)) if named else None
    text = (frame and frame.text) or ""
    if frame is None or asked is None or not has_folder(case, PurePath(asked)):
        return None
    after = re.sub(
        r"\bos\.(?:mkdir|makedirs)\(([^(),]+)\)", r"os.makedirs(\1, exist_ok=True)", text
    )
    after = re.sub(r"\.mkdir\(\)", ".mkdir(exist_ok=True)", after)
    return case.raised(
        f"{case.place_of(frame)} makes a folder that the bundle has: {printable(asked)}",
        "A task's working folder has the bundle's files in it.",
        Hint("let it be there already: exist_ok=True", edit=case.line_edit(frame, after)),
    )


def has_folder(case: Case, folder: PurePath) -> bool:
    return any(PurePath(file).is_relative_to(folder) for file in case.bundle_files)


def in_working_folder(case: Case, path: PurePath) -> str | None:
    """The path from the bundle's folder, whichever folder it was meant from."""
    parts: list[str] = []
    if path.is_absolute():
        if case.bundle is None or not path.is_relative_to(case.bundle.path):
            return None
        path = path.relative_to(case.bundle.path)
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != "..":
            parts.append(part)
    return "/".join(parts) or None
