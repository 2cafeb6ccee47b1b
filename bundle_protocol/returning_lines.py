"""The line by which a wire function has returned what is no result."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from types import FunctionType

from bundle_protocol import standard
from bundle_protocol.describe import describe_place
from bundle_protocol.messages import ErrorCode, RequestError
from bundle_protocol.syntax_tree import parse

# Methods that are called so write the file that is their first argument: savefig(), to_csv().
_WRITES = re.compile(r"(?:savefig|savez?(?:txt|_\w+)?|to_\w+|imsave|write_\w+)$")
_RELATIVE = re.compile(r"[\w-][\w./-]{0,200}\.\w{1,8}$")
_MOST_WRITTEN = 5


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
            (defined,) = parse(textwrap.dedent("".join(source))).body
        except (OSError, SyntaxError, ValueError, RecursionError):
            return
        line = _returning_line(defined, caught="exception" in (error.data or {}))
        if line is not None and error.data is not None:
            error.data["written"] = _written(defined)
            error.data["defined"] = describe_place(code, first + line - 1, function.__globals__)


def _returning_line(defined: ast.AST, *, caught: bool) -> int | None:
    """The line of the one ``return``, or of the one ``except`` that has one; none of several.

    Where there is no ``return``, that of the last statement, if it is one line of the function.
    """
    returns = [node for node in of_function(defined) if isinstance(node, ast.Return)]
    if not caught:
        last = returns or getattr(defined, "body", [])[-1:]
        one_line = len(last) == 1 and last[0].lineno == last[0].end_lineno
        return last[0].lineno if one_line else None
    handlers = [
        node.lineno
        for node in of_function(defined)
        if isinstance(node, ast.ExceptHandler) and set(returns) & set(of_function(node))
    ]
    return handlers[0] if len(handlers) == 1 else None


def _written(defined: ast.AST) -> list[str]:
    """The files that calls such as ``savefig("peak.png")`` name, in the order of their lines."""
    calls = [one for one in of_function(defined) if isinstance(one, ast.Call) and one.args]
    named = [
        (one.lineno, one.args[0].value)
        for one in calls
        if _WRITES.match(getattr(one.func, "attr", ""))
        and isinstance(one.args[0], ast.Constant)
        and isinstance(one.args[0].value, str)
        and _RELATIVE.match(one.args[0].value)
    ]
    return list(dict.fromkeys(name for _, name in sorted(named)))[:_MOST_WRITTEN]


def of_function(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what is below a node, but for the functions and classes that are defined there."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from of_function(child)
