"""Finds the lines of a TOML document that an error is about; tomllib does not tell them."""

import re
from collections.abc import Iterator
from itertools import takewhile

_PART = r"""(?:"[^"\n]*"|'[^'\n]*'|[\w-]+)"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
# Compiled where they are used, by re, which keeps them: only an error needs them.
_TABLE = rf"\s*\[\[?\s*({_KEY})\s*\]\]?"
_PAIR = rf"\s*({_KEY})\s*="
# Strings and comments are whole tokens, as brackets in them open nothing. Three quotes by
# themselves begin a string that never ends.
_TOKEN = (
    r'(?s)"""(?:\\.|[^\\])*?"{3,5}|\'\'\'.*?\'{3,5}|"""|\'\'\''
    r'|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}\n]'
)


def at_line(file: str, number: int | None) -> str:
    """``pyproject.toml:5``, or the file alone where the line is not known."""
    return file if number is None else f"{file}:{number}"


def key_line(text: str, table: str, key: str) -> int | None:
    """The number of the line in which a table's key is given, from 1.

    Where it is given within an inline table, that table's line.

    :param table: dotted, as in ``tool.modelops``, without quotes; empty: the document.
    """
    wanted = f"{table}.{key}".lstrip(".").split(".")
    found, longest = None, 0
    for number, path in _statements(text):
        pairs = zip(path.split("."), wanted, strict=False)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        if shared > longest:
            found, longest = number, shared
    return found


def string_line(text: str, table: str, key: str, value: str) -> int | None:
    """The number of the line in which a string stands, in the list that is a key's value."""
    first = key_line(text, table, key)
    for number, line in enumerate(text.split("\n"), 1):
        if number >= (first or 1) and any(quote + value + quote in line for quote in "\"'"):
            return number
    return first


def unclosed_line(text: str) -> int | None:
    """The number of the line that begins a bracket or a string which the text does not close."""
    _, opened = _scan(text)
    return opened[0] if opened else None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """The lines that begin a table or give a key, with the dotted path of what they give."""
    table = ""
    continued, _ = _scan(text)
    for number, line in enumerate(text.split("\n"), 1):
        if number in continued:
            continue
        if header := re.match(_TABLE, line):
            table = _plain(header.group(1))
            yield number, table
        elif pair := re.match(_PAIR, line):
            yield number, f"{table}.{_plain(pair.group(1))}".lstrip(".")


def _plain(key: str) -> str:
    """A key without quotes and spaces: only its dots matter here."""
    return re.sub(r"\s*\.\s*", ".", re.sub("[\"']", "", key))


def _scan(text: str) -> tuple[set[int], list[int]]:
    """The lines that go on with a value begun above, and those that begin what is never closed."""
    continued: set[int] = set()
    opened: list[int] = []
    number = 1
    for match in re.finditer(_TOKEN, text):
        token = match.group()
        if token == "\n":
            number += 1
            if opened:
                continued.add(number)
        elif token in ('"""', "'''"):
            opened.append(number)
            break
        elif token in "[{":
            opened.append(number)
        elif token in "]}":
            del opened[-1:]
        else:
            last = number + token.count("\n")
            continued.update(range(number + 1, last + 1))
            number = last
    return continued, opened
