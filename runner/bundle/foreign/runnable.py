"""Finds what runs the model of a folder, where no function of it takes a task."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from runner.bundle.foreign.function import ModelFunction, find_function
from runner.bundle.foreign.notebook import notebook_in
from runner.bundle.foreign.script import Script, find_console_script, find_script


class Notebook(Struct, frozen=True):
    """A notebook, whose cells are run."""

    file: str


def find_runnable(
    folder: Path, scripts: Mapping[str, object]
) -> Notebook | Script | ModelFunction | None:
    """Return the one thing that is meant: ``None`` where it is not known.

    :param scripts: the table ``[project.scripts]``.
    """
    if (notebook := notebook_in(folder)) is not None:
        return Notebook(notebook)
    return find_script(folder) or find_console_script(folder, scripts) or find_function(folder)
