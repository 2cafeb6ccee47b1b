"""Recognises that what is missing would have come with an extra: one that the bundle does not ask
for, or whose name it misspells.

uv passes over an extra that a distribution does not have, and warns of it.
"""

import re

from packaging.utils import canonicalize_name

from bundle_protocol.near_names import nearest
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.dependencies import declared_requirements, installed_version
from runner.diagnosis.imports.import_errors import missing_module
from runner.diagnosis.knowledge.distribution_names import (
    distribution_named,
    distribution_of,
    same_distribution,
)
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import one_line

_MOST_SHOWN = 200
_FOR_DEVELOPERS = re.compile(r"dev|test|doc|lint|bench")


def misspelt_extra(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find the extra that was meant by one that a dependency does not have."""
    missing = missing_module(exception)
    if missing is None and exception.type not in ("ImportError", "ModuleNotFoundError"):
        return None
    for written, requirement in declared_requirements(case):
        offered = case.extras.get(canonicalize_name(requirement.name), {})
        asked = [one for one in requirement.extras if canonicalize_name(one) not in offered]
        brings = [extra for extra, needs in offered.items() if missing and _has(needs, missing)]
        passes = any(
            same_distribution(distribution_named(package), requirement.name)
            for frame in exception.traceback
            if (package := package_of(frame.file))
        )
        for extra in asked if offered else ():
            near = nearest(extra, offered)
            meant = near if near and (passes or near[0] in brings) else brings
            if len(meant) != 1:
                continue
            word = re.compile(rf"(?<=[\[,\s]){re.escape(extra)}(?=[\],\s])")
            after = word.sub(meant[0], written, count=1)
            version = installed_version(case, requirement.name) or ""
            place = case.place(exception)
            named = f"{requirement.name}[{extra}]"
            edit = case.replaced_requirement(written, after)
            return case.found(
                Code.MODULE_NOT_FOUND,
                f"{place} needs what {requirement.name}[{meant[0]}] brings; the bundle asks for"
                f" {named}, and {requirement.name} {version} has no extra of that name",
                "An extra that a distribution does not have is passed over when it is installed."
                f" It has {one_line(', '.join(offered), _MOST_SHOWN)}.",
                Hint(f"did you mean {requirement.name}[{meant[0]}]?", edit=edit),
            )
    return None


def extra_hint(case: Case, library: str, missing: str) -> Hint | None:
    """The hint to ask a dependency, which imports what is missing, for the extra that brings it.

    :param library: the distribution that imports it.
    """
    for written, requirement in declared_requirements(case):
        if requirement.url or not same_distribution(requirement.name, library):
            continue
        offered = case.extras.get(canonicalize_name(requirement.name), {})
        brings = [
            (len(needs), extra)
            for extra, needs in offered.items()
            if _has(needs, missing) and not _FOR_DEVELOPERS.search(extra)
        ]
        if not brings or requirement.marker:
            return None
        extra = min(brings)[1]
        extras = ",".join(sorted({*requirement.extras, extra}))
        after = f"{requirement.name}[{extras}]{requirement.specifier}"
        title = f"ask for {requirement.name}[{extra}], which brings it"
        return Hint(title, edit=case.replaced_requirement(written, after))
    return None


def _has(needs: list[str], module: str) -> bool:
    names = (distribution_of(module), module.partition(".")[0])
    return any(name and same_distribution(need, name) for need in needs for name in names)
