"""Versions: the runner's and uv's in this process, and the minor ones of Pythons."""

import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


def minor_version(version: str) -> str:
    """The minor version of a full one: ``3.12`` of ``3.12.1``."""
    return ".".join(version.split(".")[:2])


def lowest_minor(specifier: "SpecifierSet") -> str | None:
    """The oldest minor version of Python from 3.8 on of which a release satisfies it."""
    for minor in range(8, 100):
        if any(specifier.contains(f"3.{minor}.{micro}") for micro in (0, 5, 99)):
            return f"3.{minor}"
    return None


def runner_version() -> str:
    return installed_version("modelops-runner") or "0+unknown"


def installed_version(distribution: str) -> str | None:
    """Return the version of a distribution; ``None`` where it is not installed.

    ``NAME-VERSION.dist-info`` tells it (PyPA, "Recording installed projects"): what
    importlib.metadata needs to open the metadata in it takes 10 ms to import.
    """
    prefix, suffix = distribution.replace("-", "_") + "-", ".dist-info"
    for folder in sys.path:
        # A path may be not there, or a zip file.
        with suppress(OSError), os.scandir(folder or ".") as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and entry.name.endswith(suffix):
                    return entry.name[len(prefix) : -len(suffix)]
    return None
