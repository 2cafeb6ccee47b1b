"""Finds what runs the model of a folder, where no function of it takes a task."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from msgspec import Struct

from bundle_protocol.near_names import nearest
from runner.bundle.content import all_entries
from runner.bundle.files import has_file
from runner.bundle.foreign.function import ModelFunction, find_functions, functions_in
from runner.bundle.foreign.notebook import modules_of, notebooks_below, notebooks_in, other_language
from runner.bundle.foreign.script import (
    Script,
    console_scripts,
    find_scripts,
    script_in,
    scripts_below,
)
from runner.bundle.imported_files import module_files


class Notebook(Struct, frozen=True):
    """A notebook, whose cells are run."""

    file: str

    @property
    def spec(self) -> str:
        return self.file


Runnable: TypeAlias = Notebook | Script | ModelFunction


def find_runnables(folder: Path, scripts: Mapping[str, object]) -> list[Runnable]:
    """Return what is meant, where it is known, and else all that may be.

    :param scripts: the table ``[project.scripts]``.
    """
    names = notebooks_in(folder)
    imported = {module for name in names for module in modules_of(folder, name)}
    found = find_scripts(folder, imported)
    notebooks = list(map(Notebook, names))
    commands = found.mains or console_scripts(folder, scripts)
    likeliest: list[Runnable] = [*commands, *notebooks]
    if len(likeliest) == 1 and (commands or not found.others):
        return likeliest
    mains = {script.file for script in found.mains}
    functions = [
        one for one in find_functions(folder) if one.takes_parameters or one.file not in mains
    ]
    if found.others:
        files = {script.file for script in found.others}
        functions = [one for one in functions if one.is_likely and one.file not in files]
    return [*likeliest, *found.others, *functions]


def runnables_below(folder: Path) -> list[str]:
    """The scripts and notebooks in folders below, of which one may be meant."""
    return [*scripts_below(folder), *notebooks_below(folder)]


def named_runnable(folder: Path, scripts: Mapping[str, object], spec: str) -> Runnable:
    """Return what somebody has named.

    :param scripts: the table ``[project.scripts]``.
    :param spec: a notebook, a script, or ``FILE:FUNCTION``; its path begins in the folder, or in
        the current one, as a shell completes it. What a command of the project is, is run as that.
    :raises ValueError: it is not there, or cannot be run.
    """
    for command in console_scripts(folder, scripts):
        if command.command == spec:
            return command
    named, _, function = spec.partition(":")
    file = _file_in(folder, named)
    if file is None:
        there = [one for one in all_entries(folder) if one.endswith((".py", ".ipynb"))]
        near = nearest(named, there)
        question = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"{named} is not in {folder}{question}")
    if file.endswith(".ipynb"):
        if (language := other_language(folder, file)) is not None:
            raise ValueError(f"{file} is a notebook in {language[:40]}, not in Python")
        return Notebook(file)
    functions = functions_in(folder, file)
    if not function:
        try:
            script = script_in(folder, file)
        except ValueError as error:
            raise ValueError(f"{error}{_one_of(functions)}") from error
        if script is not None:
            return script
        raise ValueError(f"{file} does nothing when it is run{_one_of(functions)}")
    for model in functions:
        if model.name == function:
            return model
    raise ValueError(
        f"{file} has no function {function} that can be called with a task's parameters"
        f"{_one_of(functions)}"
    )


def _file_in(folder: Path, named: str) -> str | None:
    """The path of a file relative to the folder that it is in."""
    for file in module_files(named) if not named.endswith(".ipynb") else [named]:
        if ".." not in PurePosixPath(file).parts and has_file(folder, file):
            return PurePosixPath(file).as_posix()
    path, top = Path(named).resolve(), folder.resolve()
    return path.relative_to(top).as_posix() if path.is_file() and top in path.parents else None


def _one_of(functions: list[ModelFunction]) -> str:
    if not functions:
        return ""
    named = ", ".join(model.spec for model in functions[:10])
    return f"; name a function of it: {named}"
