"""Recognises two files of one name: a bundle's, and the standard library's or a package's."""

import re
import shlex
import sys
from pathlib import PurePosixPath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.bundle_modules import importable_file, is_file_of
from runner.diagnosis.imports.dependencies import is_installed
from runner.diagnosis.imports.import_errors import missing_module, missing_name, module_named
from runner.diagnosis.knowledge.stdlib_changes import ADDED_MODULES, REMOVED_MODULES
from runner.diagnosis.knowledge.well_known import is_known_module
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line, printable
from runner.diagnosis.script_habits import without_line


def hidden_module(case: Case, exception: ExceptionInfo) -> Finding | None:
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
    if taken and not case.is_own(taken):
        return _hidden_by(case, exception, top, taken, hidden)
    file = _path_in_bundle(case, taken or _path_of(exception)) or importable_file(case, top)
    if file is None or not is_file_of(file, top):
        return None
    no_package = "is not a package" in exception.message
    if exception.type == "ModuleNotFoundError" and not no_package and not hidden:
        return None
    innermost = exception.traceback[-1].file if exception.traceback else ""
    by_library = bool(innermost) and not case.is_own(innermost)
    imports = imports_under_way(case, exception)
    # Whoever asks in numpy.py for something of numpy does not mean numpy.py.
    by_itself = bool(imports) and case.short_path(imports[-1].file) == file
    if not (hidden or by_library or by_itself or no_package):
        return None
    if _is_standard(top):
        what = f"the standard library's {top}"
    elif is_installed(case, top):
        what = f"the installed package {top}"
    elif by_itself and not is_known_module(top):
        return _imports_itself(case, imports[-1], exception)
    elif by_itself or no_package:
        what = f"the package {top}"
    else:
        return None
    return _hides(case, file, top, what, exception.message)


def hidden_folder(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A folder of the bundle without ``__init__.py``, which a module of Python's comes before."""
    top = (missing_module(exception) or "").partition(".")[0]
    within = any(file.startswith(f"{top}/") and file.endswith(".py") for file in case.bundle_files)
    if "is not a package" not in exception.message or not (within and _is_standard(top)):
        return None
    return case.found(
        Code.IMPORT_FAILED,
        f"the standard library's {top} hides the folder {top} of the bundle",
        f"A folder without __init__.py comes after every module of its name; what"
        f" failed is: {one_line(printable(exception.message), 140)}",
        _rename(case, f"{top}/__init__.py", top),
    )


def renamed_module(case: Case, exception: ExceptionInfo) -> Finding | None:
    """An import of a module that was hidden, and that has another name since :func:`_rename`."""
    pair, module = missing_name(exception), missing_module(exception)
    top = (pair[0] if pair else module or "").partition(".")[0]
    frame = case.telling_frame(exception)
    renamed = (f"my_{top}.py", f"my_{top}/")
    if not top or frame is None or not any(f.startswith(renamed) for f in case.bundle_files):
        return None
    line = frame.text or ""
    after = re.sub(rf"^from {top}\b", f"from my_{top}", line)
    after = re.sub(rf"^import {top}(?= as )", f"import my_{top}", after)
    edit = case.line_edit(frame, after)
    if edit is None or not case.is_own(frame.file):
        return None
    return case.found(
        Code.IMPORT_FAILED,
        f"{case.place_of(frame)} imports {top}, which is another one; the bundle's own is my_{top}",
        one_line(printable(exception.message), 140),
        Hint(f"import my_{top}, as it is called now", edit=edit),
    )


def misled_library(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A library that failed in other words by what it got of the bundle in a module's place."""
    top = str(exception.attributes.get("hiding_module") or "")
    file = _path_in_bundle(case, str(exception.attributes.get("module_file") or ""))
    if not top or file is None:
        return None
    what = f"the standard library's {top}" if _is_standard(top) else f"the installed package {top}"
    return _hides(case, file, top, what, f"{exception.type}: {exception.message}")


def hidden_in_words(case: Case, words: str) -> Finding | None:
    """As a process wrote it that ended after it, or one that the bundle's code had started.

    :param words: the end of its stderr.
    """
    for line in reversed(words.splitlines()):
        kind, _, message = line.partition(": ")
        pair = missing_name(ExceptionInfo(kind, message))
        top = pair[0].partition(".")[0] if pair else ""
        file = importable_file(case, top) if top and _is_standard(top) else None
        if file is not None:
            return _hides(case, file, top, f"the standard library's {top}", message)
    return None


def _imports_itself(case: Case, frame: Frame, exception: ExceptionInfo) -> Finding:
    return case.found(
        Code.IMPORT_FAILED,
        f"{case.place_of(frame)} imports the file that it stands in",
        f"By then, nothing below that line is defined; what failed is:"
        f" {one_line(printable(exception.message), 140)}",
        Hint(
            "take the line out: a file's own names need no import", edit=without_line(case, frame)
        ),
    )


def _hides(case: Case, file: str, top: str, what: str, message: str) -> Finding:
    return case.found(
        Code.IMPORT_FAILED,
        f"{file} of the bundle hides {what}",
        f"Every `import {top}` finds the bundle's file first, in libraries too; what"
        f" failed is: {one_line(printable(message), 140)}",
        _rename(case, file, top),
    )


def _hidden_by(
    case: Case, exception: ExceptionInfo, top: str, taken: str, hidden: str
) -> Finding | None:
    """A module of the bundle that an import does not reach, as another of its name comes first."""
    file = _path_in_bundle(case, hidden)
    if file is None or not is_file_of(file, top):
        return None
    what = "the standard library's" if _is_standard(top) else "the installed package"
    return case.found(
        Code.IMPORT_FAILED,
        f"{what} {top} hides {file} of the bundle",
        f"`import {top}` finds {case.short_path(taken)}, which was imported before or"
        " comes first on sys.path; what failed is:"
        f" {one_line(printable(exception.message), 140)}",
        _rename(case, file, top),
    )


def _rename(case: Case, file: str, top: str) -> Hint:
    renamed = file.replace(top, f"my_{top}", 1)
    if file.endswith("/__init__.py"):
        file, renamed = file.removesuffix("/__init__.py"), renamed.removesuffix("/__init__.py")
    return Hint(
        "give the file another name, and correct the imports that mean it",
        command=f"cd {case.bundle_argument()} && mv {shlex.quote(file)} {shlex.quote(renamed)}",
    )


def imports_under_way(case: Case, exception: ExceptionInfo) -> list[Frame]:
    """The bundle's modules that were being imported, outermost first."""
    return [
        frame
        for frame in exception.traceback
        if frame.function == "<module>" and case.short_path(frame.file) in _own_files(case, frame)
    ]


def _own_files(case: Case, frame: Frame) -> tuple[str, ...]:
    """Return the files that are the bundle's own, among which a frame's short path may be."""
    if case.bundle and PurePosixPath(frame.file).is_relative_to(case.bundle.path):
        return (case.short_path(frame.file),)
    return case.bundle_files


def _path_of(exception: ExceptionInfo) -> str:
    """The file that Python says it took for the module."""
    path = str(exception.attributes.get("path") or "")
    found = re.search(r"consider renaming '([^']{1,4096})'", exception.message)
    return path or (found[1] if found else "")


def _path_in_bundle(case: Case, path: str) -> str | None:
    return case.short_path(path) if case.is_own(path) else None


def _is_standard(top: str) -> bool:
    """Tell whether a module is Python's, in any of its versions: the same on whatever runs this."""
    return top in sys.stdlib_module_names or top in ADDED_MODULES or top in REMOVED_MODULES
