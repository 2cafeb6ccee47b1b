"""Finds numbers in the bundle's source that are others each time, and that no seed reaches.

The runner seeds what has no seed from the task's. With ``numpy.random.seed(int(time.time()))`` it
has one: results differ from run to run, and nothing else tells. So they do where a number is that
of a UUID, and where DuckDB draws it, or the system, asked in a way that nothing notices.
"""

import ast
import re
from collections.abc import Iterator

from runner.bundle.source import dotted
from runner.diagnosis.report.text import one_line, printable

_SEEDING = (
    *("seed", "default_rng", "RandomState", "Random", "SeedSequence"),
    *("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"),
    *("manual_seed", "manual_seed_all", "PRNGKey", "set_seed", "set_random_seed"),
    *("srand", "srand48", "srandom"),
)
# JAX's; other modules have a function key() for something else.
_KEY = "random.key"
_ANOTHER = {
    r"(?:(?:time|libc|lib)\.)?": (
        *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    ),
    r"(?:datetime\.)?datetime\.": ("now", "utcnow"),
    r"(?:os\.)?": ("getpid",),
    r"(?:uuid\.)?": ("uuid1", "uuid4"),
}
"""The functions that give something else each time, by what may stand before them. The system's
entropy is not among them: that is noticed as it is drawn, by most ways."""

_SEEDED = re.compile(rf"(?:.*\.)?(?:{'|'.join(_SEEDING)})|(?:jax\.)?{re.escape(_KEY)}")
_IS_ANOTHER = re.compile("|".join(f"{top}(?:{'|'.join(each)})" for top, each in _ANOTHER.items()))
_ANOTHERS = [f"{name}(" for each in _ANOTHER.values() for name in each]
_WITHOUT_SEED = re.compile(r"\bseed\b|\bNone\b|\b__name__\b")
_DEVICES = "/dev/urandom", "/dev/random"
_OF_C = "getrandom", "getentropy", "arc4random", "arc4random_buf", "arc4random_uniform"
_UUID = re.compile(r"(?:uuid\.)?uuid[14]")
_OF_UUID = "int", "fields", "time_low", "bytes", "bytes_le"
"""The attributes by which a UUID is a number, and no name."""
_UUIDS = "uuid1(", "uuid4("
# A table's sample(), and what seeds them, are no words of a query's own.
_DUCKDB_DRAWS = re.compile(r"\b(?:random\(\s*\)|using\s+sample\b|tablesample\b)", re.IGNORECASE)
_IS_SQL = re.compile(r"^\s*(?:select|create|insert|update|with|from)\b", re.IGNORECASE)
_DUCKDB_SEEDS = re.compile(r"\bsetseed\(|\brepeatable\s*\(", re.IGNORECASE)
_MOST_CHARACTERS = 80


def may_seed(text: str) -> bool:
    """Tell whether source has the words of what :func:`own_seeds` finds."""
    words = (*_SEEDING, _KEY)
    return any(word in text for word in words) and any(call in text for call in _ANOTHERS)


def own_seeds(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls that seed with what is another each time, each with its line."""
    names = _names_of_another(tree)
    # Where no seed is given, or the file is a script.
    others = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and _WITHOUT_SEED.search(ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in others:
            continue
        if isinstance(node, ast.Call) and _SEEDED.fullmatch(dotted(node.func)):
            values = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(_is_another(value, names) for value in values):
                call = printable(one_line(ast.unparse(node), _MOST_CHARACTERS))
                yield (
                    node.lineno,
                    f"seeds random numbers with what is another each time ({call}): results do not"
                    " follow from the task's seed. Seed them with that",
                )


def may_ask_the_system(text: str) -> bool:
    """Tell whether source has the words of what :func:`system_draws` finds."""
    return "os.open(" in text or ("ctypes" in text and any(name in text for name in _OF_C))


def system_draws(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls that ask the system for random bytes where that is not noticed as they are made."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        module, _, name = dotted(node.func).rpartition(".")
        opened = {one.value for one in node.args[:1] if isinstance(one, ast.Constant)}
        is_device = module == "os" and name == "open" and not opened.isdisjoint(_DEVICES)
        is_c = isinstance(node.func, ast.Attribute) and module != "os" and name in _OF_C
        if is_device or is_c:
            call = printable(one_line(ast.unparse(node), _MOST_CHARACTERS))
            yield (
                node.lineno,
                f"draws from the system's entropy ({call}): its numbers do not follow from the"
                " task's seed. Draw them of that",
            )


def may_number_uuids(text: str) -> bool:
    """Tell whether source has the words of what :func:`numbers_of_uuids` finds."""
    return any(word in text for word in _UUIDS)


def numbers_of_uuids(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The places that make a number of a random UUID, each with its line."""
    for line, number in _numbers_of_uuids(tree):
        yield (
            line,
            f"takes a number of a UUID ({number}), which is another one each time: what depends on"
            " it does not follow from the task's seed. Draw it of that",
        )


def _numbers_of_uuids(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The places that make a number of a random UUID, each with its line."""
    uuids = {
        dotted(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_uuid(node.value)
        for target in node.targets
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            source = node.value
            is_number = node.attr in _OF_UUID and (_is_uuid(source) or dotted(source) in uuids)
        elif isinstance(node, ast.Call):  # int(uuid4().hex[:8], 16) is one too.
            is_int = dotted(node.func) == "int" and bool(node.args)
            is_number = is_int and any(map(_is_uuid, ast.walk(node.args[0])))
        else:
            continue
        if is_number:
            yield node.lineno, printable(one_line(ast.unparse(node), _MOST_CHARACTERS))


def _is_uuid(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _UUID.fullmatch(dotted(node.func)) is not None


def may_query(text: str) -> bool:
    """Tell whether source has the words of what :func:`drawing_queries` finds."""
    draws = "duckdb" in text and _DUCKDB_DRAWS.search(text) is not None
    return draws and not _DUCKDB_SEEDS.search(text)


def drawing_queries(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The lines of texts that have DuckDB draw."""
    for node in ast.walk(tree):
        text = getattr(node, "value", None)
        if not isinstance(node, ast.Constant) or not isinstance(text, str):
            continue
        if _IS_SQL.match(text) and _DUCKDB_DRAWS.search(text):
            yield (
                node.lineno,
                "has DuckDB draw random numbers, which do not follow from the task's seed. Seed"
                " them with that: SELECT setseed(0.5), with SET threads = 1",
            )


def _names_of_another(tree: ast.AST) -> set[str]:
    """The names that have nothing else wherever they are given a value, or that return it."""
    another, others = set[str](), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            others.add(node.arg)
        elif isinstance(node, ast.FunctionDef):
            returned = [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
            every = all(one is not None and _is_another(one, set()) for one in returned)
            (another if returned and every else others).add(node.name)
        elif isinstance(node, ast.Assign) and _is_another(node.value, set()):
            another |= set(map(dotted, node.targets))
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            others |= {dotted(one) for top in targets for one in ast.walk(top)}
    return another - others - {""}


def _is_another(value: ast.AST, names: set[str]) -> bool:
    """Tell whether a value is another each time, and not only where there is no seed."""
    if isinstance(value, ast.BoolOp | ast.IfExp | ast.Lambda):
        return False
    if isinstance(value, ast.Name | ast.Attribute) and dotted(value) in names:
        return True
    if isinstance(value, ast.Call):
        called = dotted(value.func)
        if called in names or _IS_ANOTHER.fullmatch(called):
            return True
    return any(_is_another(child, names) for child in ast.iter_child_nodes(value))
