"""The requests that ``--python`` may make."""

import re
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from runner.interpreter.model import Interpreter

FORMS = "worker, a version (3.12), a specifier (>=3.11,<3.13), an implementation (pypy3.10), a path"


class ByVersion(Struct, frozen=True):
    """Any interpreter of these versions, of that implementation where one is named."""

    specifier: SpecifierSet
    implementation: str | None = None

    def matches(self, interpreter: Interpreter) -> bool:
        same = self.implementation in (None, interpreter.implementation)
        return same and self.specifier.contains(interpreter.version, prereleases=True)


class ByPath(Struct, frozen=True):
    """This very one."""

    path: Path


class Worker(Struct, frozen=True):
    """The worker's own minor version."""


Request: TypeAlias = ByVersion | ByPath | Worker

_LONGEST = 4096
"""PATH_MAX; a number of more digits could not be read as one either."""

_NAMED = r"(?i)(?:(cpython|python|pypy)[@-]?)?(\d+(?:\.\d+){0,2}(?:a|b|rc)?\d*)?"


def parse_request(text: str) -> Request:
    """Read a request.

    :raises ValueError: it is of none of the forms.
    """
    text = text.strip()
    if text == "worker":
        return Worker()
    if len(text) <= _LONGEST and ("/" in text or text.startswith("~")):
        try:
            return ByPath(Path(text).expanduser().absolute())
        except RuntimeError:  # no such user: a shell leaves the ~ as it is
            return ByPath(Path(text).absolute())
    if text and len(text) <= _LONGEST:
        if named := re.fullmatch(_NAMED, text):
            name, version = named.groups()
            implementation = {"pypy": "PyPy", "cpython": "CPython"}.get((name or "").lower())
            return ByVersion(_series(version), implementation)
        with suppress(InvalidSpecifier):
            return ByVersion(SpecifierSet(text))
    raise ValueError(f"{text!r} is not one of: {FORMS}")


def _series(version: str | None) -> SpecifierSet:
    if version is None:
        return SpecifierSet()
    exact = version.count(".") == 2 or not version.replace(".", "").isdigit()
    return SpecifierSet(f"=={version}" if exact else f"=={version}.*")
