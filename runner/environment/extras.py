"""Reads which extras the distributions of an environment have, by their metadata."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_EXTRA = re.compile(r"""extra == ['"]([^'"]{1,100})['"]""")


def extras_of(venv: Path, requirements: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """The extras of the distributions that requirements ask for, and what each brings.

    :returns: canonical names throughout (PEP 503, PEP 685).
    """
    sites = [str(site) for site in venv.glob("lib/python*/site-packages")]
    found = dict[str, dict[str, list[str]]]()
    for name in {one.name for one in _readable(requirements)}:
        for distribution in metadata.distributions(name=name, path=sites):
            needs = list(_readable(distribution.requires or ()))
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


def _readable(requirements: Iterable[str]) -> Iterator[Requirement]:
    for text in requirements:
        with suppress(InvalidRequirement, RecursionError):
            yield Requirement(text)
