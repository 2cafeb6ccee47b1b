"""Reads the Python source of a bundle's files: nothing of it is run."""

import ast
import warnings
from collections.abc import Callable
from importlib.util import decode_source
from pathlib import Path

from msgspec import Struct

from bundle_protocol.syntax_tree import tree_of
from runner.stored_files import open_stored

_MOST_BYTES = 1 << 20


class Source(Struct, frozen=True):
    """A file's source, as this Python parses it."""

    text: str
    tree: ast.Module


def read_source(path: Path) -> Source | None:
    """:returns: ``None`` where the file cannot be read or parsed: that is told where it is run."""
    text = read_code(path)
    return None if text is None else parsed(text)


def parsed(text: str) -> Source | None:
    """:returns: ``None`` where this Python cannot parse it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = tree_of(text)
    return None if tree is None else Source(text, tree)


def read_code(path: Path) -> str | None:
    """The beginning of a file, by the encoding that it names; ``None`` where it cannot be read."""
    try:
        with open_stored(path) as file:
            return decode_source(file.read(_MOST_BYTES))
    except (OSError, ValueError, SyntaxError):
        return None


def dotted(node: ast.AST) -> str:
    """``numpy.random.seed`` of the name of a function, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def names_given(tree: ast.AST, is_such: Callable[[ast.expr], bool]) -> set[str]:
    """The names, with dots too, that are given values of a kind and nothing else."""
    such = set[str]()
    others = {"", *(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))}
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem):
            value: ast.AST | None = node.context_expr
            targets = [node.optional_vars]
        else:
            value = getattr(node, "value", None)
            targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = such if isinstance(value, ast.expr) and is_such(value) else others
        for target in filter(None, targets):
            if isinstance(target, ast.Tuple | ast.List):
                others |= set(map(dotted, target.elts))
            else:
                names.add(dotted(target))
    return such - others
