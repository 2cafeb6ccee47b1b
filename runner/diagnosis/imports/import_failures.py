"""Recognises why Python code could not be imported: what Python lost, what the bundle hides."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import PurePosixPath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    bundle_argument,
    is_own,
    place_of,
    short_path,
    telling_frame,
)
from runner.diagnosis.imports.binary_failures import binary_failure
from runner.diagnosis.imports.bundle_modules import file_elsewhere, importable_file, is_file_of
from runner.diagnosis.imports.import_errors import missing_module, module_named
from runner.diagnosis.imports.installed_modules import is_installed
from runner.diagnosis.imports.library_changes import library_change
from runner.diagnosis.imports.missing_modules import missing_module_finding
from runner.diagnosis.imports.newer_features import newer_feature
from runner.diagnosis.knowledge.stdlib_changes import ADDED_MODULES, REMOVED_MODULES
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable
from runner.events import Phase


def import_failure(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """What one exception of a chain says of an import, where it is a cause that is known.

    :param exception: its own cause is not looked at.
    """
    if exception.module is not None:
        return None  # The bundle's own class: whatever it says, Python did not raise it.
    for recognise in _RECOGNISERS:
        finding = recognise(case, phase, exception)
        if finding is not None:
            return finding
    return None


def _shadowed(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """A file of the bundle in the place of a module of Python's or of a package, or hidden by it.

    Two files of one name are no fault by themselves: one of them must lack what was asked for, and
    the other have it, or be what a library meant.
    """
    module = module_named(exception)
    if module is None:
        return None
    top = module.partition(".")[0]
    taken = str(exception.attributes.get("module_file") or "")
    hidden = str(exception.attributes.get("hidden_file") or "")
    if taken and not is_own(case, taken):
        return _hidden_by(case, phase, exception, top, taken, hidden)
    file = _path_in_bundle(case, taken or _path_of(exception)) or importable_file(case, top)
    if file is None or not is_file_of(file, top):
        return None
    no_package = "is not a package" in exception.message
    if exception.type == "ModuleNotFoundError" and not no_package and not hidden:
        return None
    innermost = exception.traceback[-1].file if exception.traceback else ""
    by_library = bool(innermost) and not is_own(case, innermost)
    imports = _imports(case, exception)
    # Whoever asks in numpy.py for something of numpy does not mean numpy.py.
    by_itself = bool(imports) and short_path(case, imports[-1].file) == file
    if not (hidden or by_library or by_itself or no_package):
        return None
    if _is_standard(top):
        what = f"the standard library's {top}"
    elif is_installed(case, top):
        what = f"the installed package {top}"
    elif by_itself or no_package:
        what = f"the package {top}"
    else:
        return None
    return Finding(
        phase=phase,
        code=Code.IMPORT_FAILED,
        summary=f"{file} of the bundle hides {what}",
        explanation=f"Every `import {top}` finds the bundle's file first, in libraries too; what"
        f" failed is: {one_line(printable(exception.message), 140)}",
        hints=[_rename(case, file, top)],
    )


def _hidden_by(
    case: Case, phase: Phase, exception: ExceptionInfo, top: str, taken: str, hidden: str
) -> Finding | None:
    """A module of the bundle that an import does not reach, as another of its name comes first."""
    file = _path_in_bundle(case, hidden)
    if file is None or not is_file_of(file, top):
        return None
    what = "the standard library's" if _is_standard(top) else "the installed package"
    return Finding(
        phase=phase,
        code=Code.IMPORT_FAILED,
        summary=f"{what} {top} hides {file} of the bundle",
        explanation=f"`import {top}` finds {short_path(case, taken)}, which was imported before or"
        " comes first on sys.path; what failed is:"
        f" {one_line(printable(exception.message), 140)}",
        hints=[_rename(case, file, top)],
    )


def _rename(case: Case, file: str, top: str) -> Hint:
    renamed = file.replace(top, f"my_{top}", 1)
    if file.endswith("/__init__.py"):
        file, renamed = file.removesuffix("/__init__.py"), renamed.removesuffix("/__init__.py")
    return Hint(
        title="give the file another name, and correct the imports that mean it",
        command=f"cd {bundle_argument(case)} && mv {shlex.quote(file)} {shlex.quote(renamed)}",
    )


def _circular(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Modules of the bundle that import each other."""
    message, module = exception.message, module_named(exception)
    # 3.13 says "consider renaming" in place of "circular import" where an attribute is missing.
    telling = "circular import" in message or "consider renaming" in message
    if module is None or not telling:
        return None
    imports = _imports(case, exception)
    first = next((i for i, frame in enumerate(imports) if is_file_of(frame.file, module)), None)
    if first is None:
        return None
    circle = imports[first:]
    files = list(dict.fromkeys(short_path(case, frame.file) for frame in circle))
    if len(files) < 2:
        return None
    steps = "; ".join(f"{place_of(case, frame)}: {one_line(frame.text or '', 80)}"
                      for frame in circle[:10])  # fmt: skip
    return Finding(
        phase=phase,
        code=Code.IMPORT_FAILED,
        summary=f"{files[0]} and {files[-1]} import each other (a circular import)",
        explanation=f"{files[-1]} needs something of {files[0]}, which is only partly loaded by"
        f" then: {steps}",
        hints=[
            Hint(
                title=f"move what both need into a third module, or import in {files[-1]} inside"
                " the function that needs it",
                edit=_move_edit(case, circle[-1]),
            )
        ],
    )


def _library_change(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """What the standard library lost or gained, unless the bundle has a module of that name."""
    name = missing_module(exception)
    if name is not None and importable_file(case, name.partition(".")[0]):
        return None
    return library_change(case, phase, exception)


def _not_packaged(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """A module that the bundle has, and that Python does not find."""
    name = missing_module(exception)
    if name is None:
        return None
    frame = telling_frame(case, exception)
    asking = short_path(case, frame.file) if frame else ""
    file = file_elsewhere(case, name.replace(".", "/"), asking)
    if file is None:
        return None
    folder, beside = str(PurePosixPath(file).parent), PurePosixPath(asking).parent
    installed = bool(case.environment and case.environment.site)
    top = name.partition(".")[0]
    if PurePosixPath(file).parent == beside and f"{beside}/__init__.py" in case.bundle_files:
        hint = Hint(
            title=f"say in {asking} that it is beside it",
            edit=Edit(file=asking, before=f"import {name}", after=f"from . import {name}"),
        )
        why = "A package's modules are not importable by their bare names."
    elif installed:
        root = f"/{file}".rpartition("/" + name.replace(".", "/"))[0].lstrip("/") or "."
        hint = Hint(
            title=f"tell the build backend to include {top} (this is setuptools' way)",
            edit=Edit(
                file="pyproject.toml", after=f'[tool.setuptools.packages.find]\nwhere = ["{root}"]'
            ),
        )
        why = "The bundle is installed, and its build backend left this out."
    else:
        hint = Hint(
            title="make the bundle installable, so that its packages are",
            edit=Edit(
                file="pyproject.toml",
                after='[build-system]\nrequires = ["setuptools"]\n'
                'build-backend = "setuptools.build_meta"',
            ),
        )
        why = f"Python looks beside the wire function's file, and not in {folder}."
    return Finding(
        phase=phase,
        code=Code.MODULE_NOT_FOUND,
        summary=f"{name!r} is in the bundle, as {file}, where Python does not find it",
        explanation=why + (f" {asking} imports it." if asking else ""),
        hints=[hint],
    )


_RECOGNISERS: list[Callable[[Case, Phase, ExceptionInfo], Finding | None]] = [
    _shadowed,
    _circular,
    _library_change,
    binary_failure,
    newer_feature,
    _not_packaged,
    missing_module_finding,
]


def _imports(case: Case, exception: ExceptionInfo) -> list[Frame]:
    """The bundle's modules that were being imported, outermost first."""
    return [
        frame
        for frame in exception.traceback
        if frame.function == "<module>" and short_path(case, frame.file) in _own_files(case, frame)
    ]


def _own_files(case: Case, frame: Frame) -> tuple[str, ...]:
    """What a frame's short path is looked for in: a file in the bundle's folder is its own."""
    if case.bundle and PurePosixPath(frame.file).is_relative_to(case.bundle.path):
        return (short_path(case, frame.file),)
    return case.bundle_files


def _path_of(exception: ExceptionInfo) -> str:
    """The file that Python says it took for the module."""
    path = str(exception.attributes.get("path") or "")
    found = re.search(r"consider renaming '([^']{1,4096})'", exception.message)
    return path or (found[1] if found else "")


def _path_in_bundle(case: Case, path: str) -> str | None:
    return short_path(case, path) if is_own(case, path) else None


def _is_standard(top: str) -> bool:
    """Whether a module is Python's, in any of its versions: the same on whatever runs this."""
    return top in sys.stdlib_module_names or top in ADDED_MODULES or top in REMOVED_MODULES


def _move_edit(case: Case, frame: Frame) -> Edit | None:
    if not frame.text or "import" not in frame.text:
        return None
    text = one_line(frame.text, 160)
    return Edit(file=short_path(case, frame.file), before=text, after=f"    {text}")
