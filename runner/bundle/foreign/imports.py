"""Reads which packages Python source imports."""

import ast
import sys
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from runner.bundle.files import files_like
from runner.bundle.foreign.model import Foreign
from runner.bundle.source import read_source
from runner.diagnosis.imports.misspelt_modules import one_edit_from
from runner.diagnosis.knowledge.conda_only import conda_only
from runner.diagnosis.knowledge.distribution_names import distribution_named, distribution_of
from runner.diagnosis.knowledge.well_known import WELL_KNOWN

_MOST_FILES = 200
_NO_MODELS = ("setup.py", "conftest.py", "noxfile.py")
_NO_CODE = ("doc", "docs", "test", "tests")


def python_files(folder: Path) -> Foreign | None:
    """Return what the Python files of a folder import; ``None`` where it has none."""
    files = model_files(folder)
    if not files:
        return None
    below = (
        path
        for pattern in ("*/*.py", "src/*/*.py")
        for path in folder.glob(pattern)
        if path.parent.name not in _NO_CODE and not path.parent.name.startswith(".")
    )
    imported: set[str] = set()
    for path in [*files, *islice(below, _MOST_FILES)]:
        if (source := read_source(path)) is not None:
            imported |= imports_of(source.tree)
    dependencies, notes = required_by(folder, imported)
    return Foreign(file=files[0].name, kind="Python files", dependencies=dependencies, notes=notes)


def model_files(folder: Path) -> list[Path]:
    """The Python files at the top of a folder, without those of tools and tests."""
    return [
        path
        for path in files_like(folder, "*.py")[:_MOST_FILES]
        if path.name not in _NO_MODELS and not path.name.startswith("test_")
    ]


def imports_of(tree: ast.Module) -> set[str]:
    """The modules at the top that a program cannot do without."""
    imports = _Imports()
    imports.visit(tree)
    return imports.found


def required_by(
    folder: Path, imported: Collection[str], known: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The distributions that bring what is imported, and a line for each module left out.

    :param folder: its own modules are nobody else's.
    :param imported: modules at the top.
    :param known: distributions that are asked for already, in small letters.
    """
    own = own_modules(folder)
    dependencies, notes = [], []
    for module in others_of(imported, own):
        name = distribution_named(module)
        if name.lower() in known:
            continue
        if (lacking := conda_only(name)) is not None:
            notes.append(f"import {module}: {lacking.what}")
        elif (meant := _nearly(module, own)) is not None:
            # What is called nearly as a package of many users may be a stranger's.
            notes.append(f"import {module}: it is nearly {meant}")
        else:
            dependencies.append(name)
    return tuple(dependencies), tuple(notes)


def others_of(imported: Collection[str], own: Collection[str]) -> list[str]:
    """Those of some modules at the top that are neither one's own nor Python's."""
    return sorted({*imported} - {*own} - set(sys.stdlib_module_names))


def own_modules(folder: Path) -> set[str]:
    """The modules at the top that a folder itself has."""
    folders = {path.name for top in (folder, folder / "src") for path in top.glob("*/")}
    return folders | {path.stem for path in folder.glob("*.py")}


def _nearly(module: str, own: Collection[str]) -> str | None:
    if module in WELL_KNOWN or distribution_of(module) is not None:
        return None
    return one_edit_from(module, [*sorted(own), *sorted(WELL_KNOWN)])


class _Imports(ast.NodeVisitor):
    """Collects what is imported, but for what may be missing."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {alias.name.partition(".")[0] for alias in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if not node.level and node.module:
            self.found.add(node.module.partition(".")[0])

    def visit_Try(self, node: ast.Try) -> None:
        if not any(_catches_a_missing_module(handler) for handler in node.handlers):
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" not in ast.unparse(node.test):
            self.generic_visit(node)


def _catches_a_missing_module(handler: ast.ExceptHandler) -> bool:
    caught = "Exception" if handler.type is None else ast.unparse(handler.type)
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))
