"""The name that is nearest to one that is missing: a variable's, an attribute's, an argument's.

Only the child can look: Python itself tells it to who reads the traceback that it prints.
"""

from __future__ import annotations

import builtins
import difflib
import linecache
import re
import sys
from types import CodeType, FrameType, FunctionType, ModuleType

from bundle_protocol.failing_line import FailingLine, line_made
from bundle_protocol.near_names import digits, nearest

_NAME = re.compile(r"name '([^'\n]{1,200})' is not defined$")
_ATTRIBUTE = re.compile(r"has no attribute '([^'\n]{1,200})'")
_IMPORTED = re.compile(r"cannot import name '([^'\n]{1,200})' from '([\w.]{1,200})'")
_ARGUMENT = re.compile(
    r"(?:.{0,300}<locals>\.)?([\w.]{1,300})\(\) got an unexpected keyword argument"
    r" '([^'\n]{1,200})'"
)
_MISCALLED = re.compile(
    r"(?:.{0,300}<locals>\.)?([\w.]{1,300})\(\) (?:missing \d+ required |takes (?:from )?\d)"
)
_STAR = re.compile(r"^from ([\w.]{1,100}) import \*", re.MULTILINE)
_MOST_STARS = 20
_MOST_NAMED = 5
_DEFINES = re.compile(r"\s*(?:def|class|async def|@)\b")
_NEAR = 0.8
_MAX_NAMES = 5000
_MAX_LINES = 5000
_MOST_WRAPPED = 5


def other_names(at: FailingLine) -> dict[str, object]:
    """Tell what may have been meant in place of a name.

    :returns: ``missing_name``, and ``near``, the nearest that there is, where one is near; for an
        argument of a function that Python has compiled also ``arguments``, those that it takes, one
        on each line, and ``function_file``, where it is defined; so for one that was called with
        too few or too many, and ``function_line``; for a variable ``top_line``, the
        line before which its module may import it, and ``stars``, the modules of which it takes all
        names, one on each line; for an attribute ``init_file``, ``made_line``
        and ``made_text``, where ``__init__()`` has it as a variable alone; for an import
        ``unused``, where its file uses the name nowhere; for an indentation ``mixed``, which lines
        have tabs among others with spaces, or the other way round.
    """
    error, message, frame = at.error, at.message, at.last
    if type(error).__name__ in ("ZoneInfoNotFoundError", "UnknownTimeZoneError"):
        return _near_zone(message)
    if isinstance(error, IndentationError) and error.filename:
        return _mixed_indentation(linecache.getlines(error.filename)[:_MAX_LINES])
    if type(error) is NameError and (found := _NAME.match(message)):
        near = _near(found[1], [*frame.f_locals, *frame.f_globals, *dir(builtins)])
        if "near" not in near and (of_module := _in_module(found[1], frame)) is not None:
            near["near"] = of_module
        top, stars = _top_line(frame), _STAR.findall("".join(at.lines))
        known = {"top_line": top, "stars": "\n".join(stars[:_MOST_STARS])}
        return {**near, **{key: value for key, value in known.items() if value}}
    if isinstance(error, AttributeError) and (found := _ATTRIBUTE.search(message)):
        asked = getattr(error, "obj", None)  # From 3.10 on.
        if asked is None:
            return {}
        return {**_near(found[1], dir(asked)), **_of_init_alone(asked, found[1])}
    if isinstance(error, ImportError) and (found := _IMPORTED.match(message)):
        module = sys.modules.get(found[2])
        near = {} if module is None else _near(found[1], dir(module))
        return near if "near" in near or _is_used(found[1], at) else {**near, "unused": 1}
    if isinstance(error, TypeError) and (found := _ARGUMENT.match(message)):
        code = _code(frame, found[1])
        if code is None:
            return {}
        taken = _arguments(code)
        known = {"arguments": "\n".join(taken), "function_file": code.co_filename}
        return {**_near(found[2], taken), **known} if taken else {}
    if isinstance(error, TypeError) and (found := _MISCALLED.match(message)):
        code = _code(frame, found[1])
        if code is not None:
            known = {"arguments": "\n".join(_arguments(code)), "function_file": code.co_filename}
            return {**known, "function_line": code.co_firstlineno}
    return {}


def _is_used(name: str, at: FailingLine) -> bool:
    """Tell whether a file has more of a name than the line that imports it, and nothing else."""
    alone = re.fullmatch(rf"\s*from [\w.]+ import {re.escape(name)}\s*(?:#.*)?\s*", at.text)
    return alone is None or len(re.findall(rf"\b{re.escape(name)}\b", "".join(at.lines))) != 1


def _mixed_indentation(lines: list[str]) -> dict[str, object]:
    """The lines that are indented by tabs, or by spaces, where most are by the other."""
    tabs = [number for number, line in enumerate(lines, 1) if re.match(r" *\t", line)]
    spaces = [number for number, line in enumerate(lines, 1) if re.match(r" +\S", line)]
    few, what = (tabs, "tabs") if len(tabs) <= len(spaces) else (spaces, "spaces")
    named = ", ".join(map(str, few[:_MOST_NAMED])) + (" ..." if few[_MOST_NAMED:] else "")
    return {"mixed": f"{what} in line {named}"} if tabs and spaces else {}


def _in_module(name: str, frame: FrameType) -> str | None:
    """``np.linspace`` for ``linspace``, where one of the modules that are imported there has it."""
    found = [
        alias
        for alias, module in frame.f_globals.items()
        if type(module) is ModuleType and not alias.startswith("_") and name in vars(module)
    ]
    return f"{found[0]}.{name}" if len(found) == 1 else None


def _arguments(code: CodeType) -> list[str]:
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [name for name in names if name != "self"]


def _of_init_alone(asked: object, name: str) -> dict[str, object]:
    """The line by which ``__init__()`` has a variable of the name that its object lacks.

    None where a method sets the attribute, to something else perhaps: that was not called.
    """
    import dis  # what few failures need

    code = getattr(type(asked).__init__, "__code__", None)
    if code is None or name not in code.co_varnames or not type(asked).__dictoffset__:
        return {}
    for kind in type(asked).__mro__:
        for method in vars(kind).values():
            inside = dis.get_instructions(method) if isinstance(method, FunctionType) else ()
            if any(
                one.opname == "STORE_ATTR" and one.argval in (name, f"_{name}") for one in inside
            ):
                return {}
    lines = linecache.getlines(code.co_filename)
    first = code.co_firstlineno
    ends = next((at for at in range(first, len(lines)) if _DEFINES.match(lines[at])), len(lines))
    made = [at for at in range(first, ends) if re.match(rf"\s*{name}\s*=(?!=)", lines[at])]
    # As by a tuple, a loop or +=, a variable may get other values than the one that is found.
    given = [
        one
        for one in dis.get_instructions(code)
        if one.opname.startswith("STORE_")
        and name in (one.argval if isinstance(one.argval, tuple) else (one.argval,))
    ]
    if len(given) != len(made):
        return {}
    is_handed = name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if not made and is_handed and re.match(r"\s*def __init__\(.*:\s*$", lines[first - 1]):
        made = [first - 1]
    text = lines[made[0]].strip() if len(made) == 1 else ""
    if not text or [one.strip() for one in lines].count(text) != 1:
        return {}
    return {"init_file": code.co_filename, **line_made(made[0] + 1, text)}


def _near_zone(said: str) -> dict[str, object]:
    """A time zone that is there, for one that is not: ``Berlin``, ``Europe/Berln``."""
    import zoneinfo

    asked = said.rpartition(" ")[2][:200]
    names = sorted(zoneinfo.available_timezones())
    city = asked.rpartition("/")[2].lower()
    near = [one for one in names if one.rpartition("/")[2].lower() == city]
    near = near or difflib.get_close_matches(asked, names, n=1, cutoff=_NEAR)
    return {"missing_name": asked, **({"near": near[0]} if near else {})}


def _top_line(frame: FrameType) -> str | None:
    """The first statement of a module, after its docstring and what it takes of the future."""
    import ast  # What only such a slip is worth.

    from bundle_protocol.syntax_tree import tree_of

    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    tree = tree_of("".join(lines)) if len(lines) <= _MAX_LINES else None
    for node in [] if tree is None else tree.body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        future = isinstance(node, ast.ImportFrom) and node.module == "__future__"
        if not text and not future:
            first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
            line = lines[first - 1].strip()
            return line if [one.strip() for one in lines].count(line) == 1 else None
    return None


def _near(name: str, names: list[str]) -> dict[str, object]:
    there = [one for one in names[:_MAX_NAMES] if type(one) is str]
    if not name.startswith("_"):
        there = [one for one in there if not one.startswith("_")]
    same = [one for one in there if one != name and plain_name(one) == plain_name(name)]
    swapped = [one for one in there if one != name and sorted(one) == sorted(name)]
    swapped = [one for one in swapped if digits(one) == digits(name)]
    near = same or swapped or nearest(name, there, cutoff=_NEAR)
    return {"missing_name": name, **({"near": near[0]} if near and near[0] != name else {})}


def plain_name(name: str) -> str:
    """``nAgents``, ``n_agents`` and ``N agents`` are one name to who writes it."""
    return re.sub(r"[\s_-]", "", name).casefold()


def _code(frame: FrameType, function: str) -> CodeType | None:
    """The code of a function by its qualified name, as the frame that called it finds it."""
    first, *rest = function.split(".")
    called = frame.f_locals.get(first, frame.f_globals.get(first))
    for name in rest:
        called = getattr(called, name, None)
    for _ in range(_MOST_WRAPPED):
        called = getattr(called, "__wrapped__", called)
    return getattr(called, "__code__", None)
