"""The options that name what is to be written: what cannot be is a wrong command line."""

from collections.abc import Iterator
from contextlib import contextmanager

from runner.cli.command_line.commands import UsageError
from runner.study.output_files import OutputError, TakenError


@contextmanager
def said_of(option: str) -> Iterator[None]:
    """Say what is wrong with a path by the option that names it.

    :raises UsageError: nothing can be written there.
    """
    try:
        yield
    except OutputError as error:
        more = ", or say --overwrite to replace what is there"
        taken = more if isinstance(error, TakenError) else ""
        raise UsageError(f"{option}: {error}{taken}") from error
