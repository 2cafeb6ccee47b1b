"""Runs one task (``exec`` without ``--tasks``, ``--grid`` or ``--seeds``)."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from runner.cli.command_line.commands import Check, Exec
from runner.cli.command_line.params import given_task
from runner.cli.command_line.verbosity import Verbosity
from runner.cli.display.live import Live
from runner.cli.result import result_json, result_lines
from runner.cli.writing import NOT_KEPT, not_written
from runner.diagnosis.case import Case
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.text import listed
from runner.execution.run_task import execute_task, reported
from runner.process.guardian import guardian
from runner.result import Result
from runner.study.output_files import OutputFile, describe_outputs
from runner.study.outputs.kept_files import left_note

_SHOWN = 10
"""The most files that are named."""

if TYPE_CHECKING:
    from runner.cli.study.single_outputs import SingleOutputs


@contextmanager
def kept_outputs(command: Exec | Check) -> "Iterator[SingleOutputs | None]":
    """Where the outputs of a single task go, with ``--output``."""
    if not isinstance(command, Exec) or command.output is None:
        yield None
        return
    from runner.cli.study.single_outputs import SingleOutputs

    # Till they are written: files that a task leaves are in a temporary folder until then.
    with closing(SingleOutputs(command, command.output)) as kept, guardian().guarding():
        yield kept


async def execute_one(command: Exec, case: Case, live: Live, kept: "SingleOutputs | None") -> str:
    """Run the task; returns what goes to standard output.

    :raises RunnerError: it failed, or its outputs could not be written.
    """
    files: dict[str, OutputFile] = {}
    notes: list[str] = []
    try:
        with reported(case):
            result = await execute_task(
                case,
                command.settings,
                command.bundle,
                lambda bundle: given_task(command, bundle.defaults.seed),
                beside=None if kept is None else kept.account,
            )
    except RunnerError as error:
        if kept is not None:
            try:
                kept.failed(error.report)
            except OSError as refusal:  # the failure is told all the same
                print(not_written(refusal, f"--output {command.output}", None), file=sys.stderr)
            _say_notes(command, kept.notes, live)
        raise
    if kept is None:
        outputs = describe_outputs(result)
    else:
        try:
            with reported(case):
                outputs, files = kept.done(result)
        finally:
            result.files.remove()
        notes = kept.notes
    left = left_note(result, kept=kept is not None)
    _say_notes(command, (*result.notes, *notes, *([] if left is None else [left])), live)
    if command.json:
        return result_json(result, outputs, files)
    if command.verbosity is not Verbosity.QUIET:
        lost = kept is None and len(result) > 0
        _say_done(result, [one.path for one in files.values() if one.path], lost=lost)
    return result_lines(outputs)


def _say_notes(command: Exec, notes: Iterable[str], live: Live) -> None:
    live.close()
    if command.verbosity is Verbosity.QUIET:
        return
    for note in dict.fromkeys(notes):
        live.note(note)


def _say_done(result: Result, files: list[str], *, lost: bool) -> None:
    """Say what became of a task.

    :param files: where those are kept that the task has left.
    :param lost: whether its outputs are kept nowhere.
    """
    python = result.child.python
    child = f"{python.implementation} {python.version}" if python else "unknown"
    worker = f"{result.worker.implementation} {result.worker.python}"
    print(
        f"done in {result.timings.total_seconds:.2f} s on {child} (worker: {worker})",
        file=sys.stderr,
    )
    if files:
        print(f"files: {listed(files, _SHOWN)}", file=sys.stderr)
    if lost:
        print(NOT_KEPT, file=sys.stderr)
