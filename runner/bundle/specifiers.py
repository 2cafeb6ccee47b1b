"""Python requirements: what a text means, and whether any Python can satisfy it (PEP 440)."""

import contextlib
import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

# Every minor version there is or may be soon; patches are taken from the specifier's own bounds.
_MINORS = [f"2.{minor}" for minor in range(8)] + [f"3.{minor}" for minor in range(100)]


class NoVersion(ValueError):
    """A line of a ``.python-version`` that is not a version of Python, or of another than CPython.

    :param at: where it stands: ``.python-version:1``.
    :param line: as it stands there.
    :param other: what it asks for, as ``--python`` takes it, where that is another Python.
    """

    def __init__(self, at: str, line: str, other: str | None = None) -> None:
        super().__init__(f"{at}: {line!r}")
        self.line = line
        self.other = other


def is_satisfiable(specifier: SpecifierSet) -> bool:
    """Tell whether some Python, existing or to come, satisfies it.

    :raises ValueError: a number in it has more digits than int takes.
    """
    candidates = {Version(f"{minor}.0") for minor in _MINORS}
    for clause in specifier:
        release = re.match(r"\d+(?:\.\d+)*", clause.version)
        if release is None:
            continue
        with contextlib.suppress(InvalidVersion):  # `3.12.*` is not a version
            candidates.add(Version(clause.version))  # a pre-release, as in ==3.14.0rc1
        numbers = [*map(int, release.group().split(".")), 0, 0][:3]
        major, minor, micro = numbers
        for near in range(-1, 2):
            candidates |= {
                Version(f"{major}.{minor}.{max(micro + near, 0)}"),
                Version(f"{major}.{max(minor + near, 0)}.99"),
                Version(f"{max(major + near, 0)}.99.99"),
            }
    return any(specifier.contains(version, prereleases=True) for version in candidates)


def python_version_file(
    text: str, name: str = ".python-version"
) -> tuple[SpecifierSet, int] | None:
    """Return what a ``.python-version`` asks for, and in which line; ``None``: for nothing.

    It takes what uv takes: ``3.12``, ``3.12.1``, ``cpython@3.12``, a specifier,
    ``cpython-3.12.1-linux-x86_64-gnu``.

    :raises NoVersion: it is neither.
    """
    for number, line in enumerate(text.split("\n"), 1):
        request = line.partition("#")[0].strip()
        if not request:
            continue
        if re.match(r"(?i)(?:pypy|graalpy|pyston)", request):
            raise NoVersion(f"{name}:{number}", line.strip(), request)
        request = re.sub(r"^(cpython|python)[@-]?(?=\d)", "", request)
        request = re.sub(r"^(\d[\d.]*)-[a-z]+-\w+-\w+$", r"\1", request)
        try:
            if re.fullmatch(r"\d+\.\d+\.\d+\w*", request):
                return SpecifierSet(f"=={request}"), number
            if re.fullmatch(r"\d+(\.\d+)?", request):
                return SpecifierSet(f"=={request}.*"), number
            return SpecifierSet(request), number
        except InvalidSpecifier:
            raise NoVersion(f"{name}:{number}", line.strip()) from None
    return None
