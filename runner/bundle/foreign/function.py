"""Finds the function that is a model, where none takes a task and no script runs it."""

import ast
from pathlib import Path

from msgspec import Struct

from bundle_protocol.messages import wire_argument
from runner.bundle.foreign.imports import model_files
from runner.bundle.source import read_source

_LIKELY = ("simulate", "run", "main", "model", "simulation", "solve", "run_model", "run_simulation")
_HELPERS = ("get", "load", "make", "parse", "plot", "read", "save", "set", "test", "write")
_SEEDS = ("seed", "random_seed", "rng_seed", "random_state")


class ModelFunction(Struct, frozen=True):
    """A function that a task's parameters can be given to."""

    file: str
    name: str
    arguments: str
    """Those of a call, by ``params`` and ``seed``."""

    @property
    def module(self) -> str:
        return self.file.removesuffix(".py")


def find_function(folder: Path) -> ModelFunction | None:
    """Return the one function that is meant: ``None`` where there are several, or none."""
    found = [function for path in model_files(folder) for function in _functions(path)]
    likely = [function for function in found if function.name in _LIKELY]
    meant = likely or found
    return meant[0] if len(meant) == 1 else None


def _functions(path: Path) -> list[ModelFunction]:
    source = read_source(path)
    if source is None or not path.stem.isidentifier():
        return []
    return [
        ModelFunction(path.name, node.name, _arguments(node))
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef)
        and not node.name.startswith(("_", *_HELPERS))
        and not (node.args.posonlyargs or node.args.vararg)
    ]


def _arguments(function: ast.FunctionDef) -> str:
    """All parameters in one argument where it has one for them, else each in its own."""
    taken = [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]
    seeds = [f"{name}=seed" for name in taken if name in _SEEDS][:1]
    whole = [f"{name}=params" for name in taken if wire_argument(name) == "params"][:1]
    return ", ".join([*whole, *seeds] if whole else [*seeds, "**params"])
