"""Failures of the phase ``bundle``."""

import shlex
from pathlib import Path

from runner.diagnosis.case import Failure
from runner.diagnosis.refusals import lacks_room
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.events import Phase


def not_found(summary: str, *hints: Hint) -> Failure:
    return Failure.of(
        Code.BUNDLE_NOT_FOUND,
        summary,
        "A bundle is a folder with a pyproject.toml that has a [project] table, or with a"
        " requirements.txt.",
        *hints,
    )


def invalid(summary: str, explanation: str, *hints: Hint) -> Failure:
    return Failure.of(Code.BUNDLE_INVALID, summary, explanation, *hints)


def merge_conflict(name: str, number: int, folder: Path | None = None) -> Failure:
    """Git could not merge a file, and left both sides in it with marks between them.

    :param folder: the bundle's, where the file can be made anew.
    """
    hint = Hint(f"keep one of the two in {name}, and take the marks out")
    if folder is not None:
        where = shlex.quote(str(folder))
        take = f"cd {where} && git checkout --ours {name} && uv lock"
        hint = Hint("take one side and let uv lock what is missing", command=take)
    return invalid(
        f"{name}:{number} has a merge conflict that was not settled",
        "Git could not bring two changes together, and left both with the marks <<<<<<<, ======="
        " and >>>>>>> around them.",
        hint,
    )


def unreadable(name: str, error: OSError) -> Failure:
    if (lacking := lacks_room(Phase.BUNDLE, error)) is not None:
        return Failure(lacking)
    return invalid(
        f"{name} cannot be read: {error.strerror}",
        "Every file of a bundle is part of what identifies it, so each must be readable.",
        Hint(f"make {name} readable, or take it out of the bundle"),
    )
