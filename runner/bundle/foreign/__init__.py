"""Reads what other tools know a model by, where it is not a bundle yet."""

from runner.bundle.foreign.find import find_foreign
from runner.bundle.foreign.imports import python_files
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.table import project_table

__all__ = ["Foreign", "find_foreign", "project_table", "python_files"]
