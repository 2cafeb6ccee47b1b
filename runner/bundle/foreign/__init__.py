"""Reads what other tools know a model by, where it is no bundle yet."""

from runner.bundle.foreign.conda_file import is_export
from runner.bundle.foreign.find import find_foreign
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.table import project_table

__all__ = ["Foreign", "find_foreign", "is_export", "project_table"]
