"""The command ``modelops-runner``."""

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
    try:
        # Only now: what is imported here needs POSIX, and takes long enough to be interrupted in.
        from runner.cli.parser import parse
        from runner.cli.run import run
        from runner.cli.writing import unblocked_stderr
        from runner.process.signals import set_defaults

        if threading.current_thread() is threading.main_thread():
            # With SIGCHLD ignored nobody learns how a child has ended.
            set_defaults()
        with unblocked_stderr():
            return run(parse(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return 130
