"""Recognises what Python, or a package, has on Windows alone."""

import ast

from bundle_protocol.syntax_tree import statement_of
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.import_errors import missing_module, missing_name
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint

# The last ones are of pywin32, which has no wheel for another system.
_MODULES = {"_winapi", "_winreg", "msilib", "msvcrt", "nt", "winreg", "winsound",
            "pythoncom", "pywintypes", "win32api", "win32com", "win32con", "win32gui",
            "win32process"}  # fmt: skip
_NAMES = {
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


def windows_only(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find that the code asks for what only Windows has."""
    what = (missing_module(exception) or "").partition(".")[0]
    if what not in _MODULES:
        module, name = missing_name(exception) or ("", "")
        if name not in _NAMES.get(module, ()):
            return None
        what = f"{module}.{name}"
    frame = case.telling_frame(exception)
    return case.found(
        Code.MODULE_NOT_FOUND if what in _MODULES else Code.IMPORT_FAILED,
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
