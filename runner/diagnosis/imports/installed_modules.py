"""The modules of the bundle's environment, as looked up after an import had failed."""

import re

from runner.diagnosis.case import Case
from runner.diagnosis.knowledge.distribution_names import same_distribution

# PEP 427: a hyphen in a name is written as an underscore.
_DIST_INFO = re.compile(r"([\w.]+)-([\w.!+]+)\.dist-info")


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
