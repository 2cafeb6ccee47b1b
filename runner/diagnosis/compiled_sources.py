"""Recognises what is missing because the bundle's own sources in C, Fortran and the like are not
compiled."""

import re
from pathlib import PurePath, PurePosixPath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import printable

_SOURCE = re.compile(r"\.(?:c|cc|cpp|cu|f|for|f90|f95|f03|f08|pyf)")
_SCRIPT = re.compile(r"(?:build|compile|make)[\w.-]*\.sh")
_COMPILED = (".so", ".exe", ".dylib", ".dll")
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")


def build_command(case: Case) -> str | None:
    """The command by which the bundle compiles its sources; ``None`` where none is known."""
    files = sorted(map(PurePosixPath, case.bundle_files), key=lambda file: len(file.parts))
    if not any(map(_SOURCE.fullmatch, {file.suffix.lower() for file in files})):
        return None
    for file in files:
        inside = file.parent.as_posix()
        folder = case.bundle_argument() if inside == "." else case.file_argument(inside)
        if file.name in _MAKEFILES:
            return f"make -C {folder}"
        if file.name == "CMakeLists.txt":
            return f"cmake -S {folder} -B {folder}/build && cmake --build {folder}/build"
        if _SCRIPT.fullmatch(file.name):
            return f"cd {folder} && sh {file.name}"
    return None


def not_compiled(case: Case, exception: ExceptionInfo, path: PurePath) -> Finding | None:
    """Find a library, or a program that is started, in what the bundle's sources are made to.

    :param path: the file that is not there.
    """
    files = [frame.file for frame in exception.traceback[-1:]]
    starts = [PurePath(file).name for file in files] == ["subprocess.py"]
    # What has no folder before it is looked for on PATH, and is another's.
    starts &= case.is_own(str(path)) or re.search(r": '[^/']+/", exception.message) is not None
    has_it = any(PurePosixPath(file).name == path.name for file in case.bundle_files)
    if has_it or not (starts or path.suffix in _COMPILED):
        return None
    if (build := build_command(case)) is None:
        return None
    where = case.place(exception)
    return case.raised(
        f"{where} asks for {printable(str(path))}, which is not there",
        "The bundle has sources that are to be compiled, and says how.",
        Hint("compile the bundle's own sources, if it is made of them", build),
    )
