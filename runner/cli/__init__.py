"""The command ``modelops-runner``."""

import gc
import os
import sys
import threading


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit codes stand in docs/report.md.

    :param argv: the arguments; the process's own by default.
    """
    if sys.platform == "win32":
        print("modelops-runner does not support Windows; use Linux, macOS or WSL", file=sys.stderr)
        return 2
    if sys.stderr is None:  # "2>&-": nobody wants to be told, and all else is as it would be
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    own_process = argv is None
    try:
        if own_process:
            gc.disable()  # imports make no garbage, and looking for it takes as long as some do
        # Only now: what is imported needs POSIX, and takes long enough to be interrupted in; what
        # runs a command is not needed to say that there is no such command.
        from runner.cli.command_line.parser import parse

        command = parse(sys.argv[1:] if argv is None else argv)
        from runner.cli.run import run
        from runner.cli.writing import unblocked_stderr
        from runner.process.signals import set_for_command

        if threading.current_thread() is threading.main_thread():
            set_for_command()
        if own_process:
            os.umask(os.umask(0o077) & 0o077)  # its owner reads again what this makes
            gc.freeze()  # what was imported stays: not to be looked at again
            gc.enable()
        with unblocked_stderr():
            exit_code = run(command)
        if own_process:
            gc.freeze()  # the interpreter would look through all of it once more as it ends
        return exit_code
    except KeyboardInterrupt:
        return 130
