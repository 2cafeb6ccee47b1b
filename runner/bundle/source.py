"""Reads the Python source of a bundle's files: nothing of it is run."""

import ast
import warnings
from importlib.util import decode_source
from pathlib import Path

from msgspec import Struct

_MOST_BYTES = 1 << 20


class Source(Struct, frozen=True):
    """A file's source, as this Python parses it."""

    text: str
    tree: ast.Module


def read_source(path: Path) -> Source | None:
    """:returns: ``None`` where the file cannot be read or parsed: that is told where it is run."""
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            text = decode_source(file.read(_MOST_BYTES))
            return Source(text, ast.parse(text))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
