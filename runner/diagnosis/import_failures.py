"""Recognises why Python code could not be imported: what Python lost, what the bundle hides."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import PurePosixPath

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from runner.diagnosis.binary_failures import binary_failure
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    bundle_argument,
    exec_command,
    place_of,
    short_path,
    telling_frame,
)
from runner.diagnosis.codes import Code
from runner.diagnosis.newer_syntax import is_older
from runner.diagnosis.report import Edit, ExceptionInfo, Frame, Hint
from runner.diagnosis.stdlib_changes import (
    ADDED_MODULES,
    ADDED_NAMES,
    REMOVED_MODULES,
    REMOVED_NAMES,
    Change,
)
from runner.diagnosis.text import one_line, printable
from runner.events import Phase

# Names are bounded, so that no search in a long message is quadratic.
_NO_NAME = re.compile(
    r"cannot import name '([\w.]{1,200})' from (?:partially initialized module )?'([\w.]{1,200})'"
)
_NO_ATTRIBUTE = re.compile(
    r"module '([\w.]{1,200})'(?: from '[^']{1,4096}')? has no attribute '([\w.]{1,200})'"
)


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
    """A file of the bundle that has the name of a module of Python's or of a package."""
    module = _module_named(exception)
    if module is None:
        return None
    top = module.partition(".")[0]
    file = _importable(case, top) or _path_in_bundle(case, exception)
    if file is None or not _is_file_of(file, top):
        return None
    missing = str(exception.attributes.get("name") or "")
    if exception.type == "ModuleNotFoundError" and "is not a package" not in exception.message:
        return None
    in_library = top in sys.stdlib_module_names
    itself = [frame for frame in _imports(case, exception) if short_path(case, frame.file) == file]
    if in_library:
        hidden = f"the standard library's {top}"
    elif _is_installed(case, top) or missing.startswith(f"{top}.") or len(itself) > 1:
        hidden = f"the installed package {top}"
    elif itself and f"import {top}" in (itself[-1].text or ""):
        hidden = f"the package {top} that it means to import"
    else:
        return None
    renamed = file.replace(top, f"my_{top}", 1)
    return Finding(
        phase=phase,
        code=Code.IMPORT_FAILED,
        summary=f"{file} of the bundle hides {hidden}",
        explanation=f"Every `import {top}` finds the bundle's file first, in libraries too; what"
        f" failed is: {one_line(printable(exception.message), 140)}",
        hints=[
            Hint(
                title="give the file another name, and correct the imports that mean it",
                command=f"cd {bundle_argument(case)} && mv {shlex.quote(file)}"
                f" {shlex.quote(renamed)}",
            )
        ],
    )


def _circular(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Modules of the bundle that import each other."""
    message, module = exception.message, _module_named(exception)
    # 3.13 says "consider renaming" in place of "circular import" where an attribute is missing.
    telling = "circular import" in message or "consider renaming" in message
    if module is None or not telling:
        return None
    imports = _imports(case, exception)
    first = next((i for i, frame in enumerate(imports) if _is_file_of(frame.file, module)), None)
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


def _removed_module(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    name = _missing_module(exception)
    changed = _lookup(REMOVED_MODULES, name)
    if name is None or changed is None:
        return None
    module, change = changed
    if _importable(case, module) or is_older(_python(case, change.version), change.version):
        return None
    return _library_changed(
        case, phase, exception, module, change, f"{module!r} was removed in Python {change.version}"
    )


def _added_module(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    name = _missing_module(exception)
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
    pair = _missing_name(exception)
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
    frame = telling_frame(case, exception)
    where = place_of(case, frame)
    hints = []
    if change.instead:
        title = f"use {change.instead} in place of {what}"
        hints.append(Hint(title=title + (f", in {where}" if where else "")))
    if change.package:
        hints.append(_declare(case, change.package, f"install {change.package}, which stands in"))
    specifier = f">={change.version}" if added else f"<{change.version}"
    kind = "newer" if added else "older"
    hints.append(requires_python_hint(case, specifier, f"or keep to an {kind} Python"))
    package = _package_of(frame)
    explanation = f"{where} needs it." if where else ""
    if package:
        explanation += (
            f" That is in {package}, which is not made for this Python: another release may be."
        )
        command = f"uv lock --project {bundle_argument(case)} --upgrade-package {package}"
        hints.insert(0, Hint(title=f"upgrade {package}", command=command))
    is_module = exception.type == "ModuleNotFoundError"
    return Finding(
        phase=phase,
        code=Code.MODULE_NOT_FOUND if is_module else Code.IMPORT_FAILED,
        summary=words,
        explanation=explanation.strip(),
        hints=hints,
    )


def _not_packaged(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """A module that the bundle has, and that Python does not find."""
    name = _missing_module(exception)
    if name is None:
        return None
    frame = telling_frame(case, exception)
    asking = short_path(case, frame.file) if frame else ""
    file = _somewhere(case, name.replace(".", "/"), asking)
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
        root = PurePosixPath(file).parents[name.count(".")].as_posix()
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


def _declared_for_elsewhere(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """A dependency that is declared with a marker (PEP 508) which does not hold here."""
    name = _missing_module(exception)
    if name is None:
        return None
    top = name.partition(".")[0]
    declared = []
    for text in case.bundle_dependencies:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) == canonicalize_name(top):
            declared.append(requirement)
    # One without a marker is installed: its module has another name, or it is damaged.
    if not declared or any(requirement.marker is None for requirement in declared):
        return None
    marker = " / ".join(str(requirement.marker) for requirement in declared)
    without = ", ".join(
        f"{requirement.name}{requirement.specifier}" for requirement in declared[:1]
    )
    return Finding(
        phase=phase,
        code=Code.MODULE_NOT_FOUND,
        summary=f"{top!r} is declared for other environments only: {one_line(marker, 100)}",
        explanation="Its marker does not hold for this platform and this Python, so it was not"
        " installed; the code imports it all the same.",
        hints=[
            Hint(
                title="declare it without the marker, or guard the import in the same way",
                edit=Edit(file="pyproject.toml", before=str(declared[0]), after=without),
            )
        ],
    )


_RECOGNISERS: list[Callable[[Case, Phase, ExceptionInfo], Finding | None]] = [
    _shadowed,
    _circular,
    _removed_module,
    _added_module,
    _changed_name,
    binary_failure,
    _not_packaged,
    _declared_for_elsewhere,
]


def requires_python_hint(case: Case, specifier: str, title: str) -> Hint:
    """The line of pyproject.toml that narrows the Pythons the bundle accepts."""
    declared = case.bundle.requires_python if case.bundle else None
    after = f"{declared},{specifier}" if declared else specifier
    return Hint(
        title=title,
        command=exec_command(case, f"--python {shlex.quote(specifier)}"),
        edit=Edit(
            file="pyproject.toml",
            before=f'requires-python = "{declared}"' if declared else None,
            after=f'requires-python = "{after}"',
        ),
    )


def _declare(case: Case, package: str, title: str) -> Hint:
    if case.environment and case.environment.requirements_from == "requirements.txt":
        return Hint(title=title, edit=Edit(file="requirements.txt", after=package))
    command = f"uv add --project {bundle_argument(case)} {package}"
    return Hint(title=title, command=command)


def _python(case: Case, unknown: str) -> str:
    """The child's version."""
    return case.child.python.version if case.child and case.child.python else unknown


def _missing_module(exception: ExceptionInfo) -> str | None:
    if exception.type != "ModuleNotFoundError":
        return None
    return str(exception.attributes.get("name") or "") or None


def _missing_name(exception: ExceptionInfo) -> tuple[str, str] | None:
    """The module and the name that it has not."""
    if exception.type == "ImportError" and (found := _NO_NAME.search(exception.message)):
        return found[2], found[1]
    if exception.type == "AttributeError" and (found := _NO_ATTRIBUTE.search(exception.message)):
        return found[1], found[2]
    return None


def _module_named(exception: ExceptionInfo) -> str | None:
    """The module that was found and does not hold what was asked of it."""
    pair = _missing_name(exception)
    return pair[0] if pair else _missing_module(exception)


def _lookup(table: dict[str, Change], name: str | None) -> tuple[str, Change] | None:
    """The entry of a module or of the package it is in."""
    parts = name.split(".")[:4] if name else []
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next(((name, table[name]) for name in names if name in table), None)


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


def _is_file_of(file: str, module: str) -> bool:
    path = PurePosixPath(file)
    parts = path.parent.parts if path.name == "__init__.py" else (*path.parent.parts, path.stem)
    names = tuple(module.split("."))
    return parts[-len(names) :] == names


def _importable(case: Case, top: str) -> str | None:
    """The bundle's file that an import of this name finds: at its top, in src, beside the wire."""
    wire = (case.bundle.entry_point if case.bundle else None) or ""
    folder = PurePosixPath(wire.partition(":")[0]).parent
    names = {
        (PurePosixPath(root) / file).as_posix()
        for root in ("", "src", folder)
        for file in (f"{top}.py", f"{top}/__init__.py")
    }
    return next((file for file in case.bundle_files if file in names), None)


def _path_in_bundle(case: Case, exception: ExceptionInfo) -> str | None:
    """The file that Python says it took for the module, where that is the bundle's."""
    path = str(exception.attributes.get("path") or "")
    if not path:
        found = re.search(r"consider renaming '([^']{1,4096})'", exception.message)
        path = found[1] if found else ""
    if not path or not case.bundle:
        return None
    if not PurePosixPath(path).is_relative_to(case.bundle.path):
        return None
    return short_path(case, path)


def _is_installed(case: Case, top: str) -> bool:
    return not {top, f"{top}.py"}.isdisjoint(case.installed or ())


def _somewhere(case: Case, path: str, asking: str) -> str | None:
    """Where in the bundle a module's file or folder is, other than in the file that asks for it."""
    files = set(case.bundle_files)
    endings = (f"/{path}.py", f"/{path}/__init__.py")
    found = []
    for file in case.bundle_files:
        if file == asking or not f"/{file}".endswith(endings):
            continue
        root = f"/{file}".rpartition(f"/{path}")[0].lstrip("/")
        # A module inside a package has its own name there: mypackage/torch.py is no torch.
        if f"{root}/__init__.py" not in files or root == str(PurePosixPath(asking).parent):
            found.append(file)
    if found:
        return min(found, key=lambda file: (file.count("/"), file))
    # A namespace package (PEP 420) has no file of its own.
    folders = (f"{path}/", f"src/{path}/")
    return next(
        (
            file.rpartition("/")[0]
            for file in case.bundle_files
            if file.startswith(folders) and file.endswith(".py")
        ),
        None,
    )


def _package_of(frame: Frame | None) -> str | None:
    """The installed package that a frame is in."""
    parts = PurePosixPath(frame.file).parts if frame else ()
    if "site-packages" not in parts:
        return None
    rest = parts[parts.index("site-packages") + 1 :]
    return rest[0].removesuffix(".py") if rest else None


def _move_edit(case: Case, frame: Frame) -> Edit | None:
    if not frame.text or "import" not in frame.text:
        return None
    text = one_line(frame.text, 160)
    return Edit(file=short_path(case, frame.file), before=text, after=f"    {text}")
