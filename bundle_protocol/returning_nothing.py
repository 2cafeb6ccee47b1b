"""The function of the bundle that gives back None, because it ends without a return."""

from __future__ import annotations

import ast
import linecache
import re
from types import FunctionType, MethodType

from bundle_protocol.failing_line import NAMED, FailingLine
from bundle_protocol.returning_lines import of_function
from bundle_protocol.syntax_tree import tree_of

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

# As Python says that None is no number and no sequence, and ODEPACK that it has got one number.
_ABOUT_NONE = re.compile(r"NoneType\b|returned by func \(1\) does not match")
_MOST_CALLERS = 10
_MAX_LINES = 20_000


def returns_nothing(at: FailingLine) -> dict[str, str | int]:
    """Tell which function ends without a return, where an exception is about None.

    It is one that the bundle's line names, or that a library was handed and called.

    :returns: ``returns_nothing``, its name; ``last_line`` and ``last_text``, its last statement
        where that is one line; ``last_value``, what that computes.
    """
    if not _ABOUT_NONE.search(at.message):
        return {}
    functions = [_function(at.frame, found[1]) for found in NAMED.finditer(at.text)]
    functions += [one for frame in at.inner[:_MOST_CALLERS] for one in _handed(frame)]
    own = at.frame.f_code.co_filename
    for function in functions:
        # What it returns is seen in the file of the line, which is the bundle's own for certain.
        if function is not None and function.__code__.co_filename == own:
            told = _of_code(function.__code__, function.__globals__)
            if told:
                return told
    return {}


def _function(frame: FrameType, dotted: str) -> FunctionType | None:
    """The function that a name stands for, also as a method, without running any code for it."""
    name, *rest = dotted.split(".")
    value = frame.f_locals.get(name, frame.f_globals.get(name))
    for part in rest:
        stored = getattr(value, "__dict__", None)
        if type(stored) is dict and part in stored:
            value = stored[part]
            continue
        classes = value.__mro__ if isinstance(value, type) else type(value).__mro__
        value = next((vars(one)[part] for one in classes if part in vars(one)), None)
    if isinstance(value, (staticmethod, classmethod, MethodType)):
        value = value.__func__
    return value if isinstance(value, FunctionType) else None


def _handed(frame: FrameType) -> Iterator[FunctionType]:
    for value in frame.f_locals.values():
        if isinstance(value, MethodType):
            value = value.__func__
        if isinstance(value, FunctionType):
            yield value


def _of_code(code: CodeType, variables: dict[str, object]) -> dict[str, str | int]:
    lines = linecache.getlines(code.co_filename, variables)
    if code.co_name == "<lambda>" or not 0 < len(lines) <= _MAX_LINES:
        return {}
    if (tree := tree_of("".join(lines))) is None:
        return {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name:
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if first == code.co_firstlineno and not node.decorator_list:
                return without_return(node, lines)
    return {}


def without_return(node: ast.FunctionDef, lines: list[str]) -> dict[str, str | int]:
    """Tell what a function ends with that has no return; empty where it has one."""
    inside = list(of_function(node))
    gives = (ast.Return, ast.Yield, ast.YieldFrom, ast.Raise)
    if any(isinstance(one, gives) for one in inside):
        return {}
    last = node.body[-1]
    told: dict[str, str | int] = {"returns_nothing": node.name}
    if last.lineno != last.end_lineno:
        return told
    text = lines[last.lineno - 1].strip()
    value = ""
    if isinstance(last, ast.Expr) and not isinstance(last.value, (ast.Call, ast.Constant)):
        value = text
    elif isinstance(last, ast.Assign) and len(last.targets) == 1:
        # What is stored in an object, or an array, is most often the function's effect.
        target = last.targets[0]
        value = target.id if isinstance(target, ast.Name) else ""
    return {**told, "last_line": last.lineno, "last_text": text, "last_value": value}
