"""Follows the imports of a bundle's code through the files in its folder."""

import ast
from collections.abc import Iterable, Iterator
from itertools import accumulate
from pathlib import Path, PurePosixPath

from runner.bundle.source import read_source

ROOTS = ("", "src/")
"""Where a bundle has its modules, below its folder."""


def imported_files(
    folder: Path, functions: Iterable[str], roots: tuple[str, ...] = ROOTS
) -> Iterator[tuple[str, str]]:
    """The files in the bundle's folder that its functions import, as far as their source tells.

    :param roots: where its modules are, below its folder.
    :returns: each with a line that says why.
    """
    seen = set[str]()
    left = []
    for function in sorted(functions):
        module, _, name = function.partition(":")
        left.append((f"the bundle's function {name} is in it", _files_of(module, roots)))
    while left:
        why, candidates = left.pop()
        for name in candidates:
            if name in seen or not (folder / name).is_file():
                continue
            seen.add(name)
            yield name, why
            source = read_source(folder / name)
            if source is not None:
                modules = _modules(source.tree, PurePosixPath(name).parent)
                files = [file for module in modules for file in _files_of(module, roots)]
                left.append((f"{name} imports it", files))


def module_files(module: str, roots: tuple[str, ...] = ROOTS) -> list[str]:
    """The files that may be a module, or a path that names one."""
    if module.endswith(".py") or "/" in module:
        return [PurePosixPath(module).as_posix()]
    path = module.replace(".", "/")
    return [f"{root}{path}{end}" for root in roots for end in (".py", "/__init__.py")]


def _files_of(module: str, roots: tuple[str, ...]) -> list[str]:
    """The files that may be a module, and those of the packages that it is in."""
    if module.endswith(".py") or "/" in module:
        return module_files(module)
    names = accumulate(module.split("."), "{}.{}".format)
    return [file for name in names for file in module_files(name, roots)]


def _modules(tree: ast.AST, beside: PurePosixPath) -> Iterator[str]:
    """The modules that a file may import, as seen from the bundle's folder.

    :param beside: the file's folder, for relative imports.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = beside.parts[: len(beside.parts) + 1 - node.level] if node.level else ()
            module = (*above, *([node.module] if node.module else []))
            if module:
                yield ".".join(module)
            # What is imported from a package may be a module of it.
            yield from (".".join((*module, name.name)) for name in node.names)
