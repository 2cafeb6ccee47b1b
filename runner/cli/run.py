"""Does what the command line asks for."""

import sys

from runner.cli.command_line.commands import (
    AnyCommand,
    Completion,
    Doctor,
    EnvCommand,
    Explain,
    Init,
    Matrix,
    Replay,
    Rerun,
    ShowReport,
    Table,
    UsageError,
)
from runner.cli.run_bundle import run_bundle
from runner.cli.standard_output import print_result
from runner.diagnosis.refusals import refused_in
from runner.events import Phase


def run(command: AnyCommand) -> int:
    """Do it; returns the exit code."""
    try:
        return _run_command(command)
    except UsageError as error:
        return error.say()
    except (OSError, RuntimeError, MemoryError) as error:
        finding = refused_in(Phase.BUNDLE, error)
        if finding is None:
            raise
        print(f"modelops-runner: error: {finding.summary}", file=sys.stderr)
        return 14


def _run_command(command: AnyCommand) -> int:
    """:raises UsageError: it asks for what cannot be."""
    if isinstance(command, Explain):
        from runner.diagnosis.report.explanation import explain

        return print_result(0, explain(command.code))
    if isinstance(command, ShowReport):
        from runner.cli.show import show_report

        return show_report(command)
    if isinstance(command, Replay):
        from runner.cli.replay import show_replay  # 15 ms that no run needs

        return show_replay(command)
    if isinstance(command, EnvCommand):
        from runner.cli.env import run_env

        return print_result(*run_env(command))
    if isinstance(command, Doctor):
        from runner.cli.doctor import run_doctor

        return print_result(*run_doctor(command))
    if isinstance(command, Init):
        from runner.cli.init import run_init

        return run_init(command)
    if isinstance(command, Completion):
        from runner.cli.completion import completion_script

        return print_result(0, completion_script(command.shell))
    if isinstance(command, Table):
        from runner.cli.table import run_table

        return run_table(command)
    if isinstance(command, Rerun):
        from runner.cli.rerun import run_rerun

        return print_result(*run_rerun(command))
    if isinstance(command, Matrix):
        from runner.cli.matrix import run_matrix

        return print_result(*run_matrix(command))
    return run_bundle(command)
