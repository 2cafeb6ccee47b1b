"""Finds the scripts that may run a model, where no function of it takes a task."""

import ast
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from runner.bundle.foreign.imports import (
    files_below,
    imports_of,
    model_files,
    others_of,
    own_modules,
)
from runner.bundle.imported_files import module_files
from runner.bundle.source import Source, read_source

_MOST_READ = 200
_OPTIONS = {"absl", "argparse", "click", "docopt", "fire", "getopt", "optparse", "typer", "tyro"}
# Those that make a command of a function, and options of its parameters.
_BY_PARAMETERS = {"fire", "typer", "tyro"}
# What these make is shown by a server to a browser, and gives no result by itself.
_PAGES = {"dash", "gradio", "nicegui", "shiny", "solara", "streamlit"}
_OF_MESA = re.compile(r"(?m)^\s*\w*server\.launch\(|^\w+ = ModularServer\(")  # before 3
_TESTS = re.compile(r"\b(?:unittest|pytest|nose)\.main\(")
_LIKELY = re.compile(r"(?i)main|run|simul|model")
_TRIES = re.compile(r"(?i)tests?|.*_tests?")
_SPEC = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_RUNS = (ast.Expr, ast.For, ast.While, ast.With)
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Script(Struct, frozen=True, kw_only=True):
    """A file that is run as a command."""

    file: str
    takes_options: bool
    takes_seed: bool
    """True if ``--seed`` is one of them."""
    negated: str | None
    """The opposite of an ``option``, as an expression; ``None`` where that is to leave it out."""
    imports: tuple[str, ...]
    """The modules of others that it imports at its top, whatever it is to do."""
    runs_in: str = "."
    """The folder that its relative paths begin in, relative to the top."""
    package: str = ""
    """The package that it imports its neighbours from, by their places in it."""
    package_in: str = "."
    """The folder of that package, relative to the top."""
    command: str = ""
    """The function that the command is, where it is installed as one: ``module:function``."""

    @property
    def spec(self) -> str:
        return self.command or self.file


class Scripts(Struct, frozen=True):
    """The scripts at the top of a folder."""

    mains: list[Script]
    """Those that ask whether they are run, that no other file imports and that try nothing out."""
    others: list[Script]
    """Those that do something when they are run."""


def find_scripts(folder: Path, imported: Iterable[str]) -> Scripts:
    """Return what may be run; modules that test themselves are among the others.

    :param imported: modules that something else than Python files imports.
    """
    read = ((name, read_source(folder / name)) for name in model_files(folder))
    sources = {name: source for name, source in read if source is not None}
    modules = set(imported)
    for name, source in sources.items():
        modules |= imports_of(source.tree) - {name.removesuffix(".py")}
    files = {f"{module}.py" for module in modules}
    may_run = [name for name in _likely_first(sources) if no_model(sources[name]) is None]
    mains = [name for name in may_run if _has_main(sources[name])]
    others = [
        name
        for name in may_run
        if name not in mains and name not in files and _does_something(sources[name])
    ]
    alone = [name for name in mains if name not in files and not _TRIES.fullmatch(name[:-3])]
    others += [name for name in mains if name not in alone]
    return Scripts(
        *([_script(folder, name, sources[name]) for name in names] for names in (alone, others))
    )


def script_in(folder: Path, file: str) -> Script | None:
    """Return a file as a script; ``None`` where it cannot be parsed, or does nothing.

    :raises ValueError: it gives no result by itself.
    """
    source = read_source(folder / file)
    if source is not None and (does := no_model(source)) is not None:
        raise ValueError(f"{file} {does}")
    if source is None or not (_has_main(source) or _does_something(source)):
        return None
    return _script(folder, file, source)


def scripts_below(folder: Path) -> list[str]:
    """The paths of the scripts in folders below; a package's modules do not run by themselves."""
    found = []
    for name in files_below(folder)[:_MOST_READ]:
        source = read_source(folder / name)
        is_packages = (folder / name).with_name("__init__.py").exists()
        if source is None or no_model(source) is not None:
            continue
        if _has_main(source) or (not is_packages and _does_something(source)):
            found.append(name)
    return _likely_first(found)


def _likely_first(names: Iterable[str]) -> list[str]:
    """Put the files first whose names say that they run a model."""
    return sorted(names, key=lambda name: _LIKELY.search(PurePosixPath(name).stem) is None)


def no_model(source: Source) -> str | None:
    """Say what a file does that gives no result, as words for its name to come before."""
    if _TESTS.search(source.text):
        return "runs tests"
    pages = imports_of(source.tree) & _PAGES
    page = "mesa" if _OF_MESA.search(source.text) else min(pages, default=None)
    return None if page is None else f"makes a page for a browser, by {page}"


def console_scripts(folder: Path, scripts: Mapping[str, object]) -> list[Script]:
    """Return the commands that a project installs.

    :param scripts: the table ``[project.scripts]``.
    """
    found = []
    for command in filter(_SPEC.fullmatch, map(str, scripts.values())):
        for file in module_files(command.partition(":")[0]):
            if (folder / file).is_file() and (source := read_source(folder / file)) is not None:
                script = _script(folder, file, source)
                found.append(msgspec.structs.replace(script, command=command))
                break
    return found


def _script(folder: Path, file: str, source: Source) -> Script:
    imported = imports_of(source.tree)
    top = [node for node in source.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    at_top = imports_of(ast.Module([*top], []))
    seed = re.search(r"""["']--seed["']""", source.text) is not None
    by_parameters = bool(imported & _BY_PARAMETERS) and any(
        isinstance(node, ast.arg) and node.arg == "seed" for node in ast.walk(source.tree)
    )
    package, package_in = _package_of(folder, file, source)
    return Script(
        file=file,
        package=package,
        package_in=package_in,
        takes_options=bool(imported & _OPTIONS) or _parses_by_itself(source),
        takes_seed=seed or by_parameters,
        negated=_negated(source.text, imported),
        imports=tuple(others_of(at_top, own_modules(folder, file))),
        runs_in=_runs_in(folder, file, source),
    )


def _package_of(folder: Path, file: str, source: Source) -> tuple[str, str]:
    """Return the package of a file that imports from it by a dot, and where that is."""
    parts = PurePosixPath(file).parent.parts
    dots = [node.level for node in ast.walk(source.tree) if isinstance(node, ast.ImportFrom)]
    if not parts or max(dots, default=0) < 1:
        return "", "."
    # One without an __init__.py is a package as well (PEP 420): of all folders that it is in.
    top = len(parts)
    while top and (folder.joinpath(*parts[:top]) / "__init__.py").is_file():
        top -= 1
    top = 0 if top == len(parts) else top
    return ".".join(parts[top:]), "/".join(parts[:top]) or "."


def _runs_in(folder: Path, file: str, source: Source) -> str:
    """Return its own folder, where that has what its relative paths name, and the top has not.

    Paths may also be named in a module that lies beside the script, as of its settings.
    """
    own = PurePosixPath(file).parent
    if not own.name:
        return "."
    beside = (folder / own / f"{module}.py" for module in sorted(imports_of(source.tree)))
    modules = [read_source(path) for path in beside if path.is_file()]
    named = [
        name
        for one in (source, *filter(None, modules))
        for node in ast.walk(one.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200
        # Files of a command line as well: os.system("python pendulum.py")
        for name in (node.value, *re.findall(r"(?<=\s)[\w./-]+\.\w+", node.value))
    ]
    of_own = {text for text in named if _is_in(folder, own, text)}
    of_top = {text for text in named if _is_in(folder, PurePosixPath("."), text)}
    paths = {text for text in of_own | of_top if "/" in text}  # more than a word that is a name too
    if paths:
        is_own = bool(paths & of_own) and not paths & of_top
    else:
        goes_up = ".." in of_own and "__file__" not in source.text
        is_own = goes_up or bool(of_own and not of_top)
    return str(own) if is_own else "."


def _is_in(folder: Path, begin: PurePosixPath, text: str) -> bool:
    """Tell whether a text is the path of something in the bundle, as seen from a folder of it."""
    path = os.path.normpath(begin / text)
    is_path = text.strip("/") not in ("", ".") and not text.startswith("/")
    return is_path and not path.startswith("..") and os.path.lexists(folder / path)


def _parses_by_itself(source: Source) -> bool:
    """Tell whether it looks for options in ``sys.argv``: ``beta = float(sys.argv[1])`` does not."""
    text = re.sub(r"\bsys\.argv\[\d+\]|\blen\(sys\.argv\)", "", source.text)
    return "sys.argv" in text


def _negated(text: str, imported: set[str]) -> str | None:
    if "fire" in imported:
        return 'f"{option}=False"'
    if imported & _BY_PARAMETERS or "BooleanOptionalAction" in text or "/--no-" in text:
        return 'f"--no-{option[2:]}"'
    return None


def _has_main(source: Source) -> bool:
    return any(
        isinstance(node, ast.If) and "__main__" in ast.unparse(node.test)
        for node in source.tree.body
    )


def _does_something(source: Source) -> bool:
    """Tell whether it does something after its definitions: before them, it is prepared for."""
    body = source.tree.body[1 if ast.get_docstring(source.tree) is not None else 0 :]
    does = False
    for node in body:
        if isinstance(node, _DEFINES):
            does = False
        elif isinstance(node, _RUNS):
            does = True
    return does
