"""Finds the name that a module's distribution has on the package index."""

import functools
import re

from packaging.utils import canonicalize_name

from runner.diagnosis.knowledge.import_names import IMPORT_NAMES

# Of several with the same module, why this one.
_CHOICES = {
    "cupy-cuda12x": "There is one for each CUDA: cupy-cuda11x, cupy-cuda12x, cupy-cuda13x.",
    "faiss-cpu": "(faiss-gpu needs a GPU.)",
    "mysqlclient": "(It is built from source: PyMySQL needs no compiler.)",
    "opencv-python-headless": "(opencv-python has the same module and needs a display's libraries,"
    " such as libGL, which workers have not.)",
    "psycopg2-binary": "(psycopg2 itself is built from source, with PostgreSQL's pg_config.)",
    "GDAL": "(It is built from source, upon the system's libgdal: its version must be that of"
    " `gdal-config --version`.)",
}
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
            return pattern.replace("*", _plain(last))
    return None


def distribution_named(module: str) -> str:
    """Return what to ask the index for, for the module or package at the top of an import."""
    return distribution_of(module) or module


def modules_named_otherwise(distribution: str) -> list[str]:
    """The modules at the top of a distribution that are known to have another name than it."""
    return [
        module
        for module, name in _names().items()
        if "." not in module and same_distribution(name, distribution)
    ]


def distribution_meant_by(requirement: str) -> str | None:
    """The distribution that a requirement means, if it is by a module's name: ``cv2``, ``pil``.

    :param requirement: a name as it is declared or as the index has it: without capitals.
    """
    return _meant().get(canonicalize_name(requirement))


def why_this_distribution(distribution: str) -> str:
    """A sentence, where others bring the same module; begins with a space, unless empty."""
    why = _CHOICES.get(distribution)
    return f" {why}" if why else ""


def same_distribution(one: str, other: str) -> bool:
    """Tell whether two names are the same by the rules of the index (PEP 503)."""
    return canonicalize_name(one) == canonicalize_name(other)


@functools.cache
def _names() -> dict[str, str]:
    """The distribution of each module; both have a star where it stands for any one name."""
    names = {}
    for line in IMPORT_NAMES.strip().splitlines():
        distribution, *modules = line.split()
        for module in modules:
            own = "*" if "*" in module else module.replace("_", "-")
            names[module] = distribution.replace("*", own)
    return names


def _plain(module: str) -> str:
    """As a distribution is named after a module: of a client, without the version of its API."""
    return re.sub(r"_v\d\w*$", "", module).strip("_").replace("_", "-")


@functools.cache
def _meant() -> dict[str, str]:
    return {
        canonicalize_name(module): distribution
        for module, distribution in _names().items()
        if "." not in module
    }
