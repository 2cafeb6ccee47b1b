"""Prints a command's result on standard output, which may refuse it."""

import os
import signal
import sys

from runner.cli.exit_codes import FAILED_TASK
from runner.cli.writing import not_written
from runner.study.writing import write_whole


def print_result(exit_code: int, text: str) -> int:
    """Print the result; returns the exit code, or another where it alone could not be printed."""
    if not text or sys.stdout is None:  # ">&-"
        return exit_code
    data = text.encode(sys.stdout.encoding, "backslashreplace")
    try:
        sys.stdout.flush()
        write_whole(sys.stdout.fileno(), data)
    except OSError as error:
        unprinted = not_printed(error, len(data))
        return exit_code or unprinted
    return exit_code


def not_printed(error: OSError, size: int | None) -> int:
    """Say that standard output has refused the result; returns the exit code.

    :param size: the result's, in bytes; ``None`` where it is not known.
    """
    # What is left of it the interpreter would flush, and complain, at its exit.
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)
    if isinstance(error, BrokenPipeError):  # nobody reads it
        return 128 + signal.SIGPIPE
    print(not_written(error, "standard output", size), file=sys.stderr)
    return FAILED_TASK
