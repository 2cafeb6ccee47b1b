"""The line by which a wire function has returned what is no result."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType

from bundle_protocol import standard
from bundle_protocol.describe import describe_place
from bundle_protocol.messages import ErrorCode, RequestError


def add_returning_line(error: RequestError, function: object) -> None:
    """Say in an error's data by which line a wire function has returned, where that is known."""
    if error.code != ErrorCode.RESULT_INVALID or not isinstance(function, FunctionType):
        return
    code = function.__code__
    with standard.standard_library():  # linecache needs tokenize.
        import inspect
        import textwrap

        try:
            source, first = inspect.getsourcelines(code)
            (defined,) = ast.parse(textwrap.dedent("".join(source))).body
        except (OSError, SyntaxError, ValueError, RecursionError):
            return
        line = _returning_line(defined, caught="exception" in (error.data or {}))
        if line is not None and error.data is not None:
            error.data["defined"] = describe_place(code, first + line - 1, function.__globals__)


def _returning_line(defined: ast.AST, *, caught: bool) -> int | None:
    """The line of the one ``return``, or of the one ``except`` that has one; none of several.

    Where there is no ``return``, that of the last statement, if it is one line of the function.
    """
    returns = [node for node in _of_function(defined) if isinstance(node, ast.Return)]
    if not caught:
        last = returns or getattr(defined, "body", [])[-1:]
        one_line = len(last) == 1 and last[0].lineno == last[0].end_lineno
        return last[0].lineno if one_line else None
    handlers = [
        node.lineno
        for node in _of_function(defined)
        if isinstance(node, ast.ExceptHandler) and set(returns) & set(_of_function(node))
    ]
    return handlers[0] if len(handlers) == 1 else None


def _of_function(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, but for the functions and classes that are defined there."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _of_function(child)
