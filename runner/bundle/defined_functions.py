"""The functions that a bundle's files define, by their text: nothing of it is run."""

import ast
import warnings
from pathlib import Path

from bundle_protocol.messages import may_be_a_tasks

_MOST_FILES = 50
_MOST_BYTES = 1 << 20
_LIKELY = ("wire", "run", "main", "simulate")


def functions_of_three(folder: Path) -> list[str]:
    """Those at the top of a folder's files that take three arguments, the likeliest first.

    Where there are none, the functions called ``wire`` of files ``wire.py`` below it.

    :returns: each as ``model.py:run``.
    """
    found = []
    for path in sorted(folder.glob("*.py"))[:_MOST_FILES]:
        if path.name not in ("setup.py", "conftest.py") and path.is_file():
            found += [f"{path.name}:{function}" for function in _functions(path)]
    for path in [] if found else sorted(folder.glob("*/**/wire.py"))[:_MOST_FILES]:
        below = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in below.parts):
            found += [f"{below}:{name}" for name in _functions(path) if name == "wire"]
    return sorted(found, key=_rank)


def _functions(path: Path) -> list[str]:
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(file.read(_MOST_BYTES))
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return []
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and not node.args.kwonlyargs
        and len(names := [one.arg for one in (*node.args.posonlyargs, *node.args.args)]) == 3
        and may_be_a_tasks(names)
    ]


def _rank(spec: str) -> int:
    name = spec.rpartition(":")[2]
    return _LIKELY.index(name) if name in _LIKELY else len(_LIKELY)
