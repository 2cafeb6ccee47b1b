"""The bundle's dependencies: those that it declares, and those that its environment has."""

import re
from collections.abc import Iterator

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from runner.diagnosis.case import Case
from runner.diagnosis.knowledge.distribution_names import same_distribution
from runner.diagnosis.knowledge.requirement_text import extras_text, read_requirement
from runner.diagnosis.pyproject_edits import PYPROJECT
from runner.diagnosis.report.model import Edit, Hint

# PEP 427: a hyphen in a name is written as an underscore.
_DIST_INFO = re.compile(r"([\w.]+)-([\w.!+]+)\.dist-info")


def declared_requirements(case: Case) -> Iterator[tuple[str, Requirement]]:
    """The requirements that the bundle declares, as they are written and as they are read."""
    for text in case.bundle_dependencies:
        if (requirement := read_requirement(text)) is not None:
            yield text, requirement


def is_installed(case: Case, top: str) -> bool:
    """Tell whether the environment has a module of that name."""
    return not {top, f"{top}.py"}.isdisjoint(case.installed)


def installed_version(case: Case, name: str) -> str | None:
    """The version of a distribution that the environment has."""
    for entry in case.installed:
        found = _DIST_INFO.fullmatch(entry)
        if found is not None and same_distribution(found[1], name):
            return found[2]
    return None


def is_pinned(case: Case, name: str) -> bool:
    """Tell whether the bundle itself asks for one version of a distribution."""
    return any(
        same_distribution(requirement.name, name)
        and any(clause.operator in ("==", "===") for clause in requirement.specifier)
        for _, requirement in declared_requirements(case)
    )


def require(case: Case, distribution: str, clause: str, title: str, *also: str) -> Hint:
    """The requirement of one more clause, in the place of the bundle's own where it has one.

    :param clause: ``<2`` or ``>1.0`` (PEP 440); a local label (``+cpu``) is left out.
    :param also: requirements that it needs beside it.
    """
    clause = clause.partition("+")[0]
    plain = case.declare_hint(title, f"{distribution}{clause}", *also)
    for text, requirement in declared_requirements(case):
        if not same_distribution(requirement.name, distribution) or requirement.marker:
            continue
        kept = _kept(requirement.specifier, clause) or _release_before(clause)
        after = f"{requirement.name}{extras_text(requirement)}{','.join([*kept, clause])}"
        edit = case.replaced_requirement(text, after, *also)
        return Hint(title, command=plain.command, edit=edit)
    return plain


def upgrade(case: Case, distribution: str, title: str) -> Hint:
    """Ask for a newer release of a dependency, or of a dependency's dependency."""
    if case.declaring_file() != PYPROJECT:
        version = installed_version(case, distribution)
        try:
            # A local label (2.9.1+cpu) has no place in such a clause.
            return require(case, distribution, f">{Version(version or '').public}", title)
        except InvalidVersion:
            return Hint(title)
    command = f"uv lock --project {case.bundle_argument()} --upgrade-package {distribution}"
    return Hint(title, command=command)


def another_release(case: Case, distribution: str, version: str) -> list[Hint]:
    """Ask for a release that has what the installed one has not: which, is not known here.

    A newer one is asked for where something keeps this one back; else it is the newest.
    """
    first = first_of_series(version)
    title = (
        f"ask for the {distribution} that the code was written for, if that is older than"
        f" {first}: its release notes say what went, and when"
    )
    if not is_kept_back(case, distribution):
        return [require(case, distribution, f"<{first}", title)]
    return [
        upgrade(case, distribution, f"take a newer {distribution}, if a newer one has it"),
        require(case, distribution, f"<{first}", f"or {title}"),
    ]


def first_of_series(version: str) -> str:
    """The first of the releases that a version is of: ``3.1`` of 3.1.6, and ``3`` of 3.0.4."""
    major, minor = (*Version(version).release, 0)[:2]
    if not (major or minor):
        return Version(version).public
    return f"{major}.{minor}" if minor else str(major)


def is_kept_back(case: Case, distribution: str) -> bool:
    """Tell whether a newer release than the one that is installed may be asked for."""
    if case.environment is not None and case.environment.requirements_from == "uv.lock":
        return True
    own = [
        requirement
        for _, requirement in declared_requirements(case)
        if same_distribution(requirement.name, distribution)
    ]
    operators = {clause.operator for one in own for clause in one.specifier}
    # Of those below a bound it is the newest, and above it the author wants none.
    return not own or (operators.isdisjoint({"<", "<="}) and not operators <= {">", ">=", "!="})


def from_source(case: Case, packages: list[str]) -> Hint:
    """How uv is told to build packages here, where the bundle declares its dependencies."""
    if case.declaring_file() == "requirements.txt":
        lines = "\n".join(f"--no-binary {package}" for package in packages)
        edit: Edit | None = Edit(file="requirements.txt", after=lines)
    else:
        edit = case.pyproject_text().with_item("tool.uv", "no-binary-package", *packages)
    return Hint(
        f"build {', '.join(packages)} from source on this machine, for its own processor", edit=edit
    )


def _release_before(clause: str) -> list[str]:
    """The clause by which ``<1.14`` is 1.13, and not what is so old that it fits anything."""
    found = re.fullmatch(r"<(\d+)\.([1-9]\d*)(?:\.0)?", clause)
    return [f">={found[1]}.{int(found[2]) - 1}"] if found else []


def _kept(specifier: SpecifierSet, clause: str) -> list[str]:
    """The clauses that can hold beside another one."""
    bound = Version(clause[1:])
    beside = (">=", ">", "!=") if clause.startswith("<") else ("<", "<=", "!=")

    def fits(version: Version) -> bool:
        return version < bound if clause.startswith("<") else version > bound

    clauses = [
        one
        for one in specifier
        if one.operator in beside and fits(Version(one.version.removesuffix(".*")))
    ]
    return sorted(map(str, clauses), reverse=True)
