"""Finds the functions that may be a model, where none takes a task and no script runs it."""

import ast
from pathlib import Path

from msgspec import Struct

from bundle_protocol.messages import wire_argument
from runner.bundle.foreign.imports import model_files
from runner.bundle.foreign.script import no_model
from runner.bundle.source import Source, read_source
from runner.diagnosis.imports.bundle_modules import module_of

_LIKELY = ("simulate", "run", "main", "model", "simulation", "solve", "run_model", "run_simulation")
_HELPERS = ("get", "load", "make", "parse", "plot", "read", "save", "set", "test", "write")
_SEEDS = ("seed", "random_seed", "rng_seed", "random_state")


class ModelFunction(Struct, frozen=True):
    """A function that a task's parameters can be given to."""

    file: str
    """Its path in the folder."""
    name: str
    arguments: str
    """Those of a call, by ``params`` and ``seed``."""
    takes_parameters: bool

    @property
    def module(self) -> str:
        return module_of(self.file)

    @property
    def is_likely(self) -> bool:
        """True where it is called as a model is."""
        return self.name in _LIKELY

    @property
    def spec(self) -> str:
        return f"{self.file}:{self.name}"


def find_functions(folder: Path) -> list[ModelFunction]:
    """Return the functions at the top that are called as a model is, or else the only one."""
    found = [
        function
        for name in model_files(folder)
        if (source := read_source(folder / name)) is not None and no_model(source) is None
        for function in _functions(name, source)
        if not function.name.startswith(_HELPERS)
    ]
    likely = [function for function in found if function.is_likely]
    return likely or (found if len(found) == 1 else [])


def functions_in(folder: Path, file: str) -> list[ModelFunction]:
    """Return the functions of a file that can be called with a task's parameters."""
    source = read_source(folder / file)
    return [] if source is None else _functions(file, source)


def _functions(file: str, source: Source) -> list[ModelFunction]:
    if not all(map(str.isidentifier, file.removesuffix(".py").split("/"))):
        return []
    return [
        ModelFunction(file, node.name, _arguments(node), _takes_parameters(node))
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith("_")
        and not (node.args.posonlyargs or node.args.vararg)
    ]


def _takes_parameters(function: ast.FunctionDef) -> bool:
    given = function.args
    return bool(given.args or given.kwonlyargs or given.kwarg)


def _arguments(function: ast.FunctionDef) -> str:
    """All parameters in one argument where it has one for them, else each in its own."""
    taken = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    seeds = [f"{name}=seed" for name in taken if name in _SEEDS][:1]
    whole = [f"{name}=params" for name in taken if wire_argument(name) == "params"][:1]
    return ", ".join([*whole, *seeds] if whole else [*seeds, "**params"])
