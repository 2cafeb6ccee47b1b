"""Finds numbers in the bundle's source that are others each time, and that no seed reaches.

The runner seeds what has no seed from the task's. With ``numpy.random.seed(int(time.time()))`` it
has one: results differ from run to run, and nothing else tells. So they do where a number is that
of a UUID, and where DuckDB draws it, or the system, asked in a way that nothing notices.
"""

import ast
import re
from collections.abc import Collection, Iterator

from bundle_protocol.started_scripts import DEVICES
from runner.bundle.source import dotted, names_given
from runner.diagnosis.report.text import one_line, printable

_SEEDING = (
    *("seed", "default_rng", "RandomState", "Random", "SeedSequence"),
    *("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"),
    *("manual_seed", "manual_seed_all", "PRNGKey", "set_seed", "set_random_seed"),
    *("srand", "srand48", "srandom"),
)
# JAX's; other modules have a function key() for something else.
_KEY = r"random\.key"
_ANOTHER = {
    r"(?:(?:time|libc|lib)\.)?": (
        *("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns"),
    ),
    r"(?:(?:datetime|pandas|pd)\.)?(?:datetime|date|Timestamp)\.": ("now", "utcnow", "today"),
    r"(?:(?:numpy|np)\.)?": ("datetime64",),  # of "now"
    r"(?:os\.)?": ("getpid", "getppid"),
    r"(?:uuid\.)?": ("uuid1", "uuid4"),
}
"""The functions that give something else each time, by what may stand before them. The system's
entropy is not among them: that is noticed as it is drawn, by most ways."""

_SEEDED = re.compile(rf"(?:.*\.)?(?:{'|'.join(_SEEDING)})|(?:jax\.)?{_KEY}")
_TODAY = "now", "today"
_IS_ANOTHER = re.compile("|".join(f"{top}(?:{'|'.join(each)})" for top, each in _ANOTHER.items()))
_WITHOUT_SEED = re.compile(r"\bseed\b|\bNone\b|\b__name__\b")
_OF_C = "getrandom", "getentropy", "arc4random", "arc4random_buf", "arc4random_uniform"
_UUID = re.compile(r"(?:uuid\.)?uuid[14]")
_OF_UUID = "int", "fields", "time_low", "bytes", "bytes_le"
"""The attributes by which a UUID is a number, and no name."""
# A table's sample(), and what seeds them, are no words of a query's own.
_DUCKDB_DRAWS = re.compile(r"\b(?:random\(\s*\)|using\s+sample\b|tablesample\b)", re.IGNORECASE)
_IS_SQL = re.compile(r"^\s*(?:select|create|insert|update|with|from)\b", re.IGNORECASE)
_DUCKDB_SEEDS = re.compile(r"\bsetseed\(|\brepeatable\s*\(", re.IGNORECASE)
_MOST_CHARACTERS = 80

SEED_WORDS = (
    re.compile(rf"{'|'.join(_SEEDING)}|{_KEY}"),
    re.compile(rf"(?:{'|'.join(name for each in _ANOTHER.values() for name in each)})\("),
)
"""The words of source in which :func:`own_seeds` may find something; of the others likewise."""
SYSTEM_WORDS = re.compile(r"os\.open\(|ctypes"), re.compile("|".join((*DEVICES, *_OF_C)))
UUID_WORDS = (re.compile(r"uuid[14]\("),)
QUERY_WORDS = re.compile("duckdb"), _DUCKDB_DRAWS


def own_seeds(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls that seed with what is another each time, each with its line."""
    names = names_given(tree, _is_another) | _returning_another(tree)
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
                yield (
                    node.lineno,
                    f"seeds random numbers with what is another each time ({_shown(node)}): results"
                    " do not follow from the task's seed. Seed them with that",
                )


def _returning_another(tree: ast.Module) -> set[str]:
    """The functions that return something else each time."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    returned = {
        node.name: [one.value for one in ast.walk(node) if isinstance(one, ast.Return)]
        for node in functions
    }
    return {
        name
        for name, values in returned.items()
        if values and all(value is not None and _is_another(value) for value in values)
    }


def _is_another(value: ast.AST, names: Collection[str] = ()) -> bool:
    """Tell whether a value is another each time, and not only where there is no seed."""
    if isinstance(value, ast.BoolOp | ast.IfExp | ast.Lambda):
        return False
    if isinstance(value, ast.Name | ast.Attribute) and dotted(value) in names:
        return True
    if isinstance(value, ast.Call):
        called = dotted(value.func)
        said = {one.value for one in value.args if isinstance(one, ast.Constant)}
        is_date = called.endswith("datetime64") and said.isdisjoint(_TODAY)
        if called in names or (_IS_ANOTHER.fullmatch(called) and not is_date):
            return True
    return any(_is_another(child, names) for child in ast.iter_child_nodes(value))


def system_draws(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The calls that ask the system for random bytes where that is not noticed as they are made."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        module, _, name = dotted(node.func).rpartition(".")
        opened = {one.value for one in node.args[:1] if isinstance(one, ast.Constant)}
        is_device = module == "os" and name == "open" and not opened.isdisjoint(DEVICES)
        is_c = isinstance(node.func, ast.Attribute) and module != "os" and name in _OF_C
        if is_device or is_c:
            yield (
                node.lineno,
                f"draws from the system's entropy ({_shown(node)}): its numbers do not follow from"
                " the task's seed. Draw them of that",
            )


def numbers_of_uuids(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The places that make a number of a random UUID, each with its line."""
    uuids = names_given(tree, _is_uuid)
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
            yield (
                node.lineno,
                f"takes a number of a UUID ({_shown(node)}), which is another one each time: what"
                " depends on it does not follow from the task's seed. Draw it of that",
            )


def _is_uuid(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _UUID.fullmatch(dotted(node.func)) is not None


def drawing_queries(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The lines of texts that have DuckDB draw, where nothing seeds it."""
    if _DUCKDB_SEEDS.search(ast.unparse(tree)):
        return
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


def _shown(node: ast.AST) -> str:
    return printable(one_line(ast.unparse(node), _MOST_CHARACTERS))
