"""Reads which packages Python source imports."""

import ast
import sys
from collections.abc import Collection, Iterable
from itertools import islice
from pathlib import Path, PurePosixPath

from packaging.utils import canonicalize_name

from runner.bundle.content import all_entries
from runner.bundle.files import files_like, is_plain
from runner.bundle.foreign.compiled import compiled_modules
from runner.bundle.foreign.model import Foreign
from runner.bundle.imported_files import ROOTS, imported_files
from runner.bundle.source import read_source
from runner.diagnosis.imports.misspelt_modules import one_edit_from
from runner.diagnosis.knowledge.conda_only import conda_only
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.knowledge.stdlib_changes import REMOVED_MODULES
from runner.diagnosis.knowledge.well_known import WELL_KNOWN, is_known_module

_MOST_FILES = 200
_NO_MODELS = (
    "conftest.py", "dodo.py", "ez_setup.py", "fabfile.py", "noxfile.py", "setup.py", "toxfile.py",
    "versioneer.py",
)  # fmt: skip
_NO_CODE = {"doc", "docs", "test", "tests"}


def python_files(folder: Path, file: str | None = None) -> Foreign | None:
    """Return what the Python files of a folder import; ``None`` where it has none.

    :param file: the path of the one that runs the model: what that does not import is not asked
        for, as it may be a stranger's package of the name of a file that is gone.
    """
    if file is not None:
        dependencies, notes = required_by(imports_from(folder, file), own_modules(folder, file))
        return Foreign(file=file, kind="Python files", dependencies=dependencies, notes=notes)
    files = model_files(folder)
    below = files_below(folder)
    if not (files or below):
        return None
    imported = _imported(folder / name for name in files)
    others = _imported(folder / name for name in islice(below, _MOST_FILES)) - imported
    known = set(filter(is_known_module, others))
    own = own_modules(folder)
    dependencies, notes = required_by(imported | known, own)
    notes += tuple(
        f"import {module}: only files in folders below do so; add it where the model needs it"
        for module in others_of(others - known, own)
    )
    return Foreign(
        file=files[0] if len(files) == 1 and not below else "its Python files",
        kind="Python files",
        dependencies=dependencies,
        notes=notes,
    )


def imports_from(folder: Path, file: str, modules: Iterable[str] = ()) -> set[str]:
    """The modules at the top that a file of a folder needs, with those of its own that it imports.

    :param file: its path in the folder.
    :param modules: what it imports, where it is not Python itself.
    """
    begin = [f"{module}:" for module in (modules or [file])]
    found = {*modules}
    roots = tuple(dict.fromkeys((*ROOTS, _root(file))))
    while True:
        names = (name for name, _ in imported_files(folder, begin, roots))
        found |= _imported(folder / name for name in islice(names, _MOST_FILES))
        before, roots = roots, tuple(dict.fromkeys((*roots, *_places_of(folder, found))))
        if roots == before:
            return found


def _places_of(folder: Path, modules: Collection[str]) -> list[str]:
    """The folders of modules that lie at one place of a folder, which a script puts on its path."""
    places: dict[str, set[str]] = {}
    for entry in map(PurePosixPath, all_entries(folder)):
        path = _module_path(entry)
        if entry.suffix == ".py" and path.name in modules and not is_known_module(path.name):
            places.setdefault(path.name, set()).add(_root(str(path)))
    return sorted({place for found in places.values() if len(found) == 1 for place in found})


def _module_path(file: PurePosixPath) -> PurePosixPath:
    """The path of a module without what its file is called by: a package's is its folder."""
    name = file.name.partition(".")[0]
    return file.parent if name == "__init__" else file.parent / name


def _imported(files: Iterable[Path]) -> set[str]:
    sources = filter(None, map(read_source, files))
    return {module for source in sources for module in imports_of(source.tree)}


def _root(file: str) -> str:
    """The folder of a file, as the start of the paths of what lies beside it."""
    return file[: file.rfind("/") + 1]


def model_files(folder: Path) -> list[str]:
    """The names of the Python files at the top of a folder, without those of tools and tests."""
    names = (path.name for path in files_like(folder, "*.py")[:_MOST_FILES])
    return [name for name in names if _may_be_a_model(name)]


def files_below(folder: Path, end: str = ".py") -> list[str]:
    """The paths of the files in folders below that end so, without those of tools and tests."""
    return [
        name
        for name in all_entries(folder)
        if name.endswith(end)
        and is_plain(name)
        and _NO_CODE.isdisjoint(parts := name.split("/")[:-1])
        and parts
        and _may_be_a_model(name[name.rfind("/") + 1 :])
    ]


def _may_be_a_model(name: str) -> bool:
    return name not in _NO_MODELS and not name.startswith("test_")


def imports_of(tree: ast.Module) -> set[str]:
    """The modules at the top that a program cannot do without."""
    imports = _Imports()
    imports.visit(tree)
    return imports.found


def required_by(
    imported: Collection[str], own: Collection[str], known: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The distributions that bring what is imported, and a line for each module left out.

    :param imported: modules at the top.
    :param own: the folder's own modules, which are nobody else's.
    :param known: distributions that are asked for already, by their canonical names.
    """
    dependencies, notes = [], []
    for module in others_of(imported, own):
        name = distribution_named(module)
        if canonicalize_name(name) in known:
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
    """Those of some modules at the top that are neither one's own nor any Python's."""
    return sorted({*imported} - {*own} - set(sys.stdlib_module_names) - set(REMOVED_MODULES))


def own_modules(folder: Path, file: str = "") -> set[str]:
    """The modules that a folder itself has, wherever it has them: a script may set its own path.

    A file or folder that only happens to be called as a package of many users is none of them;
    what sources in another language are compiled to is one.

    :param file: a path in it, beside which modules lie.
    """
    roots = set(map(PurePosixPath, (*ROOTS, _root(file))))
    found = {*compiled_modules(folder)}
    for entry in map(PurePosixPath, all_entries(folder)):
        if entry.suffix not in (".py", ".pyx", ".so", ".pyd"):
            continue
        path = _module_path(entry)
        if path.parent in roots or not is_known_module(path.name):
            found.add(path.name)
        # A folder without an __init__.py is a package as well (PEP 420), after all others.
        found |= {part for part in entry.parts[:-1] if not is_known_module(part)}
    return found


def _nearly(module: str, own: Collection[str]) -> str | None:
    if is_known_module(module):
        return None
    return one_edit_from(module, [*sorted(own), *sorted(WELL_KNOWN)])


# What an `if` asks for, whose imports are those of a type checker, another system or a tool.
_ELSEWHERE = ("TYPE_CHECKING", "os.name", "platform", "sys.modules")


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
        if not any(word in ast.unparse(node.test) for word in _ELSEWHERE):
            self.generic_visit(node)


def _catches_a_missing_module(handler: ast.ExceptHandler) -> bool:
    caught = "Exception" if handler.type is None else ast.unparse(handler.type)
    return any(name in caught for name in ("ImportError", "ModuleNotFoundError", "Exception"))
