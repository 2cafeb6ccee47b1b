"""Reads which packages a notebook's cells import."""

import ast
import json
import re
import sys
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from runner.bundle.foreign.model import Foreign
from runner.diagnosis.knowledge.distribution_names import distribution_named

_INSTALLS = re.compile(r"\s*[%!]\s*(?:python -m )?pip3? install\s+(.*)")


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
                installed += filter(_is_requirement, asked[1].split())
        # IPython's own lines are not Python.
        code = "\n".join(line for line in lines if not re.match(r"\s*[%!?]", line))
        imported |= _imports(code)
    own = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    known = {Requirement(text).name.lower() for text in installed}
    others = [
        distribution_named(module)
        for module in sorted(imported - own - set(sys.stdlib_module_names))
        if distribution_named(module).lower() not in known
    ]
    return Foreign(file=file, kind="a notebook", dependencies=(*installed, *others))


def _imports(code: str) -> set[str]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found


def _is_requirement(text: str) -> bool:
    try:
        Requirement(text.strip("\"'"))
    except InvalidRequirement:
        return False
    return True
