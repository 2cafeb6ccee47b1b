"""Recognises what a module that Python does not find is missing from: the index, the bundle, a
distribution that is installed, what is declared for elsewhere."""

import re
from pathlib import PurePosixPath

from bundle_protocol.near_names import nearest
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.bundle_modules import importable_file
from runner.diagnosis.imports.dependencies import (
    another_release,
    declared_requirements,
    first_of_series,
    installed_version,
    is_installed,
    require,
    upgrade,
)
from runner.diagnosis.imports.import_errors import missing_module, missing_name
from runner.diagnosis.imports.misspelt_modules import misspelt_module, saved_as_other
from runner.diagnosis.imports.not_installed import Missing, not_installed
from runner.diagnosis.knowledge.distribution_names import (
    distribution_named,
    distribution_of,
    modules_named_otherwise,
    same_distribution,
)
from runner.diagnosis.knowledge.requirement_text import extras_text
from runner.diagnosis.missing_names import did_you_mean
from runner.diagnosis.report.asked import task_info
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import raising_package
from runner.diagnosis.report.model import Edit, ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable

_EXTRA = re.compile(r"""extra == "([^"]{1,100})\"""")
_GROUP = re.compile(r""""([^"]{1,100})" in dependency_groups""")
_IMPORT = re.compile(
    r"\s*(?:from\s+([\w.]{1,200})\s+import\s+\(?\s*(\w{1,100})?|import\s+([\w.]{1,200}))"
)


def missing_module_finding(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Why a module is not found; ``None`` where the exception does not say that one is not."""
    missing = _missing(exception)
    if missing is None:
        return None
    return (
        _not_compiled(case, exception, missing)
        or _not_in_bundles_package(case, exception, missing)
        or _declared_for_elsewhere(case, missing)
        or _not_in_what_is_installed(case, exception, missing)
        or misspelt_module(case, exception, missing.top)
        or _named_by_entry_point(case, exception, missing)
        or not_installed(case, exception, missing)
    )


def _missing(exception: ExceptionInfo) -> Missing | None:
    name = missing_module(exception)
    if name is not None:
        return Missing(name, _asked(exception, name))
    # In a package that distributions share (PEP 420), Python misses a name and not a module.
    pair = missing_name(exception)
    if pair is not None and exception.type == "ImportError":
        name = ".".join(pair)
        if distribution_of(name) not in (None, distribution_of(pair[0])):
            return Missing(name, name)
    return None


def _asked(exception: ExceptionInfo, name: str) -> str:
    """The whole of what the line asks for: of ``google.cloud``, Python only misses ``google``."""
    text = exception.traceback[-1].text if exception.traceback else None
    found = _IMPORT.match(text or "")
    if found is None:
        return name
    asked = f"{found[1]}.{found[2]}" if found[1] and found[2] else found[1] or found[3] or ""
    return asked if asked.startswith(f"{name}.") else name


def _not_compiled(case: Case, exception: ExceptionInfo, missing: Missing) -> Finding | None:
    """The bundle has a module as source in another language."""
    # A module cannot be called as its source often is: ising-model.cpp.
    path = re.escape(missing.name.replace(".", "/")).replace("_", "[-_]")
    source = re.compile(rf"(?:.*/)?{path}\.(pyx|c|cc|cpp|f|f90|f95|rs)")
    found = [one for file in case.bundle_files if (one := source.fullmatch(file))]
    if len(found) != 1:
        return None
    file, kind = found[0][0], found[0][1]
    where = case.place(exception)
    how = f"in setup.py, ext_modules=[Extension({missing.name!r}, [{file!r}])]"
    if kind == "pyx":
        how = f"in setup.py, ext_modules=cythonize([{file!r}]), with Cython in [build-system]"
    elif kind.startswith("f"):
        how = "by meson-python, which runs f2py; setuptools knows no Fortran"
    elif any(PurePosixPath(one).name == "CMakeLists.txt" for one in case.bundle_files):
        how = "by scikit-build-core, which runs its CMakeLists.txt"
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{where} imports {missing.name!r}, which is {file} in the bundle, and is not compiled",
        "A module in another language is compiled where the bundle is installed, by its"
        " build; what is compiled on one machine suits no other.",
        Hint(f"have the bundle's build compile it: {how}"),
    )


def _not_in_bundles_package(
    case: Case, exception: ExceptionInfo, missing: Missing
) -> Finding | None:
    """A package of the bundle has no such module."""
    file = importable_file(case, missing.top)
    if file is None or missing.name == missing.top:
        return None
    where = case.place(exception, "")
    folder = PurePosixPath(file).parent
    package = (folder.parent / missing.name.rpartition(".")[0].replace(".", "/")).as_posix()
    if not file.endswith("/__init__.py"):
        package = folder.as_posix()
    beside = [
        PurePosixPath(other).stem
        for other in case.bundle_files
        if other.endswith(".py") and PurePosixPath(other).parent.as_posix() == package
    ]
    wanted = missing.name.rpartition(".")[2]
    frame = case.telling_frame(exception)
    if frame is not None and (other := saved_as_other(case, frame, wanted)) is not None:
        return other
    close = nearest(wanted[:100], beside[:1000])
    corrected = f"{missing.name.rpartition('.')[0]}.{close[0]}" if close else ""
    hint = (
        Hint(
            f"did you mean {corrected}?",
            edit=case.edit_of(case.telling_frame(exception), re.escape(missing.name), corrected),
        )
        if close
        else Hint(f"add {wanted}.py to the bundle, or correct the import in {where or file}")
    )
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{where or 'the bundle'} imports {missing.name!r}, which the bundle's own"
        f" {missing.top} has not",
        f"`{missing.top}` is {file} of the bundle.",
        hint,
    )


def _declared_for_elsewhere(case: Case, missing: Missing) -> Finding | None:
    """A dependency that is declared with a marker (PEP 508) which does not hold here."""
    written = [one for one in declared_requirements(case) if _is_for(one[1].name, missing)]
    declared = [requirement for _, requirement in written]
    # One without a marker is installed: its module has another name, or it is damaged.
    if not declared or any(requirement.marker is None for requirement in declared):
        return None
    name = declared[0].name
    if installed_version(case, name) is not None:
        return None
    markers = " / ".join(str(requirement.marker) for requirement in declared)
    plain = f"{name}{extras_text(declared[0])}{declared[0].specifier}"
    if extra := _EXTRA.search(markers):
        of, why = f"in the extra {extra[1]!r} only", "Extras are not installed for tasks"
    elif group := _GROUP.search(markers):
        of = f"in the dependency group {group[1]!r} only"
        why = "Dependency groups are for development, and are not installed for tasks"
    else:
        return case.found(
            Code.MODULE_NOT_FOUND,
            f"{name!r} is declared for other environments only: {one_line(markers, 100)}",
            "Its marker does not hold for this platform and this Python, so it was not"
            f" installed; the code imports {missing.name!r} all the same.",
            Hint(
                "declare it without the marker, or guard the import in the same way",
                edit=case.replaced_requirement(written[0][0], plain),
            ),
        )
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{name!r} is declared {of}, and the bundle's code imports {missing.name!r}",
        f"{why}: what the code needs to run is among [project] dependencies.",
        case.declare_hint("declare it there", plain),
    )


def _is_for(requirement: str, missing: Missing) -> bool:
    return any(same_distribution(requirement, name) for name in (missing.distribution, missing.top))


def _not_in_what_is_installed(
    case: Case, exception: ExceptionInfo, missing: Missing
) -> Finding | None:
    """The distribution is there, and the module is not."""
    name = missing.distribution
    version = installed_version(case, name)
    if version is None:
        return None
    frame = case.telling_frame(exception)
    where = case.place_of(frame) or "the bundle"
    modules = [module for module in modules_named_otherwise(name) if is_installed(case, module)]
    if modules and frame is not None and not is_installed(case, missing.top):
        return case.found(
            Code.MODULE_NOT_FOUND,
            f"{where} imports {missing.name!r}; what {name} brings is called {modules[0]}",
            f"{name} {version} is installed. A distribution's name on the index is not"
            " always its module's.",
            Hint(
                f"import {' or '.join(modules)}",
                edit=Edit(
                    file=case.short_path(frame.file),
                    before=one_line(frame.text, 160) if frame.text else None,
                    after=f"import {modules[0]}",
                ),
            ),
        )
    hints = another_release(case, name, version)
    if not is_installed(case, missing.top):
        hints = [
            Hint(f"see what {name} calls its modules: none that is installed here is {missing.top}")
        ]
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{where} imports {missing.name!r}, which {name} {version}, that is installed, has not",
        f"The environment has {name} {version}, and there is no {missing.name} in it:"
        " another release has it, or calls it otherwise.",
        *hints,
    )


def missing_name_finding(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A name that a module of the installed release does not have."""
    pair = missing_name(exception)
    if pair is None or exception.type != "ImportError" or "partially" in exception.message:
        return None
    module, name = pair
    distribution = distribution_named(module.partition(".")[0])
    version = installed_version(case, distribution)
    if version is None:
        return None
    where = case.place(exception)
    asking = raising_package(exception)
    if asking is not None and not same_distribution(distribution_named(asking), distribution):
        return _too_new_for(case, where, pair, distribution_named(asking), distribution)
    return case.found(
        Code.IMPORT_FAILED,
        f"{where} imports {name!r} from {module}, which {distribution} {version}, that is"
        " installed, has not",
        "Another release has it, or it is misspelt.",
        *did_you_mean(case, exception),
        *another_release(case, distribution, version),
    )


def _too_new_for(
    case: Case, where: str, pair: tuple[str, str], asking: str, distribution: str
) -> Finding:
    """A package asks another one for a name that a newer release of that one has not."""
    version = installed_version(case, distribution) or ""
    release = installed_version(case, asking) or ""
    older = require(
        *(case, distribution, f"<{(bound := first_of_series(version))}"),
        f"ask for {distribution}<{bound}: {asking} was made for an older one",
    )
    return case.found(
        Code.IMPORT_FAILED,
        f"{where} uses {asking} {release}, which imports {pair[1]!r} from {pair[0]};"
        f" {distribution} {version}, that is installed, has not",
        f"{asking} {release} was made for an older {distribution}, and does not say so:"
        " uv takes the newest that it allows.",
        older,
        upgrade(case, asking, f"or take a newer {asking}, which knows this one"),
    )


def _named_by_entry_point(case: Case, exception: ExceptionInfo, missing: Missing) -> Finding | None:
    """The code imports what the task's entry point names: no package of a stranger's is meant."""
    asked = task_info(case.task).entrypoint if case.task is not None else None
    frame = case.telling_frame(exception)
    named = re.match(rf"{re.escape(missing.top)}\b", asked or "")
    if asked is None or not named or frame is None or missing.top in (frame.text or ""):
        return None
    return case.found(
        Code.MODULE_NOT_FOUND,
        f"{case.place_of(frame)} imports {missing.name!r} for the entry point"
        f" {printable(asked)!r}, and the bundle has no such module",
        "The module's name comes from the entry point that was asked for.",
        by_hand(
            "ask for an entry point of a module that the bundle has",
            f"modelops-runner exec {case.bundle_argument()} ENTRYPOINT",
        ),
    )
