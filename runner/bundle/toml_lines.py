"""Finds the lines of a TOML document that an error is about; tomllib does not tell them."""

import re
from collections.abc import Iterator

_TABLE = re.compile(r"""^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$""")
_QUOTES = str.maketrans("", "", "\"'")


def key_line(text: str, table: str, key: str) -> int | None:
    """The number of the line in which a table's key is given, from 1.

    :param table: dotted, as in ``tool.modelops``.
    """
    pattern = re.compile(rf"""^\s*["']?{re.escape(key)}["']?\s*=""")
    dotted = re.compile(rf"^\s*{re.escape(table)}\.{re.escape(key)}\s*=")
    for number, current, line in _lines(text):
        if (current == table and pattern.match(line)) or (not current and dotted.match(line)):
            return number
    return None


def table_keys(text: str, table: str) -> list[tuple[int, str]]:
    """The lines of a table that give keys, with their numbers."""
    return [
        (number, line.strip())
        for number, current, line in _lines(text)
        if current == table and "=" in line and not line.lstrip().startswith("#")
    ]


def string_line(text: str, table: str, value: str) -> int | None:
    """The number of the line of a table in which a string stands."""
    for number, current, line in _lines(text):
        if current == table and any(quote + value + quote in line for quote in "\"'"):
            return number
    return None


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Each line with its number and the table that it belongs to."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            # A table's dots are what matters, not how its parts are quoted or spaced.
            current = re.sub(r"\s*\.\s*", ".", header.group(1)).translate(_QUOTES)
        else:
            yield number, current, line
