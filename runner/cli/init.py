"""``modelops-runner init``: what a folder lacks to be a bundle, from the files of other tools."""

import re
import shlex
import shutil
import sys
from pathlib import Path

from msgspec import Struct

from runner.bundle.content import all_entries
from runner.bundle.files import has_file, read_text
from runner.bundle.foreign.find import declared_elsewhere, needed_by_code
from runner.bundle.foreign.imports import python_files
from runner.bundle.foreign.model import Foreign
from runner.bundle.foreign.runnable import Runnable, find_runnables, named_runnable, runnables_below
from runner.bundle.pyproject import PYPROJECT, Pyproject, read_pyproject
from runner.bundle.requirements import REQUIREMENTS, is_of_conda
from runner.bundle.source import read_code
from runner.bundle.wire_source import functions_of_three
from runner.cli import init_templates as templates
from runner.cli.command_line.commands import Init, UsageError
from runner.cli.init_files import (
    build_table,
    modules_table,
    project_table,
    requirements_edit,
    wire_of,
)
from runner.diagnosis.case import Failure
from runner.diagnosis.report.model import Edit
from runner.diagnosis.report.sanitise import sanitise_text
from runner.study.writing import write_whole

_MOST_NOTES = 20
_MOST_MODELS = 10


def run(command: Init) -> tuple[int, str]:
    """Write what a folder lacks to be a bundle. What is there stays."""
    folder = command.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = _missing_of(folder, command.model)
        wrote = _written(folder, missing)
    except Failure as failure:
        raise UsageError(f"{failure.finding.summary}; it is left as it is") from failure
    except OSError as error:
        raise UsageError(f"{error.filename or folder}: {error.strerror}") from error
    stub = _is_stub(folder / "wire.py")
    then = "to run it, once wire.py calls the model" if stub else "to run it"
    if wrote:
        source = f", from {missing.source}" if missing.source else ""
        said = [f"wrote {' and '.join(wrote)} in {folder}{source}; {then}:"]
    else:
        said = [f"{folder} is a bundle already, and is left as it is; {then}:"]
    place = shlex.quote(str(folder))
    said.append(f"  modelops-runner exec {place}")
    others = (one for one in all_entries(folder) if one != "wire.py")
    if stub and not any(one.endswith((".py", ".ipynb")) for one in others):
        said.append("there is no other Python: have wire.py start the model, by subprocess.run()")
    elif stub:
        said.append(
            "where a script, a notebook or a function runs the model, have it written anew:"
        )
        said += _commands(folder, runnables_below(folder)) or [
            f"  modelops-runner init {place} --model FILE[:FUNCTION]"
        ]
    said += [f"not taken over: {note}" for note in missing.notes[:_MOST_NOTES]]
    if (more := len(missing.notes) - _MOST_NOTES) > 0:
        said.append(f"not taken over: {more} more")
    print(sanitise_text("\n".join(said)), file=sys.stderr)
    return 0, ""


def _written(folder: Path, missing: "_Missing") -> list[str]:
    """Write it; returns what was written."""
    wrote, pyproject = list[str](), folder / PYPROJECT
    if missing.anew:
        pyproject.unlink()
    is_new = not pyproject.exists()
    if missing.tables and is_new:
        _write_new(pyproject, missing.pyproject)
        wrote.append(PYPROJECT)
    if missing.wire is not None:
        _write_new(folder / "wire.py", missing.wire)
        wrote.append("wire.py")
    if missing.tables and not is_new:
        with pyproject.open("ab") as file:
            write_whole(file.fileno(), "".join(f"\n{one}" for one in missing.tables).encode())
        wrote.append(f"what {PYPROJECT} lacked")
    if missing.edit is not None:
        _change(folder, missing.edit)
        wrote.append(f"what {missing.edit.file} lacked")
    return list(dict.fromkeys(wrote))


def _change(folder: Path, edit: Edit) -> None:
    """Make the change in a copy, which takes the file's place."""
    file = (folder / edit.file).resolve()
    copy = file.with_name(f".{file.name}.new")
    _write_new(copy, edit.apply(read_text(folder, edit.file)))
    shutil.copymode(file, copy)
    copy.replace(file)


def _write_new(file: Path, text: str) -> None:
    if _is_stub(file):
        file.unlink()
    with file.open("xb") as opened:
        try:
            write_whole(opened.fileno(), text.encode())
        except OSError:
            file.unlink()
            raise


class _Missing(Struct):
    """The parts that a folder lacks to be a bundle."""

    tables: list[str] = []
    """Those that pyproject.toml is to have, as their text."""
    wire: str | None = None
    """The text of a wire.py."""
    anew: bool = False
    """True if the pyproject.toml that is there is to be written again."""
    edit: Edit | None = None
    """The change by which a file that is there declares what the model's code imports."""
    source: str | None = None
    """The file of another tool that it is taken from."""
    notes: tuple[str, ...] = ()

    @property
    def pyproject(self) -> str:
        """The whole of a pyproject.toml that is not there yet."""
        return "\n".join(self.tables)


def _missing_of(folder: Path, named: str | None) -> _Missing:
    """Find what is missing.

    :param named: the file, or the function, that runs the model.
    :raises Failure: what is there cannot be read.
    :raises UsageError: it is not known which of several files runs the model.
    """
    pyproject = read_pyproject(folder)
    anew = (
        named is not None
        and pyproject is not None
        and _is_stub(folder / "wire.py")
        and _missing_from(folder, None, None).pyproject == pyproject.text
    )
    missing = _missing_from(folder, None if anew else pyproject, named)
    missing.anew = anew
    return missing


def _missing_from(folder: Path, pyproject: Pyproject | None, named: str | None) -> _Missing:
    known = pyproject or Pyproject()
    described = known.is_project or (
        has_file(folder, REQUIREMENTS) and not is_of_conda(read_text(folder, REQUIREMENTS))
    )
    foreign = None if described else declared_elsewhere(folder, pyproject)
    has_wire = _has_wire(folder, known, foreign)
    if named is not None and has_wire:
        if not _is_stub(folder / "wire.py"):
            raise UsageError(
                f"{folder} says which function runs its tasks, and is left as it is; where that is"
                " its wire.py, remove it to have another one written"
            )
        has_wire = False
    model = None if has_wire else _what_runs(folder, known, named)
    missing, is_empty = _Missing(), False
    file = None if model is None or isinstance(model, str) else model.file
    code = None
    if file or not described:
        code = needed_by_code(folder, file) or python_files(folder, file)
    if described:
        missing.edit = requirements_edit(folder, known, code) if code else None
    else:
        if foreign and file:
            foreign = foreign.with_needs_of(code)
        foreign = foreign or code
        is_empty = foreign is None and not _has_content(folder)
        missing.source = foreign.file if foreign else None
        table, missing.notes = project_table(foreign or Foreign(file="", kind=""), _name(folder))
        if is_empty and pyproject is None:
            table = templates.EXAMPLE_PROJECT.format(name=_name(folder))
        missing.tables.append(table)
        if foreign and foreign.build_requires and not known.table("build-system"):
            missing.tables.append(build_table(foreign))
    if isinstance(model, str):
        missing.tables.append(f'[tool.modelops]\nwire = "{model}"\n')
    elif not has_wire:
        missing.wire = templates.EXAMPLE_WIRE if is_empty else wire_of(model)
        if _is_built_by_setuptools(known, foreign):
            missing.tables += modules_table(folder)
    return missing


def _is_built_by_setuptools(pyproject: Pyproject, foreign: Foreign | None) -> bool:
    """Tell whether setuptools builds the project, and is to find out which modules it has."""
    if pyproject.table("tool").get("setuptools"):
        return False
    if foreign is not None:
        return foreign.file in ("setup.py", "setup.cfg") and not foreign.lists_modules
    build = pyproject.table("build-system")
    return bool(build) and "setuptools" in str(build.get("build-backend", "setuptools"))


def _what_runs(folder: Path, pyproject: Pyproject, named: str | None) -> Runnable | str | None:
    """Return what runs the model: a function that takes a task, by its name; ``None``: nothing.

    :raises UsageError: what is named cannot be run, or several may be meant.
    """
    functions = [] if pyproject.table("tool.modelops") else functions_of_three(folder)
    scripts = pyproject.table("project.scripts")
    if named is not None:
        try:
            return named if named in functions else named_runnable(folder, scripts, named)
        except ValueError as error:
            raise UsageError(f"--model: {error}") from error
    if len(functions) == 1:
        return functions[0]
    found = find_runnables(folder, scripts)
    if len(found) <= 1:
        return found[0] if found else None
    which = f"{folder} has {len(found)} scripts, notebooks or functions that may be its model:"
    raise UsageError("\n".join([which, *_commands(folder, [model.spec for model in found])]))


def _commands(folder: Path, models: list[str]) -> list[str]:
    """The commands that write the wire function of each model, as lines."""
    command = f"modelops-runner init {shlex.quote(str(folder))} --model"
    lines = [f"  {command} {shlex.quote(model)}" for model in models[:_MOST_MODELS]]
    if len(models) > _MOST_MODELS:
        lines.append(f"  ({len(models) - _MOST_MODELS} more)")
    return lines


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


def _is_stub(file: Path) -> bool:
    """Tell whether a wire function is as it was written, and runs nothing."""
    return read_code(file) == templates.STUB_WIRE


def _name(folder: Path) -> str:
    """The folder's name, as a project may be called (PEP 508)."""
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("._-")
    return name or "model"
