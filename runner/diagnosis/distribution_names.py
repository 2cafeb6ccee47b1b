"""What a module is called on the package index."""

import functools
import re

from packaging.utils import canonicalize_name

from runner.diagnosis.import_names import IMPORT_NAMES

# A child names the module: what is looked up is no longer than any real one.
_MAX_PARTS = 6


def distribution_of(module: str) -> str | None:
    """The distribution that brings a module, where it is known to have another name.

    :param module: as it is imported: ``yaml``, ``google.cloud.storage``.
    :returns: its name as its authors write it: ``PyYAML``, ``google-cloud-storage``.
    """
    parts = module.split(".")[:_MAX_PARTS]
    for count in range(len(parts), 0, -1):
        exact = _names().get(".".join(parts[:count]))
        if exact is not None:
            return exact
        pattern = _names().get(".".join([*parts[: count - 1], "*"])) if count > 1 else None
        last = parts[count - 1]
        if pattern is not None and re.fullmatch(r"[A-Za-z]\w{0,60}", last, re.ASCII):
            return pattern.replace("*", last.strip("_").replace("_", "-"))
    return None


def same_distribution(one: str, other: str) -> bool:
    """Whether two names are the same by the rules of the index (PEP 503)."""
    return canonicalize_name(one) == canonicalize_name(other)


@functools.cache
def _names() -> dict[str, str]:
    lines = (line.partition(" ") for line in IMPORT_NAMES.strip().splitlines())
    return {module: distribution for module, _, distribution in lines}
