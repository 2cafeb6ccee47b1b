"""``check --reproducible``: which outputs are not the same each time, and why."""

import sys

import msgspec

from runner.bundle.model import Bundle
from runner.cli.command_line.commands import Check
from runner.cli.command_line.params import given_task
from runner.cli.display.live import Live
from runner.cli.result import json_document
from runner.diagnosis.case import Case
from runner.diagnosis.report.text import printable
from runner.doctor.reproducible import find_differences
from runner.doctor.trial import Findings
from runner.task import Task


async def check_reproducible(command: Check, case: Case, live: Live) -> tuple[int, str]:
    """Run the task; returns the exit code, and what goes to standard output.

    :raises Failure: its first run went wrong.
    """

    def task(bundle: Bundle) -> Task:
        return given_task(command, bundle.defaults.seed)

    def say(condition: str) -> None:
        live.close()
        print(f"running it: {condition}", file=sys.stderr)

    def tell(found: Findings) -> None:
        lines = _lines(
            msgspec.structs.replace(found, outputs=())
        )  # No output is known to be right.
        live.close()
        print("ended before all was tried; found so far:", file=sys.stderr)
        print(lines or "nothing\n", end="", file=sys.stderr)

    found = await find_differences(
        case, command.settings, command.bundle, task, on_condition=say, on_end=tell
    )
    exit_code = 0 if found.ok else 1
    if command.json:
        return exit_code, json_document({"ok": found.ok, "reproducible": found})
    return exit_code, _lines(found)


def _lines(found: Findings) -> str:
    by_name = {difference.output: difference for difference in found.differences}
    lines = []
    for name in (*found.outputs, *(by_name.keys() - set(found.outputs))):
        if (difference := by_name.get(name)) is None:
            lines.append(f"{printable(name)}: the same under all conditions")
        else:
            lines.append(f"{printable(name)}: depends on {difference.meaning}")
            lines.append(f"  help: {difference.advice}")
    lines += [f"note: {printable(note)}" for note in found.notes]
    lines += [f"failed in {printable(failure)}" for failure in found.failures]
    return "".join(f"{line}\n" for line in lines)
