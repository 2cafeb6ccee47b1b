"""Finds the script that runs a model, where no function of it takes a task."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from runner.bundle.excluded_code import module_files
from runner.bundle.foreign.imports import imports_of, model_files, others_of, own_modules
from runner.bundle.source import Source, read_source

_OPTIONS = {"absl", "argparse", "click", "docopt", "fire", "getopt", "optparse", "typer", "tyro"}
# Those that make a command of a function, and options of its parameters.
_BY_PARAMETERS = {"fire", "typer", "tyro"}
_SPEC = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_RUNS = (ast.Expr, ast.For, ast.While, ast.With)


class Script(Struct, frozen=True, kw_only=True):
    """A file that is run as a command."""

    file: str
    takes_options: bool
    takes_seed: bool
    """True if ``--seed`` is one of them."""
    negated: str | None
    """The opposite of an ``option``, as an expression; ``None`` where that is to leave it out."""
    imports: tuple[str, ...]
    """The modules of others that it cannot do without."""
    spec: str = ""
    """The function that the command is, where it is installed as one: ``module:function``."""


def find_script(folder: Path) -> Script | None:
    """Return the one script that is meant: ``None`` where there are several, or none."""
    sources = {path.name: read_source(path) for path in model_files(folder)}
    mains = [name for name, source in sources.items() if source and _has_main(source)]
    if not mains and len(sources) == 1:
        mains = [name for name, source in sources.items() if source and _does_something(source)]
    if len(mains) != 1:
        return None
    source = sources[mains[0]]
    assert source is not None
    return _script(folder, mains[0], source)


def find_console_script(folder: Path, scripts: Mapping[str, object]) -> Script | None:
    """Return the one command that a project installs; ``None`` where there are several, or none.

    :param scripts: the table ``[project.scripts]``.
    """
    specs = list(scripts.values())
    if len(specs) != 1 or not _SPEC.fullmatch(spec := str(specs[0])):
        return None
    for file in module_files(spec.partition(":")[0]):
        if (folder / file).is_file() and (source := read_source(folder / file)) is not None:
            return msgspec.structs.replace(_script(folder, file, source), spec=spec)
    return None


def _script(folder: Path, file: str, source: Source) -> Script:
    imported = imports_of(source.tree)
    seed = re.search(r"""["']--seed["']""", source.text) is not None
    by_parameters = bool(imported & _BY_PARAMETERS) and any(
        isinstance(node, ast.arg) and node.arg == "seed" for node in ast.walk(source.tree)
    )
    return Script(
        file=file,
        takes_options=bool(imported & _OPTIONS) or "sys.argv" in source.text,
        takes_seed=seed or by_parameters,
        negated=_negated(source.text, imported),
        imports=tuple(others_of(imported, own_modules(folder))),
    )


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
    body = source.tree.body[1 if ast.get_docstring(source.tree) is not None else 0 :]
    return any(isinstance(node, _RUNS) for node in body)
