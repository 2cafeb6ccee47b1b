"""``modelops-runner init``: a bundle that runs, to write one's own model into."""

import re
import shlex
import sys
from pathlib import Path

from runner.cli.commands import Init, UsageError

# Where one of these is, somebody has begun already.
_OF_A_BUNDLE = ("pyproject.toml", "requirements.txt", "wire.py", ".modelops")

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


def run_init(command: Init) -> int:
    """Write a bundle; returns the exit code. Nothing that is there is written over."""
    folder = command.folder
    for name in _OF_A_BUNDLE:
        if (folder / name).exists():
            raise UsageError(f"{folder / name} is there already, and is left as it is")
    files = {"pyproject.toml": _PYPROJECT.format(name=_name(folder)), "wire.py": _WIRE}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    print(f"wrote {' and '.join(files)} in {folder}; to run it:", file=sys.stderr)
    print(f"  modelops-runner exec {shlex.quote(str(folder))}", file=sys.stderr)
    return 0


def _name(folder: Path) -> str:
    """The folder's name, as a project may be called (PEP 508)."""
    name = re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().name.lower()).strip("._-")
    return name or "model"
