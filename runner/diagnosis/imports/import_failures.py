"""Recognises why Python code could not be imported: what Python lost, what the bundle hides."""

import re
import sys
from collections.abc import Callable
from pathlib import PurePosixPath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.binary_failures import binary_failure
from runner.diagnosis.imports.bundle_modules import (
    file_elsewhere,
    importable_file,
    is_file_of,
    module_of,
)
from runner.diagnosis.imports.hidden_modules import (
    hidden_folder,
    hidden_module,
    imports_under_way,
    misled_library,
    renamed_module,
)
from runner.diagnosis.imports.import_errors import missing_module, missing_name, module_named
from runner.diagnosis.imports.library_changes import library_change, windows_only
from runner.diagnosis.imports.missing_extras import misspelt_extra
from runner.diagnosis.imports.missing_modules import missing_module_finding, missing_name_finding
from runner.diagnosis.imports.newer_features import newer_feature
from runner.diagnosis.imports.optional_packages import missing_solver, optional_package
from runner.diagnosis.imports.package_changes import package_change
from runner.diagnosis.knowledge.conda_only import missed_on_system
from runner.diagnosis.refused_values import unknown_zone
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.report.text import one_line


def import_failure(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Return what one exception of a chain says of an import, where it is a cause that is known.

    :param exception: its own cause is not looked at.
    """
    # A class of a library's or the bundle's own: whatever it says, Python did not raise it.
    known = _RECOGNISERS if exception.module is None else [missing_solver, unknown_zone]
    for recognise in known:
        finding = recognise(case, exception)
        if finding is not None:
            return finding
    return None


def _circular(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Modules of the bundle that import each other."""
    message, module = exception.message, module_named(exception)
    # 3.13 says "consider renaming" in place of "circular import" where an attribute is missing.
    telling = "circular import" in message or "consider renaming" in message
    if module is None or not telling:
        return None
    imports = imports_under_way(case, exception)
    first = next((i for i, frame in enumerate(imports) if is_file_of(frame.file, module)), None)
    if first is None:
        return None
    circle = imports[first:]
    files = list(dict.fromkeys(case.short_path(frame.file) for frame in circle))
    if len(files) < 2:
        return None
    steps = "; ".join(f"{case.place_of(frame)}: {one_line(frame.text or '', 80)}"
                      for frame in circle[:10])  # fmt: skip
    return case.found(
        Code.IMPORT_FAILED,
        f"{files[0]} and {files[-1]} import each other (a circular import)",
        f"{files[-1]} needs something of {files[0]}, which is only partly loaded by then: {steps}",
        Hint(
            f"move what both need into a third module, or import in {files[-1]} inside"
            " the function that needs it"
        ),
    )


def _library_change(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find what the standard library lost or gained, unless the bundle has such a module."""
    name = missing_module(exception)
    if name is not None and importable_file(case, name.partition(".")[0]):
        return None
    return library_change(case, exception)


def _made_importable(case: Case, frame: Frame | None, asking: str, name: str, file: str) -> Hint:
    """The edit by which a module of the bundle's is found, where the bundle is not installed."""
    root = f"/{file}".rpartition("/" + name.replace(".", "/"))[0].strip("/")
    if root == "src" and case.declaring_file() == "pyproject.toml":
        table = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"'
        return Hint(
            "make the bundle installable, so that its packages are",
            edit=case.pyproject_text().added(table),
        )
    title = f"have Python look in {root or 'the top of the bundle'}"
    line = (frame.text or "").strip() if frame else ""
    if not line or not re.match(r"(?:import|from)\s", line):
        return Hint(title)
    up = len(PurePosixPath(asking).parts) - 1
    folder = f"pathlib.Path(__file__).resolve().parents[{up}] / {root!r}"
    # On one line, as it may be indented.
    after = f"import pathlib, sys; sys.path.insert(0, str({folder})); {line}"
    return Hint(title, edit=Edit(file=asking, before=line, after=after))


def _from_beside(case: Case, frame: Frame | None, name: str) -> Edit | None:
    """The line that imports a module of the same package."""
    line = (frame.text or "") if frame else ""
    after = re.sub(rf"^import {re.escape(name)}(?=$| as )", f"from . import {name}", line)
    after = re.sub(rf"^from {re.escape(name)}(?=[. ])", f"from .{name}", after)
    return None if frame is None else case.line_edit(frame, after)


def _not_packaged(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A module that the bundle has, and that Python does not find."""
    name = missing_module(exception)
    if name is None:
        return None
    frame = case.telling_frame(exception)
    asking = case.short_path(frame.file) if frame else ""
    file = file_elsewhere(case, name.replace(".", "/"), asking)
    if file is None:
        return None
    folder, beside = str(PurePosixPath(file).parent), PurePosixPath(asking).parent
    installed = bool(case.environment and case.environment.site)
    top = name.partition(".")[0]
    if PurePosixPath(file).parent == beside and f"{beside}/__init__.py" in case.bundle_files:
        hint = Hint(f"say in {asking} that it is beside it", edit=_from_beside(case, frame, name))
        why = "A package's modules are not importable by their bare names."
    elif installed:
        root = f"/{file}".rpartition("/" + name.replace(".", "/"))[0].lstrip("/") or "."
        pyproject = case.pyproject_text()
        hint = Hint(f"tell the build backend ({pyproject.backend}) to include {top}")
        if pyproject.backend == "setuptools":
            edit = pyproject.setting("tool.setuptools.packages.find", "where", [root])
            hint = Hint(f"tell setuptools to include {top}", edit=edit)
        why = "The bundle is installed, and its build backend left this out."
    else:
        hint = _made_importable(case, frame, asking, name, file)
        why = f"Python looks beside the wire function's file, and not in {folder}."
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{name!r} is in the bundle, as {file}, where Python does not find it",
        why + (f" {asking} imports it." if asking else ""),
        hint,
    )


def _no_submodule(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A folder that git has left empty: what is in it is another repository."""
    module = (missing_module(exception) or "").rpartition(".")[0]
    if exception.message.endswith("(unknown location)"):
        module = module_named(exception) or ""
    folder = module.replace(".", "/")
    there = any(file.startswith(f"{folder}/") for file in case.bundle_files)
    installed = module.partition(".")[0] in {one.partition(".")[0] for one in case.installed}
    if not folder or there or installed or ".gitmodules" not in case.bundle_files:
        return None
    where = case.place(exception, "the code")
    command = f"git -C {case.bundle_argument()} submodule update --init --recursive"
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{where} imports from {folder}, and nothing is in that folder",
        "The bundle has a .gitmodules: git fetches such folders only when it is asked.",
        Hint("fetch the bundle's submodules", command=command),
    )


_RUN_PATH = re.compile(r"\brun_path\((?:[^()]|\([^()]*\))*\)")


def _relative_import(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A file of the bundle that is not a package's, and imports as one of a package does."""
    no_package = "attempted relative import with no known parent package" in exception.message
    if not no_package and "relative import beyond top-level package" not in exception.message:
        return None
    frame = case.telling_frame(exception)
    if frame is None or not case.is_own(frame.file):
        return None
    asking = case.file_in_bundle(frame)
    after = re.sub(r"^from \.+([\w.]+) import ", r"from \1 import ", frame.text or "")
    after = re.sub(r"^from \.+ import (?!\()", "import ", after)
    folder = PurePosixPath(asking).parent
    if not no_package:
        return case.found(
            Code.IMPORT_FAILED,
            f"{case.place_of(frame)} imports from above its package, and there is none",
            f"Python's first folder of modules is that of {folder.parts[0]}."
            if folder.parts
            else "",
            Hint("import it by its name", edit=case.line_edit(frame, after)),
        )
    return case.found(
        Code.IMPORT_FAILED,
        f"{case.place_of(frame)} imports relative to a package, and {asking} is in none",
        "Python has it as a module by itself"
        + ("" if f"{folder}/__init__.py" in case.bundle_files else ": its folder is not a package")
        + ". The modules beside it are found by their names.",
        *_as_of_package(case, exception, asking),
        Hint("import it by its name", edit=case.line_edit(frame, after)),
    )


def _as_of_package(case: Case, exception: ExceptionInfo, file: str) -> list[Hint]:
    """The edit that runs a package's module as ``python -m`` does, where it is run by its path."""
    if f"{PurePosixPath(file).parent}/__init__.py" not in case.bundle_files:
        return []
    module = module_of(file)
    run = f'run_module("{module}", run_name="__main__", alter_sys=True)'
    runs = [one for one in case.own_frames(exception) if _RUN_PATH.search(one.text or "")]
    title = "run it as a module of its package"
    return [Hint(title, edit=case.edit_of(one, _RUN_PATH.pattern, run)) for one in runs[:1]]


def _of_pythons_own(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A name that is asked of Python's own module, where one of the bundle's has its name."""
    module, name = missing_name(exception) or ("", "")
    frame = case.telling_frame(exception)
    found = [file for file in case.bundle_files if file.endswith(f"/{module}.py")]
    own = frame is not None and case.is_own(frame.file)
    if module not in sys.stdlib_module_names or len(found) != 1 or not own:
        return None
    meant = module_of(found[0])
    return case.found(
        Code.IMPORT_FAILED,
        f"{case.place_of(frame)} imports {name!r} from Python's own {module}; the bundle has"
        f" {found[0]}",
        "A module of that name is found where its folder comes first on sys.path.",
        Hint(
            f"import it as {meant}",
            edit=case.edit_of(frame, rf"\bfrom {module}(?= import\b)", f"from {meant}"),
        ),
    )


def _unused(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A name that its module has not, and that nothing uses: an editor has put the line there."""
    pair, frame = missing_name(exception), case.telling_frame(exception)
    if pair is None or frame is None or not exception.attributes.get("unused"):
        return None
    return case.found(
        Code.IMPORT_FAILED,
        f"{case.place_of(frame)} imports {pair[1]!r} from {pair[0]}, which has no such name, and"
        " uses it nowhere",
        "Editors add such lines by themselves.",
        Hint("take the line out", edit=case.line_edit(frame, f"pass  # {frame.text}")),
    )


def _system_library(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Something that is not on this worker, and who brings it."""
    found = missed_on_system(exception.message[:400])
    if found is None:
        return None
    package, known = found
    where = case.place(exception)
    hints = [Hint(known.instead)]
    if known.wheel:
        title = f"ask for {known.wheel}, which brings an {known.thing}"
        hints.insert(0, case.declare_hint(title, known.wheel))
    return case.found(
        Code.IMPORT_FAILED,
        f"{where} needs {package}, and {package} finds no {known.thing} on this worker",
        f"{package} is {known.what}.",
        *hints,
    )


_RECOGNISERS: list[Callable[[Case, ExceptionInfo], Finding | None]] = [
    renamed_module,
    hidden_module,
    hidden_folder,
    windows_only,
    _circular,
    _of_pythons_own,
    _library_change,
    package_change,
    _system_library,
    binary_failure,
    newer_feature,
    misspelt_extra,
    misled_library,
    _not_packaged,
    _no_submodule,
    missing_module_finding,
    _unused,
    missing_name_finding,
    _relative_import,
    optional_package,
]
