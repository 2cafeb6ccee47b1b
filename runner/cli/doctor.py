"""``modelops-runner doctor``: what was looked at, as a table for people or as JSON."""

import shutil
import sys
import textwrap
from collections.abc import Sequence
from importlib.util import find_spec

import anyio

from runner.cli.command_line.commands import Doctor, UsageError
from runner.cli.result import json_document
from runner.cli.signals import unless_signalled
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import printable
from runner.doctor.observation import Observation, Verdict

_MARKS = {Verdict.OK: "ok", Verdict.WARNING: "warning", Verdict.PROBLEM: "PROBLEM"}
_INDENT = " " * 9


def run(command: Doctor) -> tuple[int, str]:
    """Look; returns the exit code, and what goes to standard output."""
    if command.scheduler is None:
        from runner.doctor.machine import examine_machine

        number, seen = anyio.run(
            unless_signalled, examine_machine(command.bundles, command.settings), sys.stderr.flush
        )
        if number is not None or seen is None:
            return 128 + (number or 0), ""
    else:
        if find_spec("distributed") is None:
            raise UsageError("--scheduler needs Dask: pip install 'modelops-runner[dask]'")
        from runner.dask.examine.doctor import examine_cluster

        seen = examine_cluster(command.scheduler, command.bundles)
    ok = all(one.verdict is not Verdict.PROBLEM for one in seen)
    text = json_document({"ok": ok, "observations": seen}) if command.json else _table(seen)
    return 0 if ok else 1, text


def _table(seen: Sequence[Observation]) -> str:
    lines = []
    for one in seen:
        text = f"{_MARKS[one.verdict]:<8} {printable(one.subject)}: {printable(one.text)}"
        lines.append(_wrapped(text) + "\n")
        if one.verdict is not Verdict.OK:
            lines += [f"{_INDENT}help: {line}\n" for hint in one.hints for line in _hint(hint)]
    counts = {verdict: sum(one.verdict is verdict for one in seen) for verdict in Verdict}
    problems, warnings = counts[Verdict.PROBLEM], counts[Verdict.WARNING]
    lines.append(
        f"{len(seen)} looked at, {_plural(problems, 'problem')}, {_plural(warnings, 'warning')}\n"
    )
    return "".join(lines)


def _plural(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _wrapped(text: str) -> str:
    """As wide as the terminal, where there is one."""
    if not sys.stdout.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
    )


def _hint(hint: Hint) -> list[str]:
    lines = [printable(hint.title)]
    if hint.edit is not None:
        lines.append(printable(f"  {hint.edit.file}: {hint.edit.after}"))
    if hint.command is not None:
        lines.append(printable(f"  {hint.command}"))
    return lines
