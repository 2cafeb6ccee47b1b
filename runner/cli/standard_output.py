"""Prints a command's result on standard output, which may refuse it."""

import os
import signal
import sys


def print_result(exit_code: int, text: str) -> int:
    """Print the result; returns the exit code, or another where it could not be printed."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        return not_printed(error)
    return exit_code


def not_printed(error: OSError) -> int:
    """Standard output has refused; returns the exit code."""
    # What is left of it the interpreter would flush, and complain, at its exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):  # nobody reads it
        return 128 + signal.SIGPIPE
    print(f"modelops-runner: error: standard output: {error.strerror}", file=sys.stderr)
    return 14
