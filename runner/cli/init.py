"""``modelops-runner init``: what a folder lacks to be a bundle, from the files of other tools."""

import re
import shlex
import sys
from pathlib import Path

from msgspec import Struct

from runner.bundle.defined_functions import functions_of_three
from runner.bundle.files import has_file, read_text
from runner.bundle.foreign.find import find_foreign
from runner.bundle.foreign.imports import python_files
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.table import project_table
from runner.bundle.pyproject import PYPROJECT, Pyproject, read_pyproject
from runner.bundle.requirements import REQUIREMENTS, is_of_conda
from runner.cli import init_templates as templates
from runner.cli.command_line.commands import Init, UsageError
from runner.cli.init_wire import wire_of
from runner.diagnosis.case import Failure
from runner.diagnosis.report.sanitise import sanitise_text
from runner.study.writing import write_whole

_MOST_NOTES = 20


def run(command: Init) -> tuple[int, str]:
    """Write what a folder lacks to be a bundle. What is there stays."""
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
        stub = missing.added.get("wire.py") == templates.STUB_WIRE
        then = "to run it, once wire.py calls the model" if stub else "to run it"
        said = [f"wrote {' and '.join(wrote)} in {folder}{source}; {then}:"]
    else:
        said = [f"{folder} is a bundle already, and is left as it is; to run it:"]
    said.append(f"  modelops-runner exec {shlex.quote(str(folder))}")
    said += [f"not taken over: {note}" for note in missing.notes[:_MOST_NOTES]]
    if (more := len(missing.notes) - _MOST_NOTES) > 0:
        said.append(f"not taken over: {more} more")
    print(sanitise_text("\n".join(said)), file=sys.stderr)
    return 0, ""


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
    empty = foreign is None and not described and not _has_content(folder)
    if not described:
        missing.source = foreign.file if foreign else None
        if empty and pyproject is None:
            table = templates.EXAMPLE_PROJECT.format(name=_name(folder))
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
        missing.added["wire.py"] = (
            templates.EXAMPLE_WIRE if empty else wire_of(folder, pyproject or Pyproject())
        )
    return missing


def _has_content(folder: Path) -> bool:
    """Tell whether a folder has more than words: a model in another language, or data.

    The example's numbers would pass for that model's there.
    """
    words = re.compile(r"\.|(?i:readme|licen[cs]e)|.*\.(?:md|rst|txt)$")
    return any(not words.match(path.name) for path in folder.iterdir())


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
