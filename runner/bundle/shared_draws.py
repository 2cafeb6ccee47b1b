"""Finds what several threads or processes of a model draw from one generator.

Which thread gets which of its numbers is a matter of their turns, and another one in each run. A
process has a copy of it: all of them draw the same numbers, as often as each has a turn.
"""

import ast
import re
from collections.abc import Iterator
from functools import partial

from bundle_protocol.started_scripts import PYTHON_DRAWS
from runner.bundle.source import dotted, names_given

SHARING_WORDS = (re.compile(r"ThreadPool|Thread\(|Parallel\(|n_jobs|Pool\(|ProcessPool"),)
"""The words of source in which :func:`shared_draws` may find something."""

_POOLS = {
    True: re.compile(r"(?:.*\.)?ThreadPool(?:Executor)?"),
    False: re.compile(r"(?:.*\.)?(?:Pool|ProcessPoolExecutor)"),
}
"""By whether they are of threads."""
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
_PASS_ON = re.compile(r"(?:.*\.)?(?:zip|repeat|product|partial|list|tuple)")
_TOLD = {
    True: "draws in several threads from one generator ({}): which has which numbers is another"
    " each time. Make one for each call, default_rng([seed, number])",
    False: "draws in several processes from copies of one generator ({}): they draw the same"
    " numbers. Make one for each call, default_rng([seed, number])",
}


def shared_draws(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls that draw so, each with its line."""
    for threads in (True,) if _calls_threads_a_pool(tree) else (True, False):
        for node, name in (*_drawn_by(tree, threads), *_handed_to(tree, threads)):
            yield node.lineno, _TOLD[threads].format(name)
    yield from _shared_samplers(tree)


def _calls_threads_a_pool(tree: ast.Module) -> bool:
    """Tell whether what is called ``Pool`` may be one of threads."""
    imports = [one for one in ast.walk(tree) if isinstance(one, ast.Import | ast.ImportFrom)]
    return any(
        "dummy" in f"{getattr(one, 'module', '')}.{name.name}" or name.asname == "Pool"
        for one in imports
        for name in one.names
    )


def _drawn_by(tree: ast.Module, threads: bool) -> Iterator[tuple[ast.Call, str]]:
    """The calls that draw in what several run, from a generator that is nobody's own."""
    functions = {one.name: one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)}
    # The runner seeds others for each piece of a pool's work.
    generators = names_given(tree, _is_generator if threads else _is_seeded)
    arguments = {one.arg for one in ast.walk(tree) if isinstance(one, ast.arg)}
    todo: list[tuple[ast.AST, set[str]]] = [
        (functions[one.id] if isinstance(one, ast.Name) else one, set())
        for one, _ in _run_by(tree, threads)
        if isinstance(one, ast.Lambda) or (isinstance(one, ast.Name) and one.id in functions)
    ]
    seen = set[ast.AST]()
    while todo:
        function, own = todo.pop()
        if function in seen:
            continue
        seen.add(function)
        # Each call makes its own, for those that it calls too.
        own |= names_given(function, _is_generator)
        for node in _calls(function):
            called = dotted(node.func)
            method = _METHOD.fullmatch(called)
            if called in functions:
                todo.append((functions[called], own.copy()))
            elif (method and method[1] in generators - own) or (
                threads and _GLOBAL.fullmatch(called) and called.partition(".")[0] not in arguments
            ):
                yield node, called


def _handed_to(tree: ast.Module, threads: bool) -> Iterator[tuple[ast.Call, str]]:
    """The calls that hand one generator to what several run."""
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Module | ast.FunctionDef):
            inner = (ast.FunctionDef, ast.ClassDef)
            own = ast.Module([one for one in scope.body if not isinstance(one, inner)], [])
            generators = names_given(own, _is_generator)
            for function, call in _run_by(own, threads) if generators else ():
                given = (function, *call.args, *(word.value for word in call.keywords))
                names = {name for one in given for name in _passed_on(one)}
                yield from ((call, name) for name in sorted(names & generators))


def _passed_on(value: ast.expr) -> Iterator[str]:
    """The names of what a value has in it as it is."""
    match value:
        case ast.Name(name):
            yield name
        case ast.List(inner) | ast.Tuple(inner):
            for one in inner:
                yield from _passed_on(one)
        case ast.ListComp(one) | ast.GeneratorExp(one) | ast.Starred(one) | ast.BinOp(one):
            yield from _passed_on(one)
        case ast.Call(called, inner, words) if _PASS_ON.fullmatch(dotted(called)):
            for one in (*inner, *(word.value for word in words)):
                yield from _passed_on(one)


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


def _run_by(tree: ast.Module, threads: bool) -> Iterator[tuple[ast.expr, ast.Call]]:
    """The functions that several threads, or processes, run, and the calls that hand them over."""
    is_pool, is_parallel = partial(_is_pool, threads), partial(_is_parallel, threads)
    pools, parallels = names_given(tree, is_pool), names_given(tree, is_parallel)
    for node in _calls(tree):
        if dotted(node.func) in parallels or is_parallel(node.func):
            for call in (one for top in node.args for one in _calls(top)):
                one = call.func
                if isinstance(one, ast.Call) and dotted(one.func).rpartition(".")[2] == "delayed":
                    yield from ((function, call) for function in one.args[:1])
        if isinstance(node.func, ast.Attribute) and node.func.attr in _OF_ALL:
            of = node.func.value
            if dotted(of) in pools or is_pool(of):
                yield from ((function, node) for function in node.args[:1])
    for loop in ast.walk(tree):
        calls = list(_calls(loop)) if isinstance(loop, _LOOPS) else []
        if any(isinstance(one.func, ast.Attribute) and one.func.attr in _WAITING for one in calls):
            continue  # One runs after the other.
        for node in calls:
            pool, _, name = dotted(node.func).rpartition(".")
            if name in _OF_ONE and pool in pools:
                yield from ((function, node) for function in node.args[:1])
            elif threads and name == "Thread":
                yield from ((one.value, node) for one in node.keywords if one.arg == "target")


def _is_generator(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and bool(_MAKES.fullmatch(dotted(value.func)))


def _is_seeded(value: ast.expr) -> bool:
    return _is_generator(value) and "()" not in ast.unparse(value)


def _is_pool(threads: bool, value: ast.expr) -> bool:
    """Tell whether it is a pool of several."""
    if not isinstance(value, ast.Call) or not _POOLS[threads].fullmatch(dotted(value.func)):
        return False
    # What a process begins with may make a generator of its own.
    begins = any(one.arg == "initializer" for one in value.keywords)
    return not any(map(_is_one, _counts(value))) and (threads or not begins)


def _is_parallel(threads: bool, value: ast.expr) -> bool:
    """Tell whether it is joblib's, of several."""
    if not isinstance(value, ast.Call) or not _JOBLIB.fullmatch(dotted(value.func)):
        return False
    options = {one.arg: one.value for one in value.keywords}
    by_threads = any(
        isinstance(one := options.get(name), ast.Constant) and one.value == said
        for name, said in _BY_THREADS.items()
    )
    counts = _counts(value)
    return by_threads is threads and bool(counts) and not any(map(_is_one, counts))


def _counts(value: ast.Call) -> list[ast.expr]:
    return [*value.args[:1], *(one.value for one in value.keywords if one.arg in _COUNTS)]


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
