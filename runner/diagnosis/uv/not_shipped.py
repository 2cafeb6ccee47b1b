"""Says to a build backend what it is to ship, where it has not found that out by itself."""

import re

from bundle_protocol.near_names import nearest
from runner.diagnosis.case import Case
from runner.diagnosis.pyproject_edits import PYPROJECT
from runner.diagnosis.report.model import Edit, Hint

_NOTHING_TO_SHIP = {
    "Unable to determine which files to ship": "hatchling",
    "discovered in a flat-layout": "setuptools",
    "Expected a Python module at": "uv_build",
    "No file/folder found for package": "poetry-core",
    "No file/folder found for module": "flit",
}

_NO_FOLDER = re.compile(r"package directory '([\w./-]{1,200})' does not exist")
# The sources of what is built, and not only copied.
_COMPILED = re.compile(
    r"\.(?:pyx|pxd|c|cc|cpp|cu|f|f90|rs|go)$|(?:^|/)(?:CMakeLists|meson)\b", re.I
)


def say_what_to_ship(case: Case, words: str) -> list[Hint]:
    """:param words: what a build said, whose backend has found nothing to ship, or too much."""
    if no_folder := _NO_FOLDER.search(words):
        return [_package_folder(case, no_folder[1])]
    backend = next((who for said, who in _NOTHING_TO_SHIP.items() if said in words), None)
    if backend is None:
        return []
    below = sorted({folder for file in case.bundle_files if (folder := _package_of_src(file))})
    modules = below or _modules(case)
    if backend == "uv_build" and all(name.endswith(".py") for name in modules):
        modules = []  # It builds packages alone.
    names = [name.removesuffix(".py") for name in modules]
    packages = [name for name in modules if not name.endswith(".py")]
    hints = []
    if modules:
        title = "say which modules are to be installed"
        hints.append(Hint(title, edit=_shipped(case, backend, modules, packages, names)))
    if not _has_src(case):
        hints.append(only_dependencies(case, "or, " if hints else ""))
    return hints


def _package_folder(case: Case, folder: str) -> Hint:
    """The hint where a package is named by a folder that is not there."""
    package = folder.replace("/", ".")
    there = None
    if f"src/{folder}/__init__.py" in case.bundle_files:
        package, there = "", "src"
    elif "__init__.py" in case.bundle_files:
        there = "."  # the folder itself, which had the package's name before it was a bundle
    pyproject = case.pyproject_text()
    if there is None:
        folders = [name.rpartition("/")[0] for name in case.bundle_files if "__init__.py" in name]
        near = nearest(folder, folders)
        named = pyproject.value("tool.setuptools", "packages") is not None
        title = f"correct packages in {PYPROJECT if named else 'setup.py'}: the bundle has no"
        title += f" folder {folder}" + (f", and has {near[0]}" if near else "")
        edit = None
        if near:
            name = near[0].replace("/", ".")
            edit = pyproject.replaced("tool.setuptools", "packages", package, name)
        return Hint(title, edit=edit)
    edit = pyproject.setting("tool.setuptools", "package-dir", {package: there})
    return Hint(f"say where the package {folder} is: in {there}", edit=edit)


def only_dependencies(case: Case, otherwise: str) -> Hint:
    return Hint(
        f"{otherwise}if its code need not be installed, have only its dependencies installed:"
        " a task runs in the bundle's folder",
        edit=case.pyproject_text().setting("tool.uv", "package", False),
    )


def not_to_be_built(case: Case) -> list[Hint]:
    """The hint to do without the build, where its modules are found and nothing is compiled."""
    pyproject = case.pyproject_text()
    compiled = any(_COMPILED.search(file) for file in case.bundle_files)
    if _has_src(case) or compiled or "dependencies" in pyproject.items("project", "dynamic"):
        return []
    hint = only_dependencies(case, "")
    return [] if hint.edit is None else [hint]


def _shipped(
    case: Case, backend: str, modules: list[str], packages: list[str], names: list[str]
) -> Edit | None:
    """The setting of a backend that names the modules to install."""
    pyproject = case.pyproject_text()
    src = modules[0].startswith("src/")
    names = [name.removeprefix("src/") for name in names]
    if backend == "hatchling":
        key = "packages" if src else "only-include"
        return pyproject.setting("tool.hatch.build.targets.wheel", key, modules)
    if backend == "uv_build":
        lines = f'[tool.uv.build-backend]\nmodule-name = "{names[0]}"'
        return pyproject.added(lines if src else f'{lines}\nmodule-root = ""')
    if backend == "poetry-core":
        included: list[object] = [{"include": name} for name in modules]
        if src:
            included = [{"include": name, "from": "src"} for name in names]
        return pyproject.setting("tool.poetry", "packages", included)
    if backend == "flit":
        return pyproject.setting("tool.flit.module", "name", names[0])
    if packages:
        found = [f"{name}*" for name in packages]
        return pyproject.setting("tool.setuptools.packages.find", "include", found)
    return pyproject.setting("tool.setuptools", "py-modules", names)


def _has_src(case: Case) -> bool:
    """Tell whether Python finds its modules only once they are installed."""
    return any(file.startswith("src/") and file.endswith(".py") for file in case.bundle_files)


def _package_of_src(file: str) -> str | None:
    """The package below ``src`` that a file is of, with an ``__init__.py`` or without."""
    found = re.fullmatch(r"(src/\w+)/\w+\.py", file)
    return found[1] if found else None


def _modules(case: Case, most: int = 8) -> list[str]:
    """The bundle's packages and modules at its top, as far as they are code to install."""
    packages = {
        file.removesuffix("/__init__.py")
        for file in case.bundle_files
        if file.endswith("/__init__.py") and file.count("/") == 1
    }
    plain = {file for file in case.bundle_files if file.endswith(".py") and "/" not in file}
    found = sorted(packages - {"tests", "test", "docs"})
    found += sorted(plain - {"setup.py", "hatch_build.py", "conftest.py"})
    return [name for name in found if re.fullmatch(r"\w+(?:\.py)?", name)][:most]
