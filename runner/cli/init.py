"""``modelops-runner init``: what a folder lacks to be a bundle, from the files of other tools."""

import re
import shlex
import sys
from pathlib import Path

from msgspec import Struct

from runner.bundle.files import has_file, read_text
from runner.bundle.foreign import Foreign, find_foreign, project_table
from runner.bundle.pyproject import PYPROJECT, Pyproject, read_pyproject
from runner.bundle.requirements import REQUIREMENTS, is_of_conda
from runner.cli.command_line.commands import Init, UsageError
from runner.diagnosis.case import Failure
from runner.study.writing import write_whole

_PYPROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.10"  # as old as the model runs on: each worker uses a Python that fits
dependencies = []  # "numpy>=2", "pandas"

[tool.modelops]
entrypoint = "baseline"
"""

_WIRE = '''\
"""An epidemic, day by day: susceptible, infectious, recovered."""

import csv
import io
import json
import random

DEFAULTS = {"population": 1000, "infectious": 10, "beta": 0.3, "gamma": 0.1, "days": 120}
SCENARIOS = {"baseline": {}, "lockdown": {"beta": 0.12}}


def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]:
    """Run one task.

    entrypoint: which scenario; params: what a study varies; seed: of all random numbers, so that
    the same task gives the same outputs. Returns the outputs, each by its name.
    """
    if entrypoint not in SCENARIOS:
        raise ValueError(f"no scenario {entrypoint!r}; there are {', '.join(SCENARIOS)}")
    unknown = sorted(set(params) - set(DEFAULTS))
    if unknown:
        raise ValueError(f"no parameter {unknown[0]!r}; there are {', '.join(DEFAULTS)}")
    model = {**DEFAULTS, **SCENARIOS[entrypoint], **params}
    rows = simulate(random.Random(seed), **model)

    table = io.StringIO()
    csv.writer(table).writerows([("day", "susceptible", "infectious", "recovered"), *rows])
    peak_day, _, peak, _ = max(rows, key=lambda row: row[2])
    summary = {"peak_day": peak_day, "peak": peak, "recovered": rows[-1][3]}
    return {
        "trajectory.csv": table.getvalue().encode(),
        "summary.json": json.dumps(summary).encode(),
    }


def simulate(rng, population, infectious, beta, gamma, days):
    susceptible, recovered = population - infectious, 0
    rows = [(0, susceptible, infectious, recovered)]
    for day in range(1, days + 1):
        risk = 1 - (1 - beta / population) ** infectious
        infected = sum(rng.random() < risk for _ in range(susceptible))
        ended = sum(rng.random() < gamma for _ in range(infectious))
        susceptible -= infected
        infectious += infected - ended
        recovered += ended
        rows.append((day, susceptible, infectious, recovered))
    return rows
'''


_STUB = '''\
"""The wire function: what a worker calls for each task."""

import json


def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]:
    """Run one task, and return its outputs, each by its name.

    Import your model here and call it with what a study varies (params) and the seed of all random
    numbers.
    """
    return {"result.json": json.dumps({"params": params, "seed": seed}).encode()}
'''

_NOTEBOOK = '''\
"""The wire function: runs the cells of {file}, with the task's parameters in place of its own."""

import json
from pathlib import Path

NOTEBOOK = Path(__file__).with_name({file!r})


def wire(entrypoint: str, params: dict, seed: int) -> dict[str, bytes]:
    """Run all cells. A cell with the tag "parameters" is followed by the task's own values; the
    numbers, texts and lists that are left at the end are the result."""
    names = {{"__name__": "notebook", "seed": seed, **params}}
    for number, cell in enumerate(json.loads(NOTEBOOK.read_text("utf-8"))["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        lines = "".join(cell["source"]).split("\\n")
        code = "\\n".join("" if line.lstrip()[:1] in ("%", "!", "?") else line for line in lines)
        exec(compile(code, f"{{NOTEBOOK.name}}, cell {{number}}", "exec"), names)
        if "parameters" in cell.get("metadata", {{}}).get("tags", []):
            names.update(params)
    result = {{
        name: value
        for name, value in names.items()
        if not name.startswith("_") and isinstance(value, (bool, int, float, str, list, dict))
    }}
    return {{"result.json": json.dumps(result, default=str).encode()}}
'''


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
    wrote = [*missing.added, *([f"the [project] of {PYPROJECT}"] if missing.appended else [])]
    if wrote:
        source = f", from {missing.source}" if missing.source else ""
        print(f"wrote {' and '.join(wrote)} in {folder}{source}; to run it:", file=sys.stderr)
    else:
        print(f"{folder} is a bundle already, and is left as it is; to run it:", file=sys.stderr)
    print(f"  modelops-runner exec {shlex.quote(str(folder))}", file=sys.stderr)
    for note in missing.notes:
        print(f"not taken over: {note}", file=sys.stderr)
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
    foreign = find_foreign(folder, pyproject)
    missing = _Missing()
    described = (pyproject is not None and pyproject.is_project) or (
        has_file(folder, REQUIREMENTS) and not is_of_conda(read_text(folder, REQUIREMENTS))
    )
    empty = foreign is None and not described and not any(folder.glob("*.py"))
    if not described:
        missing.source = foreign.file if foreign else None
        if empty and pyproject is None:
            table = _PYPROJECT.format(name=_name(folder))
        else:
            table, missing.notes = project_table(
                foreign or Foreign(file="", kind=""), _name(folder)
            )
        if pyproject is None:
            missing.added[PYPROJECT] = table
        else:
            missing.appended = f"\n{table}"
    if not _has_wire(folder, pyproject or Pyproject(), None if described else foreign):
        notebook = next((path.name for path in sorted(folder.glob("*.ipynb"))), None)
        if notebook is not None:
            missing.added["wire.py"] = _NOTEBOOK.format(file=notebook)
        else:
            missing.added["wire.py"] = _WIRE if empty else _STUB
    return missing


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
