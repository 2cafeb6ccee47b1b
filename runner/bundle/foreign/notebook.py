"""Reads which packages a notebook's cells import."""

import json
import re
from pathlib import Path

from packaging.utils import canonicalize_name

from bundle_protocol.syntax_tree import tree_of
from runner.bundle.files import files_like, read_text
from runner.bundle.foreign.imports import (
    files_below,
    imports_from,
    imports_of,
    own_modules,
    required_by,
)
from runner.bundle.foreign.model import Foreign
from runner.diagnosis.case import Failure
from runner.diagnosis.knowledge.requirement_text import read_requirement

_MOST_BELOW = 50
_INSTALLS = re.compile(r"\s*[%!]\s*(?:python -m )?pip3? install\s+(.*)")

# Runs a file beside it, as an import does.
_RUNS = re.compile(r"^\s*%run +(?:-i +)?['\"]?(\w+)\.py\b", re.MULTILINE)
_WRITES = re.compile(r"^%%writefile .*?(\w+)\.py\s*$", re.MULTILINE)
_OF_AN_OPTION = re.compile(
    r"(?<!\S)(?:-[rceift]|--(?:requirement|constraint|editable|(?:extra-)?index-url|find-links"
    r"|target))[ =]+\S+"
)


def notebooks_in(folder: Path) -> list[str]:
    """Return the names of the notebooks in Python at the top of a folder."""
    names = [path.name for path in files_like(folder, "*.ipynb")]
    return [name for name in names if other_language(folder, name) is None]


def notebooks_below(folder: Path) -> list[str]:
    """Return the paths of the notebooks in Python in a folder's folders, the first ones."""
    files = files_below(folder, ".ipynb")[:_MOST_BELOW]
    return [file for file in files if other_language(folder, file) is None]


def other_language(folder: Path, file: str) -> str | None:
    """Return the language of a notebook's kernel where it is known, and is not Python."""
    try:
        metadata = json.loads(read_text(folder, file))["metadata"]
        told = metadata.get("language_info", {}).get("name")
        language = told or metadata.get("kernelspec", {}).get("language")
    except (Failure, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return language if isinstance(language, str) and "python" not in language.lower() else None


def notebook(folder: Path, file: str, text: str) -> Foreign | None:
    """Return what the cells of code import and install; ``None`` where it is not a notebook."""
    sources = _sources(text)
    if sources is None:
        return None
    installed: dict[str, str] = {}
    for asked in filter(None, map(_INSTALLS.match, "\n".join(sources).splitlines())):
        words = (word.strip("\"'") for word in _OF_AN_OPTION.sub("", asked[1]).split())
        for word in words:
            if (requirement := read_requirement(word)) is not None:
                installed[word] = canonicalize_name(requirement.name)
    imported = set[str]().union(*map(_imports, sources))
    reached = imports_from(folder, file, imported)
    own = own_modules(folder, file) | set(_WRITES.findall("\n".join(sources)))
    others, notes = required_by(reached, own, set(installed.values()))
    return Foreign(file=file, kind="a notebook", dependencies=(*installed, *others), notes=notes)


def modules_of(folder: Path, file: str) -> set[str]:
    """Return the modules at the top that a notebook imports, as far as it can be read."""
    try:
        sources = _sources(read_text(folder, file))
    except Failure:
        return set()
    return set[str]().union(*map(_imports, sources or ()))


def cell_code(file: Path, number: int) -> str | None:
    """Return the code of a notebook's cell, as far as it can be read.

    :param number: which it is of all cells, from 1 on.
    """
    try:
        cells = _cells(read_text(file.parent, file.name))
    except Failure:
        return None
    return None if cells is None else cells.get(number)


def _sources(text: str) -> list[str] | None:
    """The cells of code; ``None`` where it is not a notebook."""
    cells = _cells(text)
    return None if cells is None else list(cells.values())


def _cells(text: str) -> dict[int, str] | None:
    """The cells of code by their numbers among all cells; ``None`` where it is not a notebook."""
    try:
        notebook = json.loads(text)
        sheets = notebook.get("worksheets", [notebook])  # of nbformat 3, before 2014
        cells = enumerate((cell for sheet in sheets for cell in sheet["cells"]), 1)
        return {
            number: "".join(cell["source"] if "source" in cell else cell["input"])
            for number, cell in cells
            if cell["cell_type"] == "code"
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _imports(source: str) -> set[str]:
    ran = set(_RUNS.findall(source))
    # IPython's own lines are not Python.
    lines = (line for line in source.splitlines() if not re.match(r"\s*[%!?]|[\w.]+\?+\s*$", line))
    tree = tree_of("\n".join(lines))
    return ran if tree is None else ran | imports_of(tree)
