"""Parses Python source, in whichever thread."""

from __future__ import annotations

import ast
from contextlib import suppress

_TRIES = 5


def parse(text: str) -> ast.Module:
    """Parse source as :func:`ast.parse` does.

    Python 3.11 counts how deep it is for all threads together, and a good text may end in a
    SystemError ("AST constructor recursion depth mismatch") where another one parses at the same
    time (github.com/python/cpython/issues/106905).

    :raises SyntaxError: it is no Python.
    :raises ValueError: it has null bytes, or lone surrogates.
    :raises RecursionError: it is nested too deeply.
    """
    for _ in range(_TRIES - 1):
        with suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)


def tree_of(text: str) -> ast.Module | None:
    """As :func:`parse`; None where that cannot be done."""
    try:
        return parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def statement_of(text: str) -> ast.stmt | None:
    """The one statement that a text is; None where it is none, or several."""
    tree = tree_of(text)
    return tree.body[0] if tree is not None and len(tree.body) == 1 else None
