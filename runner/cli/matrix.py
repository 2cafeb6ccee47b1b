"""``modelops-runner matrix``: a row for each Python, and with ``--dask`` for each combination."""

import sys
from importlib.util import find_spec

import anyio
import msgspec

from runner.bundle.model import Bundle
from runner.cli.command_line.commands import Matrix, UsageError
from runner.cli.command_line.params import given_task
from runner.cli.result import json_document
from runner.cli.signals import unless_signalled
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.text import printable
from runner.doctor.python_matrix import Cell, try_pythons
from runner.execution.prepare import any_python
from runner.interpreter.model import Interpreter
from runner.process.processors import usable_processors
from runner.task import Task


def run(command: Matrix) -> tuple[int, str]:
    """Try; returns the exit code, and what goes to standard output at the end.

    Rows for people are printed as they come.
    """
    try:
        task = given_task(command)
    except Failure as failure:
        advice = failure.finding.hints[0].title
        raise UsageError(f"{failure.finding.summary}: {advice}") from failure
    if command.dasks and find_spec("distributed") is None:
        raise UsageError("--dask needs Dask: pip install 'modelops-runner[dask]'")
    number, tried = anyio.run(unless_signalled, _tried(command, task), sys.stderr.flush)
    if number is not None or tried is None:
        return 128 + (number or 0), ""
    ok, document = tried
    if command.json:
        return 0 if ok else 1, json_document({"ok": ok, **document})
    return 0 if ok else 1, ""


async def _tried(command: Matrix, given: Task) -> tuple[bool, dict[str, object]]:
    """Tell whether all is well, and the document that says so."""
    jobs = command.jobs or usable_processors()

    def task(bundle: Bundle) -> Task:
        if command.seed is not None:
            return given
        return msgspec.structs.replace(given, seed=bundle.defaults.seed)

    cells = await try_pythons(
        command.bundle,
        command.pythons,
        task,
        command.settings,
        jobs=jobs,
        on_cell=None if command.json else _print_cell,
    )
    ok = all(cell.ok for cell in cells)
    document: dict[str, object] = {"cells": [_described(cell) for cell in cells]}
    if command.dasks:
        understood, document["dask"] = await _with_dask(command, jobs)
        ok = ok and understood
    return ok, document


def _described(cell: Cell) -> dict[str, object]:
    described: dict[str, object] = {
        "python": cell.python,
        "version": cell.version,
        "ok": cell.ok,
        "seconds": cell.seconds,
    }
    return described if cell.ok else {**described, "report": cell.report}


def _print_cell(cell: Cell) -> None:
    version = cell.version or "-"
    if cell.report is None:
        print(f"{cell.python:<10} {version:<10} ok      {cell.seconds:6.1f} s", flush=True)
        return
    report = cell.report
    print(f"{printable(cell.python):<10} {version:<10} FAILED  {cell.seconds:6.1f} s "
          f" {report.code.value} ({report.phase.value}): {printable(report.summary)}")  # fmt: skip
    for hint in report.hints[:1]:
        print(f"{'':<31} help: {printable(hint.title)}")
        if hint.command is not None:
            print(f"{'':<31}       {printable(hint.command)}")
    sys.stdout.flush()


async def _with_dask(command: Matrix, jobs: int) -> tuple[bool, list[object]]:
    """Try each combination; whether each runs the task or is known not to, and the cells."""
    from runner.dask.examine.dask_matrix import Cell as Combined
    from runner.dask.examine.dask_matrix import try_combinations

    pythons: list[Interpreter] = []
    for request in command.pythons:
        try:
            pythons.append(await any_python(Case(), command.settings, request))
        except Failure as failure:
            print(f"modelops-runner: {failure.finding.summary}", file=sys.stderr)
    cells: list[Combined] = []

    def take(cell: Combined) -> None:
        cells.append(cell)
        if command.json:
            return
        which = cell.combination
        said = [_word(cell.importable), _word(cell.lambdas), _word(cell.task)]
        print(f"{which.dask:<10} {which.client:<8} {which.cluster:<8} {said[0]:<9} {said[1]:<7}"
              f" {said[2]:<5} {cell.seconds:5.1f} s", flush=True)  # fmt: skip
        for one in cell.named:
            print(f"{'':<29}{printable(one.subject)}: {printable(one.text)}", flush=True)

    if not command.json:
        print(f"\n{'Dask':<10} {'client':<8} {'cluster':<8} {'imported':<9} {'lambda':<7} task")
    await try_combinations(command.bundle, pythons, command.dasks, jobs, take)
    found = len(pythons) == len(command.pythons)
    return found and all(cell.understood for cell in cells), [*cells]


def _word(works: bool) -> str:
    return "runs" if works else "no"
