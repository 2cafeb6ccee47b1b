"""Reads which packages a notebook's cells import."""

import ast
import json
import re
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from runner.bundle.files import files_like
from runner.bundle.foreign.imports import (
    imports_from,
    imports_of,
    own_modules,
    required_by,
)
from runner.bundle.foreign.model import Foreign

_INSTALLS = re.compile(r"\s*[%!]\s*(?:python -m )?pip3? install\s+(.*)")

_OF_AN_OPTION = re.compile(
    r"(?<!\S)(?:-[rceift]|--(?:requirement|constraint|editable|(?:extra-)?index-url|find-links"
    r"|target))[ =]+\S+"
)


def notebooks_in(folder: Path) -> list[str]:
    """Return the names of the notebooks at the top of a folder."""
    return [path.name for path in files_like(folder, "*.ipynb")]


def notebook(folder: Path, file: str, text: str) -> Foreign | None:
    """Return what the cells of code import and install; ``None`` where it is not a notebook."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    installed: list[str] = []
    imported: set[str] = set()
    for source in sources:
        lines = source.splitlines()
        for line in lines:
            if asked := _INSTALLS.match(line):
                words = (word.strip("\"'") for word in _OF_AN_OPTION.sub("", asked[1]).split())
                installed += filter(_is_requirement, words)
        # IPython's own lines are not Python.
        code = "\n".join(line for line in lines if not re.match(r"\s*[%!?]", line))
        imported |= _imports(code)
    known = {canonicalize_name(Requirement(text).name) for text in installed}
    reached = imports_from(folder, file, imported)
    others, notes = required_by(reached, own_modules(folder, file), known)
    return Foreign(file=file, kind="a notebook", dependencies=(*installed, *others), notes=notes)


def _imports(code: str) -> set[str]:
    try:
        return imports_of(ast.parse(code))
    except (SyntaxError, ValueError, RecursionError):
        return set()


def _is_requirement(text: str) -> bool:
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True
