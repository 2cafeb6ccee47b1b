"""Recognises a Git LFS pointer where code had expected the file itself."""

import re
from pathlib import PurePosixPath

from runner.diagnosis.case import Case, Finding, LfsPointer
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable

# The first line of a pointer, as a parser quotes it.
_QUOTED = "https://git-lfs.github.com/spec/v1"

# No file that code reads raises these: a name or a signature in the code is wrong.
_OF_CODE = {"NameError", "UnboundLocalError", "NotImplementedError", "RecursionError",
            "ModuleNotFoundError", "FileNotFoundError", "PermissionError",
            "AssertionError"}  # fmt: skip
_SPECIAL_CODES = {"SyntaxError": Code.SYNTAX_ERROR, "ImportError": Code.IMPORT_FAILED}


def lfs_pointer(case: Case, exception: ExceptionInfo) -> Finding | None:
    """The pointer that an exception comes of, where the evidence says that it does."""
    if _QUOTED in exception.message:
        only = case.lfs_pointers[0] if len(case.lfs_pointers) == 1 else None
        return _finding(case, exception, _touched(case, exception) or only)
    if not case.lfs_pointers:
        return None
    pointer = _touched(case, exception)
    return _finding(case, exception, pointer) if pointer else None


def add_lfs_hint(case: Case, finding: Finding) -> None:
    """Say of a failure that is not known to come of a pointer that the bundle has some."""
    if case.lfs_pointers:
        first, more = case.lfs_pointers[0].file, len(case.lfs_pointers) - 1
        others = f" (so are {more} more)" if more else ""
        finding.explanation += (
            f" {first} of the bundle is a Git LFS pointer, not the file itself{others}."
        )
        finding.hints.append(_pull(case, "if it reads that file, fetch it"))


def _touched(case: Case, exception: ExceptionInfo) -> LfsPointer | None:
    """The pointer that an exception names, that its lines do, or the source that failed."""
    said = f"{exception.message}\n{exception.attributes.get('filename') or ''}"
    for pointer in case.lfs_pointers:
        if _names(said, pointer.file):
            return pointer
    if exception.type in _OF_CODE:
        return None
    own = case.own_frames(exception)
    if own and own[-1] is exception.traceback[-1] and re.match("raise|assert", own[-1].text or ""):
        return None  # The code has seen what it does not like, and says so in its own words.
    for frame in reversed(own):
        for pointer in case.lfs_pointers:
            if _names(frame.text or "", pointer.file):
                return pointer
    sources = [case.short_path(frame.file) for frame in reversed(own)]
    for source in sources:
        for pointer in case.lfs_pointers:
            # What is installed has no src before it.
            if any(f"/{named}".endswith(f"/{source}") for named in pointer.named_in):
                return pointer
    return None


def _names(text: str, file: str) -> bool:
    name = re.escape(PurePosixPath(file).name)
    return re.search(rf"(?<![\w.-]){name}(?![\w-]|\.\w)", text) is not None


def _finding(case: Case, exception: ExceptionInfo, pointer: LfsPointer | None) -> Finding:
    what = pointer.file if pointer else "what is read as data"
    place = case.place(exception, "")
    message = one_line(printable(exception.message), 140)
    raised = Code.raised_in(case.phase)
    return case.found(
        _SPECIAL_CODES.get(exception.type, raised),
        f"{what} is a Git LFS pointer, not the file itself"
        + (f"; {place} fails upon it" if place else ""),
        "The repository was cloned without Git LFS, which leaves three lines of text in"
        f" a file's place. What came of it is {exception.type}: {message}",
        _pull(case, "fetch the files themselves"),
    )


def _pull(case: Case, title: str) -> Hint:
    return by_hand(
        f"{title}, where git-lfs is installed", f"cd {case.bundle_argument()} && git lfs pull"
    )
