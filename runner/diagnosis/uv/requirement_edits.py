"""The bundle's own requirements, as they are written, and edits of them."""

import re

from packaging.specifiers import SpecifierSet

from runner.diagnosis.knowledge.distribution_names import same_distribution
from runner.diagnosis.knowledge.requirement_text import extras_text, read_requirement
from runner.diagnosis.report.model import Edit
from runner.diagnosis.uv.derivation import Edge
from runner.diagnosis.uv.error import FailedUv, UvFailure
from runner.diagnosis.uv.hints import uv_setting


def requirement_for(failure: UvFailure, name: str) -> str | None:
    """The bundle's own requirement for a package, as written."""
    for text in failure.dependencies:
        found = re.match(r"[A-Za-z0-9][\w.-]*", text)
        if found and same_distribution(found.group(), name):
            return text
    return None


def written_requirement(failure: UvFailure, edge: Edge) -> str:
    """The bundle's requirement as its author wrote it, where that is known."""
    same: list[str] = []
    for text in failure.dependencies:
        requirement = read_requirement(text)
        if requirement and same_distribution(requirement.name, edge.name.partition("[")[0]):
            same.append(text)
            if requirement.specifier == SpecifierSet(edge.specs[0]):
                return text
    return same[0] if len(same) == 1 else edge.text


def without_requirement(uv: FailedUv, written: str) -> Edit | None:
    """The edit that takes one of the bundle's requirements out."""
    if uv.failure.file == "requirements.txt":
        return Edit(file=uv.failure.file, before=written, after="")
    return uv.case.pyproject_text().without("project", "dependencies", written)


def specified(written: str, specifier: str) -> str:
    """A requirement as written, with another specifier."""
    requirement = read_requirement(written)
    if requirement is None:
        return written
    marker = f"; {requirement.marker}" if requirement.marker else ""
    return f"{requirement.name}{extras_text(requirement)}{specifier}{marker}"


def another_version(uv: FailedUv, name: str, version: str = "", sign: str = "!=") -> Edit | None:
    """The edit that asks for any version but one: the one that is pinned, or else that uv takes.

    :param sign: ``>`` for one that came after it.
    :returns: none where the bundle does not ask for it, or uv has the choice already.
    """
    written = requirement_for(uv.failure, name) or ""
    pinned = re.search(r"==\s*([\w.!+]+)\s*(?:;|$)", written)
    version = pinned[1] if pinned else version
    if not written or not version:
        return None
    return uv.case.replaced_requirement(written, specified(written, f"{sign}{version}"))


def wheel_edit(uv: FailedUv, name: str, version: str = "") -> Edit | None:
    """The edit by which a package comes as a wheel; where it is pinned, as a later version.

    :param version: that of the wheel, where it is known.
    """
    written = requirement_for(uv.failure, name)
    if written is not None and version:
        return uv.case.replaced_requirement(written, specified(written, f"=={version}"))
    edit = another_version(uv, name, sign=">")
    if edit is None and uv.failure.file == "requirements.txt":
        return Edit(file=uv.failure.file, after=f"--only-binary {name}")
    return edit or uv_setting(uv.case, "no-build-package", [name])


def renamed(written: str, name: str) -> str:
    """A requirement as written, of another distribution, whose versions are others."""
    requirement = read_requirement(written)
    return f"{name}; {requirement.marker}" if requirement and requirement.marker else name
