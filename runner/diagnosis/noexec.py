"""Recognises a file that cannot be loaded or run where it lies: the file system is ``noexec``."""

import re
import shlex
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.machine import Noexec
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint, chain
from runner.diagnosis.report.text import one_line, printable

_NOT_MAPPED = ": failed to map segment from shared object"
_EACCES = 13
# Of a pathlib.Path, the exception has no name that travels.
_NAMED = re.compile(r": \w{1,40}Path\('([^']{1,4096})'\)$")


def file_not_executable(exception: ExceptionInfo) -> str | None:
    """The file that could not be loaded or run, where its file system may be the reason."""
    before, mapped, _ = exception.message.partition(_NOT_MAPPED)
    if mapped:
        return before.split("\n")[-1].strip() or None
    if exception.attributes.get("errno") == _EACCES:
        named = _NAMED.search(exception.message)
        return str(exception.attributes.get("filename") or "") or (named[1] if named else None)
    return None


def suspect_paths(case: Case, exception: ExceptionInfo, temporary: str) -> list[str]:
    """Where to look for a file system that is mounted noexec.

    :param temporary: the folder for temporary files, in which tasks find the bundle's files.
    """
    found = []
    for link in chain(exception):
        file = file_not_executable(link)
        if file is None:
            continue
        if file.startswith("/"):
            found.append(file)
        if not file.startswith("/") or (case.bundle and file.startswith(f"{case.bundle.path}/")):
            found.append(temporary)
    return found


def not_executable(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in a file system that is mounted noexec."""
    noexec = case.machine.noexec if case.machine else None
    if noexec is None or file_not_executable(exception) is None:
        return None
    loading = Code.raised_in(case.phase)
    place = case.place(exception)
    name = printable(one_line(PurePath(noexec.path).name, 80))
    does = "load" if _NOT_MAPPED in exception.message else "run"
    return case.found(
        Code.IMPORT_FAILED if does == "load" else loading,
        f"{place} cannot {does} {name}: {noexec.point} is mounted noexec",
        f"Nothing on that file system may be executed, and {printable(noexec.path)} is on it.",
        move_hint(case, noexec),
    )


def elsewhere(noexec: Noexec) -> str:
    """A folder to execute from, quoted for a shell."""
    return shlex.quote(noexec.elsewhere or "/a/folder")


def move_hint(case: Case, noexec: Noexec) -> Hint:
    """Put what has to be executed elsewhere."""
    folder = elsewhere(noexec)
    path = PurePath(noexec.path)
    built = case.environment.path if case.environment else None
    if built is not None and path.is_relative_to(PurePath(built).parents[1]):
        return Hint(
            "keep the cache on a file system that may be executed from",
            command=f"export MODELOPS_CACHE_DIR={folder}/modelops-runner",
        )
    if case.bundle is not None and path.is_relative_to(case.bundle.path):
        copy = f"{folder}/{shlex.quote(PurePath(case.bundle.path).name)}"
        return Hint(
            "run the bundle from a file system that may be executed from",
            command=f"cp -r {case.bundle_argument()} {folder}/ && modelops-runner exec {copy}",
        )
    return Hint(
        "name a temporary folder that may be executed from", command=f"export TMPDIR={folder}"
    )
