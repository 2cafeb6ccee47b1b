"""Syntax that a newer Python brought, told from what an older one says of it."""

import re
from collections.abc import Callable

from msgspec import Struct

# Lines are cut to this before they are searched, so that no search takes long.
_LONGEST_LINE = 400


class Syntax(Struct, frozen=True):
    """A piece of Python's syntax."""

    name: str
    version: str
    """The first Python with it."""
    matches: Callable[[str, str], bool]
    """True if the line and the message show it."""


def _line(pattern: str) -> Callable[[str, str], bool]:
    compiled = re.compile(pattern)
    return lambda line, message: compiled.search(line) is not None


def _nested_quotes(line: str, message: str) -> bool:
    """An f-string whose own quote comes again within its braces, or what else PEP 701 allows."""
    if message.startswith("f-string expression part cannot include"):
        return True
    return re.search(r"""\b[rR]?[fF][rR]?(["'])[^"'{]*\{[^{}"']*\1""", line) is not None


_SYNTAX = [
    Syntax("an except clause without parentheses around its types (PEP 758)", "3.14",
           lambda line, message: "exception types must be parenthesized" in message
           # `except E, e:` is of Python 2.
           and re.match(r"except\b(?!.*, ?[a-z_]\w* ?:).*,.*:", line) is not None),
    Syntax("a t-string (PEP 750)", "3.14", _line(r"""(?<!\w)(t|tr|rt)["']""")),
    Syntax("a type statement (PEP 695)", "3.12", _line(r"^type [A-Za-z_]\w*\s*(\[.*\]\s*)?=")),
    Syntax("type parameters in brackets (PEP 695)", "3.12",
           _line(r"^(async def|def|class) \w+\s*\[")),
    Syntax("an f-string with its own quotes, a backslash or a comment inside (PEP 701)", "3.12",
           _nested_quotes),
    Syntax("except* for exception groups (PEP 654)", "3.11", _line(r"^except\s*\*")),
    Syntax("a star in an index or in *args's annotation (PEP 646)", "3.11",
           _line(r"[\w\])]\[\s*\*|,\s*\*\w+\]|\*\w+: \*")),
    Syntax("the match statement (PEP 634)", "3.10", _line(r"^match\b.*:\s*(#.*)?$|^case\b.*:")),
    Syntax("with and several items in parentheses", "3.10",
           _line(r"^(async )?with \(|^(?!import|from|with|except)\S.* as \w+\s*,?$")),
    Syntax("any expression as a decorator (PEP 614)", "3.9", _line(r"^@")),
]  # fmt: skip


def newer_syntax(line: str, message: str, python: str) -> Syntax | None:
    """The syntax that a line uses and this Python has not.

    :param line: the line that the SyntaxError names.
    :param message: what it says.
    :param python: the version that read it: ``3.9.18``.
    """
    line = line.strip()[:_LONGEST_LINE]
    return next(
        (
            syntax
            for syntax in _SYNTAX
            if is_older(python, syntax.version) and syntax.matches(line, message)
        ),
        None,
    )


def is_older(python: str, version: str) -> bool:
    """Tell whether a Python, given by its full version, is older than a minor version: ``3.12``."""
    return _minor(python) < _minor(version)


def _minor(version: str) -> tuple[int, int]:
    numbers = re.match(r"(\d{1,4})\.(\d{1,4})", version)
    return (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
