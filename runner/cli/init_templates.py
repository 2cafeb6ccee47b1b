"""The files that ``modelops-runner init`` writes."""

from runner.diagnosis.wire_functions import EXAMPLE

EXAMPLE_PROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.10"  # as old as the model runs on: each worker uses a Python that fits
dependencies = []  # "numpy>=2", "pandas"

[tool.modelops]
entrypoint = "baseline"
"""

EXAMPLE_WIRE = '''\
"""An epidemic, day by day: susceptible, infectious, recovered."""

import csv
import io
import json
import random

DEFAULTS = {"population": 1000, "infectious": 10, "beta": 0.3, "gamma": 0.1, "days": 120}
SCENARIOS = {"baseline": {}, "lockdown": {"beta": 0.12}}


def wire(entrypoint: str, params: dict, seed: int) -> dict:
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

STUB_WIRE = f'''\
"""The wire function: what a worker calls for each task."""


{EXAMPLE}
'''

FUNCTION_WIRE = '''\
"""The wire function: calls {name}() of {file} with the task's parameters."""

import json
{beside}
from {module} import {name}


def wire(entrypoint: str, params: dict, seed: int) -> dict:
    """Return what {name}() returns: a table as CSV, anything else as JSON."""
    if entrypoint != "default":
        raise ValueError(f"{name}() has no entry point {{entrypoint!r}}")
    result = {name}({arguments})
    if hasattr(result, "to_csv"):  # of pandas, whose rows may have no more than their numbers
        index = type(result.index).__name__ != "RangeIndex"
        return {{"result.csv": result.to_csv(index=index).encode()}}
    return {{"result.json": json.dumps(result, default=as_json).encode()}}


def as_json(value):
    """NumPy's numbers and arrays, and pandas' columns, as JSON has them."""
    return value.tolist()
'''
