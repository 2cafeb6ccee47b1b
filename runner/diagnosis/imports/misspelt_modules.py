"""Recognises an import whose name is one edit from a module that is there.

A name that is nearly another's is what strangers register on the index: none is advised to be
installed.
"""

import re
import shlex
from collections.abc import Iterable
from pathlib import PurePosixPath

from bundle_protocol.near_names import SHORTEST, digits, is_one_edit, nearest
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.bundle_modules import importable_files
from runner.diagnosis.imports.dependencies import declared_requirements
from runner.diagnosis.knowledge.distribution_names import modules_named_otherwise
from runner.diagnosis.knowledge.well_known import WELL_KNOWN, is_known_module
from runner.diagnosis.remedies import copy_hint, template_of
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint

_LONGEST = 100
_CLOSE = 0.8


def misspelt_module(case: Case, exception: ExceptionInfo, name: str) -> Finding | None:
    """The module that was meant by one that is not found.

    :param name: the first part of its name.
    """
    frame = exception.traceback[-1] if exception.traceback else None
    if frame is not None and (finding := saved_as_other(case, frame, name)) is not None:
        return finding
    if frame is None or not case.is_own(frame.file) or not SHORTEST <= len(name) <= _LONGEST:
        return None
    if is_known_module(name):
        return None
    bundled = sorted(importable_files(case))
    alike = [one for one in bundled if digits(one) == digits(name)]
    for meant, what in (
        (one_edit_from(name, alike), "the bundle has {}"),
        (one_edit_from(name, _installed(case)), "{} is installed"),
        (one_edit_from(name, _declared(case)), "the bundle declares {}"),
        (one_edit_from(name, sorted(WELL_KNOWN)), "there is a package {}"),
        (next(iter(nearest(name, bundled, cutoff=_CLOSE)), None), "the bundle has {}"),
    ):
        if meant is not None:
            return _finding(case, frame, name, meant, what.format(meant))
    return None


def saved_as_other(case: Case, frame: Frame, name: str) -> Finding | None:
    """The bundle has the module's file with another suffix, as of a template, or by an editor.

    :param name: the last part of its name.
    """
    other = re.compile(rf"((?:.*/)?{re.escape(name)}\.)(?:py(?:\.\w{{1,10}}|~)|PY)")
    found = [file for file in case.bundle_files if other.fullmatch(file)]
    if len(found) != 1 or not case.is_own(frame.file):
        return None
    there = other.sub(r"\1py", found[0])
    if template_of(case, there) is not None:
        hint = copy_hint(case, found[0], there)
    else:
        hint = _move(case, f"call the file {there}", found[0], there)
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{case.place_of(frame)} imports {name!r}, which the bundle has as {found[0]}",
        "Python imports what ends in .py.",
        hint,
    )


def _finding(case: Case, frame: Frame, name: str, meant: str, what: str) -> Finding:
    hint = None if meant.isidentifier() else _renamed(case, name, meant)
    after = re.sub(rf"\b{re.escape(name)}\b", meant, frame.text or "", count=1)
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{case.place_of(frame)} imports {name!r}, which is not there; {what}",
        f"{name} is nearly {meant}. (A package of the index that is called nearly as"
        " another one may be a stranger's: see who wrote it before it is installed.)",
        hint or Hint(f"did you mean {meant}?", edit=case.line_edit(frame, after)),
    )


def _renamed(case: Case, name: str, meant: str) -> Hint | None:
    """The command that gives a file of the bundle a name which can be imported."""
    ends = (f"/{meant}.py", f"/{meant}/__init__.py")
    found = [file for file in case.bundle_files if f"/{file}".endswith(ends)]
    if len(found) != 1:
        return None
    file = found[0].removesuffix("/__init__.py")
    there = file.removesuffix(PurePosixPath(file).name) + name + PurePosixPath(file).suffix
    title = f"call the file {there}: a name with other signs than _ cannot be imported"
    return _move(case, title, file, there)


def _move(case: Case, title: str, file: str, there: str) -> Hint:
    moved = f"mv {shlex.quote(file)} {shlex.quote(there)}"
    return Hint(title, command=f"cd {case.bundle_argument()} && {moved}")


def _installed(case: Case) -> list[str]:
    names = (entry.partition(".")[0] for entry in case.installed if "-info" not in entry)
    return sorted({name for name in names if not name.startswith("_")})


def _declared(case: Case) -> list[str]:
    found = set()
    for _, requirement in declared_requirements(case):
        name = requirement.name
        found |= {name.replace("-", "_"), *modules_named_otherwise(name)}
    return sorted(found)


def one_edit_from(name: str, others: Iterable[str]) -> str | None:
    """The first of some names that differs by one letter: more, less, another or swapped."""
    return next(
        (
            other
            for other in others
            if len(other) >= SHORTEST and other != name and is_one_edit(name.lower(), other.lower())
        ),
        None,
    )
