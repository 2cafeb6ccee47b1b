"""Finds what depends on how fast a model runs: the order in which its workers end, and how far it
comes in a time. Both are others in each run, and nothing else tells.
"""

import ast
import re
from collections.abc import Callable, Iterator

from runner.bundle.source import dotted

ENDING_WORDS = (re.compile(r"as_completed|imap_unordered|\bwait\("),)
"""The words of source in which :func:`ending_orders` may find something; of the other likewise."""
CLOCK_WORDS = (re.compile(r"while\b"), re.compile(r"time\(|time_ns\(|monotonic|perf_counter|now\("))

_AS_THEY_END = re.compile(r"(?:.*\.)?(?:as_completed|imap_unordered)")
_WAIT = re.compile(r"(?:(?:asyncio|futures|concurrent\.futures|cf)\.)?wait")
# What is put in order afterwards is the same again.
_SORTS = re.compile(r"(?:.*\.)?(?:sort|sorted|sort_\w+|argsort|lexsort|groupby|pivot\w*|fsum)")
_FLOATS = re.compile(r"(?:.*\.)?(?:zeros|zeros_like|float)")
_CLOCK = re.compile(
    r"(?:time\.)?(?:time|monotonic|perf_counter|process_time)(?:_ns)?|(?:datetime\.)?datetime\.now"
)
_WAITS = {"sleep", "wait", "poll", "recv", "join", "select", "is_alive", "done", "exists"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def ending_orders(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The loops that collect what workers give as these end, each with its line."""
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    top: ast.AST = ast.Module([one for one in tree.body if not isinstance(one, inner)], [])
    for scope in (top, *(one for one in ast.walk(tree) if isinstance(one, _Function))):
        if any(_SORTS.fullmatch(called) for called in _called(scope)):
            continue
        done = _waited_for(scope)
        floats = _given(scope, _is_float)
        for node in ast.walk(scope):
            if isinstance(node, ast.For | ast.AsyncFor):
                found = _ends(node.iter, done) and any(_collects(one, floats) for one in node.body)
            elif isinstance(node, ast.ListComp):
                found = _ends(node.generators[0].iter, done)
            elif isinstance(node, ast.Call) and dotted(node.func) == "list":
                found = any(_ends(one, set()) for one in node.args)
            else:
                continue
            if found:
                yield (
                    node.lineno,
                    "takes what workers give in the order in which they end, which is another each"
                    " time: lists have another order, and sums of floats other last digits. Take it"
                    " in the order of the work (executor.map(), pool.imap()), or sort it",
                )


def _called(node: ast.AST) -> Iterator[str]:
    return (dotted(one.func) for one in ast.walk(node) if isinstance(one, ast.Call))


def _given(scope: ast.AST, is_such: Callable[[ast.expr], bool]) -> set[str]:
    """The names that it gives values of a kind."""
    given = [one for one in ast.walk(scope) if isinstance(one, ast.Assign) and is_such(one.value)]
    return {dotted(target) for one in given for target in one.targets} - {""}


def _waited_for(scope: ast.AST) -> set[str]:
    """The names of the sets of futures that have ended."""
    return {
        dotted(one.targets[0].elts[0])
        for one in ast.walk(scope)
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Tuple)
        if any(_WAIT.fullmatch(called) for called in _called(one.value))
    }


def _ends(value: ast.expr, done: set[str]) -> bool:
    """Tell whether a loop over it goes by the order in which workers end."""
    return dotted(value) in done or any(_AS_THEY_END.fullmatch(called) for called in _called(value))


def _is_float(value: ast.expr) -> bool:
    if isinstance(value, ast.Constant):
        return isinstance(value.value, float)
    return isinstance(value, ast.Call) and _FLOATS.fullmatch(dotted(value.func)) is not None


def _collects(statement: ast.AST, floats: set[str]) -> bool:
    """Tell whether it keeps values one after the other, with nothing that tells which is which."""
    if isinstance(statement, ast.AugAssign):
        return isinstance(statement.op, ast.Add) and dotted(statement.target) in floats
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.BinOp):
        added_to = {dotted(one) for one in ast.walk(statement.value)}
        return not floats.isdisjoint(added_to.intersection(map(dotted, statement.targets)))
    if isinstance(statement, ast.Call) and isinstance(statement.func, ast.Attribute):
        added = statement.args[0] if statement.args else None
        if statement.func.attr in ("append", "extend"):
            return not isinstance(added, ast.Tuple | ast.Dict | ast.Constant | None)
    return not isinstance(statement, ast.ExceptHandler) and any(
        _collects(one, floats) for one in ast.iter_child_nodes(statement)
    )


def clock_loops(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The loops that nothing but the clock ends, and that wait for nothing, each with its line."""
    for loop in (one for one in ast.walk(tree) if isinstance(one, ast.While)):
        inside = [one for statement in loop.body for one in ast.walk(statement)]
        clocked = _given(loop, _asks_clock)
        ends = [one for one in inside if isinstance(one, ast.Break | ast.Return)]
        by_clock = [
            one
            for test in inside
            if isinstance(test, ast.If) and _compares(test.test, clocked)
            for one in test.body
            if isinstance(one, ast.Break | ast.Return)
        ]
        for_ever = isinstance(loop.test, ast.Constant)
        is_such = bool(ends) if for_ever else _compares(loop.test, clocked)
        waits = any(called.rpartition(".")[2] in _WAITS for called in _called(loop)) or any(
            isinstance(one, ast.Await | ast.Yield) or getattr(one, "arg", "") == "timeout"
            for one in inside
        )
        if is_such and len(by_clock) == len(ends) and not waits:
            yield (
                loop.lineno,
                "has a loop that the clock ends: how far it comes is another each time, with the"
                " machine and what else runs there. Let it end after a number of steps",
            )


def _asks_clock(value: ast.AST) -> bool:
    return any(_CLOCK.fullmatch(called) for called in _called(value))


def _compares(test: ast.expr, clocked: set[str]) -> bool:
    """Tell whether it compares the clock with something, and asks nothing else."""
    names = {dotted(one) for one in ast.walk(test) if isinstance(one, ast.Name)}
    return isinstance(test, ast.Compare) and (_asks_clock(test) or bool(names & clocked))
