"""``modelops-runner init``: what a folder lacks to be a bundle, from the files of other tools."""

import re
import shlex
import sys
from pathlib import Path

from msgspec import Struct

from runner.bundle.defined_functions import functions_of_three
from runner.bundle.files import has_file, read_text
from runner.bundle.foreign import Foreign, find_foreign, project_table, python_files
from runner.bundle.foreign.notebook import notebook_in
from runner.bundle.foreign.script import find_script
from runner.bundle.pyproject import PYPROJECT, Pyproject, read_pyproject
from runner.bundle.requirements import REQUIREMENTS, is_of_conda
from runner.cli.command_line.commands import Init, UsageError
from runner.cli.init_templates import (
    EXAMPLE_PROJECT,
    EXAMPLE_WIRE,
    NOTEBOOK_WIRE,
    SCRIPT_OPTIONS,
    SCRIPT_WIRE,
    SCRIPT_WITHOUT_OPTIONS,
    STUB_WIRE,
)
from runner.diagnosis.case import Failure
from runner.diagnosis.report.sanitise import sanitise_text
from runner.study.writing import write_whole

_MOST_NOTES = 20


def run_init(command: Init) -> int:
    """Write what a folder lacks to be a bundle; returns the exit code. What is there stays."""
    folder = command.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = missing_of(folder)
        for name, text in missing.added.items():
            _write_new(folder / name, text)
        if missing.appended:
            with (folder / PYPROJECT).open("ab") as file:
                write_whole(file.fileno(), missing.appended.encode())
    except Failure as failure:
        raise UsageError(f"{failure.finding.summary}; it is left as it is") from failure
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror}") from error
    wrote = [*missing.added, *([f"what {PYPROJECT} lacked"] if missing.appended else [])]
    if wrote:
        source = f", from {missing.source}" if missing.source else ""
        stub = missing.added.get("wire.py") == STUB_WIRE
        then = "to run it, once wire.py calls the model" if stub else "to run it"
        said = [f"wrote {' and '.join(wrote)} in {folder}{source}; {then}:"]
    else:
        said = [f"{folder} is a bundle already, and is left as it is; to run it:"]
    said.append(f"  modelops-runner exec {shlex.quote(str(folder))}")
    said += [f"not taken over: {note}" for note in missing.notes[:_MOST_NOTES]]
    if (more := len(missing.notes) - _MOST_NOTES) > 0:
        said.append(f"not taken over: {more} more")
    print(sanitise_text("\n".join(said)), file=sys.stderr)
    return 0


def _write_new(file: Path, text: str) -> None:
    with file.open("xb") as opened:
        try:
            write_whole(opened.fileno(), text.encode())
        except OSError:
            file.unlink()
            raise


class _Missing(Struct):
    """The parts that a folder lacks to be a bundle."""

    added: dict[str, str] = {}
    """Files to write, with their texts."""
    appended: str = ""
    """The tables to be added to the pyproject.toml that is there."""
    source: str | None = None
    """The file of another tool that it is taken from."""
    notes: tuple[str, ...] = ()


def missing_of(folder: Path) -> _Missing:
    """Find what is missing.

    :raises Failure: what is there cannot be read.
    """
    pyproject = read_pyproject(folder)
    foreign = find_foreign(folder, pyproject) or python_files(folder)
    missing = _Missing()
    described = (pyproject is not None and pyproject.is_project) or (
        has_file(folder, REQUIREMENTS) and not is_of_conda(read_text(folder, REQUIREMENTS))
    )
    empty = foreign is None and not described
    if not described:
        missing.source = foreign.file if foreign else None
        if empty and pyproject is None:
            table = EXAMPLE_PROJECT.format(name=_name(folder))
        else:
            table, missing.notes = project_table(
                foreign or Foreign(file="", kind=""), _name(folder)
            )
        if pyproject is None:
            missing.added[PYPROJECT] = table
        else:
            missing.appended = f"\n{table}"
    if _has_wire(folder, pyproject or Pyproject(), None if described else foreign):
        return missing
    functions = functions_of_three(folder)
    if len(functions) == 1 and (pyproject is None or not pyproject.table("tool.modelops")):
        table = f'[tool.modelops]\nwire = "{functions[0]}"\n'
        if pyproject is not None:
            missing.appended += f"\n{table}"
        else:
            missing.added[PYPROJECT] = "\n".join([*missing.added.values(), table])
    else:
        missing.added["wire.py"] = EXAMPLE_WIRE if empty else _wire(folder)
    return missing


def _wire(folder: Path) -> str:
    """The wire function of the notebook or the script that is there."""
    notebook = notebook_in(folder)
    if notebook is not None:
        return NOTEBOOK_WIRE.format(file=notebook)
    script = find_script(folder)
    if script is None:
        return STUB_WIRE
    options = SCRIPT_WITHOUT_OPTIONS
    if script.takes_options:
        seed = '"--seed", str(seed)' if script.takes_seed else ""
        options = SCRIPT_OPTIONS.replace("{seed}", seed)
    imports = "".join(f"import {module}\n" for module in script.imports)
    if imports:
        imports = (
            f"# What the script imports, so that a process forked for a task has it.\n{imports}\n"
        )
    return SCRIPT_WIRE.format(file=script.file, options=options, imports=imports)


def _has_wire(folder: Path, pyproject: Pyproject, foreign: Foreign | None) -> bool:
    entry_points = pyproject.table("project").get("entry-points", {})
    return (
        (folder / "wire.py").exists()
        or (folder / ".modelops").exists()
        or "wire" in pyproject.table("tool.modelops")
        or "modelops.wire" in entry_points
        or bool(foreign and foreign.wires)
    )


def _name(folder: Path) -> str:
    """The folder's name, as a project may be called (PEP 508)."""
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("._-")
    return name or "model"
