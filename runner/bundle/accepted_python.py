"""Which Pythons a bundle accepts: ``requires-python``, and the version that is pinned beside it."""

import contextlib
import re
import shlex
from pathlib import Path

from msgspec import Struct
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from runner.bundle.failures import invalid
from runner.bundle.files import has_file, read_text
from runner.bundle.folder import exec_command
from runner.bundle.pyproject import PYPROJECT, Pyproject
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.python_requirement import PythonRequirement
from runner.version import lowest_minor

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


# The second is for tox and the like; uv takes its first line where there is no other file.
_PINS = (".python-version", ".python-versions")


class AcceptedPython(Struct, frozen=True):
    """The interpreters that a bundle accepts."""

    chosen_by: PythonRequirement
    """The condition that decides, unless an interpreter is named."""
    declared: PythonRequirement | None
    """The condition where one is named: ``requires-python`` alone, for a pin is a choice."""
    note: str | None
    """A pin that does not count."""


def accepted_python(folder: Path, pyproject: Pyproject) -> AcceptedPython:
    """Read what a bundle says of Python, in all its files.

    :raises Failure: ``bundle-invalid``: no Python is what it says.
    """
    declared = _requires_python(pyproject)
    try:
        pin = _pin(folder)
    except NoVersion as error:
        if pyproject.is_project:  # a virtual environment of pyenv's, say; uv passes it over too
            note = f"{error} is not a Python version, and does not count"
            if error.other is not None:
                note = f"{error} does not count: CPython is meant, unless --python {error.other}"
            return AcceptedPython(declared, None, note)
        raise _no_version(folder, error) from error
    if pin is None:
        return AcceptedPython(declared, None, None)
    if not pyproject.is_project:
        return AcceptedPython(pin, None, None)
    both = declared.specifier & pin.specifier
    if not is_satisfiable(both):
        raise _clash(declared, pin)
    narrowed = PythonRequirement(both, pin.text, pin.at, pin.line)
    return AcceptedPython(narrowed, declared, None)


_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|<|>)\s*(\d{1,4}(?:\.\d{1,4}){0,3}(?:\.\*)?)(?![\w.])")
_ANY = ">=3.11"


def _meant(line: str) -> str:
    """The specifier that a line may mean which has none: ``^3.10``, ``3.10``, ``>=3.9 <3.13``."""
    written = re.sub(r"\s#.*$", "", line.partition("=")[2]).strip(" \t[]\"'")
    specifier = ",".join(f"{operator}{version}" for operator, version in _CLAUSE.findall(written))
    if not re.fullmatch(r"(?:[Pp]ython|and|&|,|\s)*", _CLAUSE.sub("", written)):
        specifier = ""
    if between := re.fullmatch(r"3\.(\d{1,2})\s*(?:-|\u2013|to)\s*3\.(\d{1,2})", written):
        specifier = f">=3.{between[1]},<3.{int(between[2]) + 1}"
    if specifier:
        return specifier if is_satisfiable(SpecifierSet(specifier)) else _ANY
    version = re.fullmatch(
        r"([\^=~]?)\s*(3\.\d{1,2})(\.\*)?(?:\.\d+)*\s*"
        r"(?:\+|(?:or|and) (?:later|newer|above|higher|up))?",
        written,
    )
    if version is None:
        return _ANY
    if version[1] == "=" or version[3]:
        return f"=={version[2]}.*"
    return f">={version[2]},<4" if version[1] == "^" else f">={version[2]}"


def _requires_python(pyproject: Pyproject) -> PythonRequirement:
    written = pyproject.table("project").get("requires-python")
    if written is None:
        return PythonRequirement(SpecifierSet())
    at = pyproject.at("project", "requires-python")
    line = pyproject.line("project", "requires-python")
    meant = _meant(line or "")
    hint = Hint(
        "say which Pythons it is for, as in",
        edit=Edit(file=PYPROJECT, before=line, after=f'requires-python = "{meant}"'),
    )
    try:
        if not isinstance(written, str):
            raise InvalidSpecifier
        specifier = SpecifierSet(written)
        satisfiable = is_satisfiable(specifier)
    except ValueError as error:
        raise invalid(
            f"{at}: {written!r} is not a Python requirement",
            "requires-python takes version specifiers such as >=3.11 or >=3.10,<3.13 (PEP 440).",
            hint,
        ) from error
    if not satisfiable:
        raise invalid(
            f"{at}: no Python can satisfy {written!r}", "Its parts exclude each other.", hint
        )
    return PythonRequirement(specifier, written, at, line)


def _pin(folder: Path) -> PythonRequirement | None:
    """Return what the bundle's file of a pinned version asks for.

    :raises NoVersion: it is not a version.
    """
    name = next((name for name in _PINS if has_file(folder, name)), None)
    if name is None:
        return None
    text = read_text(folder, name)
    asked = python_version_file(text, name)
    if asked is None:
        return None
    specifier, number = asked
    line = text.split("\n")[number - 1].strip()
    return PythonRequirement(specifier, str(specifier), f"{name}:{number}", line)


def _no_version(folder: Path, error: NoVersion) -> Exception:
    file = str(error).partition(":")[0]
    if error.other is None:
        return invalid(
            f"{error} is not a Python version",
            "It takes a version such as 3.12, or a specifier such as >=3.11.",
            Hint("name a version", edit=Edit(file=file, before=error.line, after="3.12")),
        )
    number = re.search(r"\d+(?:\.\d+)*", error.other)
    version = number.group() if number else "3.12"
    command = f"{exec_command(folder)} --python {shlex.quote(error.other)}"
    return invalid(
        f"{error} asks for another Python than CPython, which a bundle cannot",
        "A bundle says which versions it accepts. Which Python of such a version it is, CPython or"
        " another, is its caller's choice.",
        Hint("name the version alone", edit=Edit(file=file, before=error.line, after=version)),
        by_hand("and choose that Python where it is run", command),
    )


def _clash(declared: PythonRequirement, pin: PythonRequirement) -> Exception:
    file = (pin.at or "").partition(":")[0]
    version = lowest_minor(declared.specifier)
    hints = [Hint(f"see which of {pin.at} and {declared.at} is right")]
    if version is not None:
        edit = Edit(file=file, before=pin.line, after=version)
        hints = [Hint("pin one that requires-python accepts", edit=edit)]
    pinned = lowest_minor(pin.specifier)
    if pinned is not None:
        edit = Edit(file=PYPROJECT, before=declared.line, after=f'requires-python = ">={pinned}"')
        hints.append(Hint(f"or, if the code runs on {pinned} too, say so", edit=edit))
    return invalid(
        f"{pin.at} asks for Python {pin.line}, and {declared.at} for {declared.text}",
        "No Python is both, so there is none to run the bundle with.",
        *hints,
    )
