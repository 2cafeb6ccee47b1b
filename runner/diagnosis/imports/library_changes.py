"""Recognises code that needs what its Python's standard library has no more, or not yet."""

from pathlib import PurePosixPath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    bundle_argument,
    declare_hint,
    place_of,
    requires_python_hint,
    telling_frame,
)
from runner.diagnosis.imports.import_errors import missing_module, missing_name
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.knowledge.newer_syntax import is_older
from runner.diagnosis.knowledge.stdlib_changes import (
    ADDED_MODULES,
    ADDED_NAMES,
    REMOVED_MODULES,
    REMOVED_NAMES,
    Change,
)
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.events import Phase


def library_change(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in the standard library of this Python's version."""
    return (
        _removed_module(case, phase, exception)
        or _added_module(case, phase, exception)
        or _changed_name(case, phase, exception)
    )


def _removed_module(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    name = missing_module(exception)
    changed = _lookup(REMOVED_MODULES, name)
    if name is None or changed is None:
        return None
    module, change = changed
    if is_older(_python(case, change.version), change.version):
        return None
    return _library_changed(
        case, phase, exception, module, change, f"{module!r} was removed in Python {change.version}"
    )


def _added_module(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    name = missing_module(exception)
    changed = _lookup(ADDED_MODULES, name)
    if name is None or changed is None or not is_older(_python(case, "3.99"), changed[1].version):
        return None
    module, change = changed
    return _library_changed(
        case,
        phase,
        exception,
        module,
        change,
        f"{module!r} came with Python {change.version}, and this is Python {_python(case, '')}",
        added=True,
    )


def _changed_name(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """A name that a module of the standard library has lost, or has not yet."""
    pair = missing_name(exception)
    if pair is None:
        return None
    module, name = pair
    removed, added = REMOVED_NAMES.get(pair), ADDED_NAMES.get(pair)
    # None of them is far from where it was: a Python that is not known counts as a new one.
    python = _python(case, "3.99")
    if removed is not None and not is_older(python, removed.version):
        words = f"{name!r} was removed from {module!r} in Python {removed.version}"
        return _library_changed(case, phase, exception, f"{module}.{name}", removed, words)
    if added is not None and is_older(python, added.version):
        words = (
            f"{name!r} came to {module!r} with Python {added.version}, and this is Python {python}"
        )
        return _library_changed(
            case, phase, exception, f"{module}.{name}", added, words, added=True
        )
    return None


def _library_changed(
    case: Case,
    phase: Phase,
    exception: ExceptionInfo,
    what: str,
    change: Change,
    words: str,
    *,
    added: bool = False,
) -> Finding:
    where = place_of(case, telling_frame(case, exception))
    hints = []
    # In a library nobody edits a line: another release of it is wanted.
    package = _package_of(exception.traceback[-1]) if exception.traceback else None
    if change.instead and not package:
        title = f"use {change.instead} in place of {what}"
        hints.append(Hint(title=title + (f", in {where}" if where else "")))
    if change.package:
        hints.append(
            declare_hint(case, change.package, f"install {change.package}, which stands in")
        )
    specifier = f">={change.version}" if added else f"<{change.version}"
    kind = "a newer" if added else "an older"
    hints.append(requires_python_hint(case, specifier, f"or keep to {kind} Python"))
    explanation = f"{where} needs it." if where else ""
    if package:
        explanation += (
            f" It is asked for in {package}, which is not made for this Python; another release"
            " may be."
        )
        command = (
            f"uv lock --project {bundle_argument(case)} --upgrade-package"
            f" {distribution_named(package)}"
        )
        hints.insert(0, Hint(title=f"upgrade {package}", command=command))
    is_module = exception.type == "ModuleNotFoundError"
    return Finding(
        phase=phase,
        code=Code.MODULE_NOT_FOUND if is_module else Code.IMPORT_FAILED,
        summary=words,
        explanation=explanation.strip(),
        hints=hints,
    )


def _python(case: Case, unknown: str) -> str:
    """The child's version."""
    return case.child.python.version if case.child and case.child.python else unknown


def _lookup(table: dict[str, Change], name: str | None) -> tuple[str, Change] | None:
    """The entry of a module or of the package it is in."""
    parts = name.split(".")[:4] if name else []
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next(((name, table[name]) for name in names if name in table), None)


def _package_of(frame: Frame) -> str | None:
    """The installed package that a frame is in."""
    parts = PurePosixPath(frame.file).parts
    if "site-packages" not in parts:
        return None
    rest = parts[parts.index("site-packages") + 1 :]
    return rest[0].removesuffix(".py") if rest else None
