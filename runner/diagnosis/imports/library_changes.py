"""Recognises what Python's library has no more, not yet, or on Windows alone."""

import ast
import re

import msgspec

from bundle_protocol.syntax_tree import statement_of
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.dependencies import is_kept_back, upgrade
from runner.diagnosis.imports.import_errors import missing_module, missing_name
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.knowledge.newer_syntax import is_older
from runner.diagnosis.knowledge.stdlib_changes import (
    ADDED_MODULES,
    ADDED_NAMES,
    REMOVED_MODULES,
    REMOVED_NAMES,
    Change,
    known_part,
)
from runner.diagnosis.remedies import requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import raising_package
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint

# The last ones are of pywin32, which has no wheel for another system.
_OF_WINDOWS = {"_winapi", "_winreg", "msilib", "msvcrt", "nt", "winreg", "winsound",
               "pythoncom", "pywintypes", "win32api", "win32com", "win32con", "win32gui",
               "win32process"}  # fmt: skip
_NAMES_OF_WINDOWS = {
    "asyncio": {"ProactorEventLoop", "WindowsProactorEventLoopPolicy",
                "WindowsSelectorEventLoopPolicy"},
    "ctypes": {"WinDLL", "WinError", "oledll", "windll"},
    "os": {"add_dll_directory", "startfile"},
    "signal": {"CTRL_BREAK_EVENT", "CTRL_C_EVENT"},
    "subprocess": {"CREATE_NEW_CONSOLE", "CREATE_NEW_PROCESS_GROUP", "CREATE_NO_WINDOW",
                   "STARTF_USESHOWWINDOW", "STARTUPINFO"},
}  # fmt: skip
# Statements that are whole in a line.
_ALONE = (ast.Import, ast.ImportFrom, ast.Expr)


def library_change(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in the standard library of this Python's version."""
    # A Python that is not known counts as a new one: none of what was removed is far from there.
    python = case.python.version if case.python else "3.99"
    name, pair = missing_module(exception), missing_name(exception)
    if pair is not None:
        what = ".".join(pair)
        removed, added = REMOVED_NAMES.get(pair), ADDED_NAMES.get(pair)
        gone, new = (
            f"{pair[1]!r} was removed from {pair[0]!r} in",
            f"{pair[1]!r} came to {pair[0]!r}",
        )
    elif name is not None:
        what = known_part(name)
        removed, added = REMOVED_MODULES.get(what), ADDED_MODULES.get(what)
        gone, new = f"{what!r} was removed in", f"{what!r} came"
    else:
        return None
    if removed is not None and not is_older(python, removed.version):
        words = f"{gone} Python {removed.version}"
        return _library_changed(case, exception, what, removed, words)
    if added is not None and is_older(python, added.version):
        words = f"{new} with Python {added.version}, and this is Python {python}"
        return _library_changed(case, exception, what, added, words, added=True)
    return None


def _library_changed(
    case: Case,
    exception: ExceptionInfo,
    what: str,
    change: Change,
    words: str,
    *,
    added: bool = False,
) -> Finding:
    frame = case.telling_frame(exception)
    where = case.place_of(frame)
    hints = []
    # In a library nobody edits a line: another release of it is wanted.
    package = raising_package(exception)
    if change.instead and not package:
        title = f"use {change.instead} in place of {what}"
        after = replaced_name((frame and frame.text) or "", what, change.instead)
        edit = case.line_edit(frame, after) if frame and after else None
        hints.append(Hint(title + (f", in {where}" if where else ""), edit=edit))
    if change.package:
        hints.append(
            case.declare_hint(f"install {change.package}, which stands in", change.package)
        )
    specifier = f">={change.version}" if added else f"<{change.version}"
    kind = "a newer" if added else "an older"
    keep = requires_python_hint(case, specifier, f"keep to {kind} Python")
    # What can be done comes before what is only said, and one step before two: what stands in has
    # to be installed as well.
    first = added or not (hints and (hints[0].edit or hints[0].command))
    if change.version == "3.0":
        pass  # no Python is old enough
    elif first:
        hints = [keep, *(_or(hint) if at == 0 else hint for at, hint in enumerate(hints))]
    else:
        hints.append(_or(keep))
    explanation = f"{where} needs it." if where else ""
    if package:
        explanation += (
            f" It is asked for in {package}, which is not made for this Python; another release"
            " may be."
        )
        # The newest release is installed where nothing keeps it back.
        if is_kept_back(case, distribution := distribution_named(package)):
            hints.insert(0, upgrade(case, distribution, f"upgrade {package}"))
    is_module = exception.type == "ModuleNotFoundError"
    return case.found(
        Code.MODULE_NOT_FOUND if is_module else Code.IMPORT_FAILED,
        words,
        explanation.strip(),
        *hints,
    )


def _or(hint: Hint) -> Hint:
    return msgspec.structs.replace(hint, title=f"or {hint.title}")


def replaced_name(line: str, what: str, instead: str) -> str | None:
    """A line with another name, both dotted from the top, in place of the one that it asks for."""
    module, _, name = what.rpartition(".")
    if re.fullmatch(
        rf"(?:from\s+{re.escape(what)}\s+import|import\s+{re.escape(what)}\s+as)\s.+", line
    ):
        return line.replace(what, instead, 1)
    if line == f"import {what}":
        return f"import {instead} as {what}"
    if not module or not re.fullmatch(r"\w+(?:\.\w+)+", instead):
        return None
    source, _, stands_in = instead.rpartition(".")
    several = r"(?:\w+\s*,\s*)*" if source == module else ""
    rest = r"(?:\s*,\s*\w+)*" if source == module else ""
    alone = rf"from\s+{re.escape(module)}\s+import\s+{several}{name}(?:\s+as\s+\w+)?{rest}"
    if re.fullmatch(alone, line):
        has_another = re.search(rf"\b{name}\s+as\b", line)
        new = stands_in if has_another or stands_in == name else f"{stands_in} as {name}"
        head, _, names = line.partition("import")
        names = re.sub(rf"\b{name}\b", new, names, count=1)
        return re.sub(rf"^from\s+{re.escape(module)}\b", f"from {source}", head) + "import" + names
    if line.count(what) == 1:
        return re.sub(rf"\b{re.escape(what)}\b", instead, line)
    return None


def windows_only(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find that the code asks for what only Windows has."""
    what = (missing_module(exception) or "").partition(".")[0]
    if what not in _OF_WINDOWS:
        module, name = missing_name(exception) or ("", "")
        if name not in _NAMES_OF_WINDOWS.get(module, ()):
            return None
        what = f"{module}.{name}"
    frame = case.telling_frame(exception)
    return case.found(
        Code.MODULE_NOT_FOUND if what in _OF_WINDOWS else Code.IMPORT_FAILED,
        f"{case.place_of(frame) or 'the code'} asks for {what}, which only Windows has",
        "A bundle runs on Linux or macOS.",
        Hint(
            "do without it; or, where the model only needs it on Windows, ask first",
            edit=_asked_first(case, frame) if frame is not None else None,
        ),
    )


def _asked_first(case: Case, frame: Frame) -> Edit | None:
    """The edit that runs a line on Windows alone, where it is a statement by itself."""
    line = frame.text or ""
    if not case.is_own(frame.file) or not isinstance(statement_of(line), _ALONE):
        return None
    return case.line_edit(frame, f'import sys\nif sys.platform == "win32": {line}')
