"""Does what the command line asks for: each command by the ``run`` of its module."""

import sys
from importlib import import_module

from runner.cli.command_line import commands
from runner.cli.run_bundle import run_bundle
from runner.cli.writing import print_result
from runner.diagnosis.refusals import refused_in
from runner.events import Phase

# Imported when they are asked for: no run needs another command's.
_MODULES = (
    (commands.Explain | commands.ShowReport, "show"),
    (commands.Replay, "replay"),
    (commands.EnvCommand, "env"),
    (commands.Doctor, "doctor"),
    (commands.Init, "init"),
    (commands.Completion, "completion"),
    (commands.Table, "table"),
    (commands.Rerun, "rerun"),
    (commands.Matrix, "matrix"),
)


def run(command: commands.AnyCommand) -> int:
    """Do it; returns the exit code."""
    try:
        if sys.stdout is None and getattr(command, "json", False):  # ">&-"
            raise commands.UsageError("--json: standard output is closed")
        if isinstance(command, commands.Exec | commands.Check):
            return run_bundle(command)
        module = next(name for kind, name in _MODULES if isinstance(command, kind))
        return print_result(*import_module(f"runner.cli.{module}").run(command))
    except commands.UsageError as error:
        return error.say()
    except (OSError, RuntimeError, MemoryError) as error:
        finding = refused_in(Phase.BUNDLE, error)
        if finding is None:
            raise
        print(f"modelops-runner: error: {finding.summary}", file=sys.stderr)
        return 14
