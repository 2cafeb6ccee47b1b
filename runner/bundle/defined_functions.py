"""The functions that a bundle's files define, by their text: nothing of it is run."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

from bundle_protocol.messages import may_be_a_tasks
from runner.bundle.files import files_like, is_plain
from runner.bundle.source import read_source

_MOST_FILES = 50
_MOST_FOLDERS = 10_000
_LIKELY = ("wire", "run", "main", "simulate")


def functions_of_three(folder: Path) -> list[str]:
    """Those at the top of a folder's files that take three arguments, the likeliest first.

    Where there are none, the functions called ``wire`` of files ``wire.py`` below it.

    :returns: each as ``model.py:run``.
    """
    found = []
    for path in files_like(folder, "*.py")[:_MOST_FILES]:
        if path.name not in ("setup.py", "conftest.py"):
            found += [f"{path.name}:{function}" for function in _functions(path)]
    for path in [] if found else sorted(_wires_below(folder))[:_MOST_FILES]:
        below = path.relative_to(folder)
        found += [f"{below}:{name}" for name in _functions(path) if name == "wire"]
    return sorted(found, key=_rank)


def _wires_below(folder: Path) -> Iterator[Path]:
    """No link is followed, which may lead to the whole machine."""
    for number, (place, folders, files) in enumerate(os.walk(folder)):
        if number == _MOST_FOLDERS:
            break
        folders[:] = [name for name in folders if not name.startswith(".") and is_plain(name)]
        if number and "wire.py" in files:
            yield Path(place, "wire.py")


def _functions(path: Path) -> list[str]:
    source = read_source(path)
    return [
        node.name
        for node in ([] if source is None else source.tree.body)
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and not node.args.kwonlyargs
        and len(names := [one.arg for one in (*node.args.posonlyargs, *node.args.args)]) == 3
        and may_be_a_tasks(names)
    ]


def _rank(spec: str) -> int:
    name = spec.rpartition(":")[2]
    return _LIKELY.index(name) if name in _LIKELY else len(_LIKELY)
