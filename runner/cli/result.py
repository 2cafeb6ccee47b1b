"""Prints a run's result on standard output, and writes its files."""

import errno
import json
import os
from pathlib import Path

import msgspec

from runner.cli.writing import READER_TIMEOUT_SECONDS
from runner.diagnosis.report.model import Report
from runner.diagnosis.report.text import printable
from runner.result import Check, Result
from runner.stored_files import whole_file
from runner.study.output_files import OutputFile
from runner.study.writing import write_at_once


def is_special(path: Path) -> bool:
    """Tell whether there is a device or a pipe, which must be neither replaced nor removed.

    A superuser who says ``--report /dev/null`` would be without one.
    """
    return path.exists() and not path.is_file()


def write_file(path: Path, data: bytes) -> None:
    """Write a file for its owner alone, whole or not at all; a device or a pipe as it is.

    :raises OSError: it could not be written.
    """
    path = path.resolve()  # the file that a link names, not the link
    if is_special(path):
        _write_special(path, data)
        return
    with whole_file(path, 0o600) as file:
        file.write(data)


def _write_special(path: Path, data: bytes) -> None:
    """Write to a device or a pipe, as long as somebody reads it.

    :raises OSError: nobody does, or it could not be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        left = memoryview(data)
        while left:
            size = write_at_once(descriptor, left, READER_TIMEOUT_SECONDS)
            if not size:
                raise BlockingIOError(errno.EAGAIN, "nobody reads it", str(path))
            left = left[size:]
    finally:
        os.close(descriptor)


def result_json(
    result: Result, outputs: dict[str, OutputFile], files: dict[str, OutputFile]
) -> str:
    """The JSON document of a task that was done."""
    return json_document(
        {
            "ok": True,
            "outputs": outputs,
            "files": files,
            "child": result.child,
            "worker": result.worker,
            "timings": result.timings,
            "cost": result.cost,
            "isolation": result.isolation,
            "isolation_note": result.isolation_note,
            "threads": result.threads,
            "notes": result.notes,
        }
    )


def report_document(report: Report) -> str:
    """The JSON document of a run that failed."""
    return json_document({"ok": False, "report": report})


def report_json(report: Report) -> bytes:
    """The report as a file has it."""
    return msgspec.json.format(msgspec.json.encode(report)) + b"\n"


def print_report(report: Report, *, stderr: bool = False) -> None:
    """Show a report to people."""
    # What only a failure needs: 30 ms, and 3 MB of modules.
    from rich.console import Console

    from runner.diagnosis.report.terminal import render_report

    render_report(report, Console(stderr=stderr))


def result_lines(outputs: dict[str, OutputFile]) -> str:
    """A line for each output: name, size, digest, and the file where there is one."""
    width = max((len(name) for name in outputs), default=0)
    return "".join(
        f"{printable(name):<{width}}  {output.size:>10} bytes  sha256:{output.sha256}"
        + (f"  {output.path}" if output.path else "")
        + "\n"
        for name, output in outputs.items()
    )


def json_document(content: dict[str, object]) -> str:
    """One JSON document, for people and programs."""
    return json.dumps(msgspec.to_builtins(content, enc_hook=str), indent=2) + "\n"


def check_json(check: Check) -> str:
    return json_document({"ok": True, **msgspec.to_builtins(check)})


def check_lines(check: Check, *, verbose: bool = False) -> str:
    """Return what is known of a bundle, a line for each fact.

    :param verbose: with the names of the variables that its code does not get.
    """
    bundle, interpreter = check.bundle, check.interpreter
    facts = [
        ("bundle", f"{bundle.name or bundle.path} {bundle.version or ''}".strip()),
        ("digest", bundle.digest),
        ("requires Python", bundle.requires_python or "any"),
        ("interpreter", interpreter.chosen),
        ("wire function", bundle.entry_point or "its environment decides (check --build)"),
    ]
    if check.environment is not None:
        facts.append(("environment", check.environment.path))
        facts.append(("requirements from", check.environment.requirements_from))
    if check.child is not None and check.child.python is not None:
        python = check.child.python
        facts.append(("loads on", f"{python.implementation} {python.version}"))
    if verbose:
        facts.append(("withheld", ", ".join(check.withheld) or "no variable of this process's"))
    return "".join(f"{name + ':':<18} {printable(value or 'unknown')}\n" for name, value in facts)
