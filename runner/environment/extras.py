"""Reads which extras the distributions of an environment have, by their metadata."""

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from runner.diagnosis.knowledge.requirement_text import read_requirement

_EXTRA = re.compile(r"""extra == ['"]([^'"]{1,100})['"]""")


def extras_of(venv: Path, requirements: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """The extras of the distributions that requirements ask for, and what each brings.

    :returns: canonical names throughout (PEP 503, PEP 685).
    """
    sites = [str(site) for site in venv.glob("lib/python*/site-packages")]
    found = dict[str, dict[str, list[str]]]()
    for name in {one.name for one in filter(None, map(read_requirement, requirements))}:
        for distribution in metadata.distributions(name=name, path=sites):
            needs = list(filter(None, map(read_requirement, distribution.requires or ())))
            extras = distribution.metadata.get_all("Provides-Extra") or []
            found[canonicalize_name(name)] = {
                canonicalize_name(extra): [
                    canonicalize_name(need.name)
                    for need in needs
                    if canonicalize_name(extra)
                    in map(canonicalize_name, _EXTRA.findall(str(need.marker)))
                ]
                for extra in extras
            }
    return found
