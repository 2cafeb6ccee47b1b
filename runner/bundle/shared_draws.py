"""Finds what several threads of a model draw at the same time from one generator.

Which of them gets which of its numbers is a matter of their turns, and another one in each run.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from bundle_protocol.started_scripts import PYTHON_DRAWS
from runner.bundle.source import dotted, names_given

SHARING_WORDS = (re.compile(r"ThreadPool|Thread\(|Parallel\(|n_jobs"),)
"""The words of source in which :func:`shared_draws` may find something."""

_POOL = re.compile(r"(?:.*\.)?ThreadPool(?:Executor)?")
_JOBLIB = re.compile(r"(?:joblib\.)?Parallel")
_BY_THREADS = {"backend": "threading", "prefer": "threads", "require": "sharedmem"}
_COUNTS = "max_workers", "n_jobs", "processes"
_OF_ALL = ("map", "starmap", "imap", "imap_unordered", "map_async", "starmap_async")
_OF_ONE = ("submit", "apply_async")
_WAITING = ("join", "result", "get", "wait")
_LOOPS = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp, ast.SetComp)
_GLOBAL = re.compile(rf"(?:(?:np|numpy)\.)?random\.{PYTHON_DRAWS}")
_METHOD = re.compile(rf"([\w.]+)\.{PYTHON_DRAWS}")
_MAKES = re.compile(r"(?:.*\.)?(?:default_rng|RandomState|Random|Generator)")


def shared_draws(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls that draw so, each with its line."""
    functions = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    is_generator = partial(_is_made, _MAKES)
    generators = names_given(tree, is_generator)
    arguments = {one.arg for one in ast.walk(tree) if isinstance(one, ast.arg)}
    todo: list[tuple[ast.AST, set[str]]] = [
        (functions[one.id] if isinstance(one, ast.Name) else one, set())
        for one in _run_by_threads(tree)
        if isinstance(one, ast.Lambda) or (isinstance(one, ast.Name) and one.id in functions)
    ]
    seen = set[ast.AST]()
    while todo:
        function, own = todo.pop()
        if function in seen:
            continue
        seen.add(function)
        # Each call makes its own, for those that it calls too.
        own |= names_given(function, is_generator)
        for node in _calls(function):
            called = dotted(node.func)
            method = _METHOD.fullmatch(called)
            if called in functions:
                todo.append((functions[called], own.copy()))
            elif (method and method[1] in generators - own) or (
                _GLOBAL.fullmatch(called) and called.partition(".")[0] not in arguments
            ):
                yield (
                    node.lineno,
                    f"draws in several threads from one generator ({called}): which has which"
                    " numbers is another each time. Make one for each call,"
                    " default_rng([seed, number])",
                )
    yield from _shared_samplers(tree)


def _shared_samplers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The studies of optuna whose trials run in threads, and ask one sampler."""
    modules = {
        name.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    for node in _calls(tree) if "optuna" in modules else ():
        jobs = [one.value for one in node.keywords if one.arg == "n_jobs"]
        # What a name or a parameter holds is not known: mostly 1, where it is a default.
        is_known = bool(jobs) and isinstance(jobs[0], ast.Constant | ast.UnaryOp)
        if is_known and dotted(node.func).endswith(".optimize") and not _is_one(jobs[0]):
            yield (
                node.lineno,
                f"has optuna's trials run in threads (n_jobs={ast.unparse(jobs[0])}): which of them"
                " has which numbers, and knows of which others, is another each time. Leave n_jobs"
                " out, and run several tasks",
            )


def _run_by_threads(tree: ast.Module) -> Iterator[ast.expr]:
    """The functions that several threads run at the same time."""
    is_pool, is_parallel = partial(_is_made, _POOL), partial(_is_made, _JOBLIB)
    pools, parallels = names_given(tree, is_pool), names_given(tree, is_parallel)
    for node in _calls(tree):
        if dotted(node.func) in parallels or is_parallel(node.func):
            for one in (one for top in node.args for one in _calls(top)):
                if dotted(one.func).rpartition(".")[2] == "delayed":
                    yield from one.args[:1]
        if isinstance(node.func, ast.Attribute) and node.func.attr in _OF_ALL:
            of = node.func.value
            if dotted(of) in pools or is_pool(of):
                yield from node.args[:1]
    for loop in ast.walk(tree):
        calls = list(_calls(loop)) if isinstance(loop, _LOOPS) else []
        if any(isinstance(one.func, ast.Attribute) and one.func.attr in _WAITING for one in calls):
            continue  # One runs after the other.
        for node in calls:
            pool, _, name = dotted(node.func).rpartition(".")
            if name in _OF_ONE and pool in pools:
                yield from node.args[:1]
            elif name == "Thread":
                yield from (one.value for one in node.keywords if one.arg == "target")


def _is_made(maker: re.Pattern[str], value: ast.expr) -> bool:
    """Tell whether it is what a function makes, and no pool of one thread."""
    if not isinstance(value, ast.Call) or not maker.fullmatch(dotted(value.func)):
        return False
    options = {one.arg: one.value for one in value.keywords}
    given = [*value.args[:1], *(options[name] for name in _COUNTS if name in options)]
    if maker is _JOBLIB and not any(
        isinstance(one := options.get(name), ast.Constant) and one.value == threads
        for name, threads in _BY_THREADS.items()
    ):
        return False
    return maker is _MAKES or not any(map(_is_one, given))


def _is_one(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value == 1


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    """All calls in it, but for those that tell how long to sleep."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, ast.Call):
            yield node
            if dotted(node.func).rpartition(".")[2] == "sleep":
                continue
        left += ast.iter_child_nodes(node)
