"""Sees, before anything runs, that what is to be written can be: what cannot be kept is lost."""

import os
from pathlib import Path

from runner.cli.command_line.commands import UsageError


def check_outside(option: str, folder: Path, bundle: Path) -> None:
    """:raises UsageError: what an option names lies in the bundle."""
    if folder.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(f"{option} {folder} lies in the bundle, which is never written to")


def prepare_output(folder: Path, bundle: Path) -> None:
    """Make the folder of ``--output``, unless it is there.

    :raises UsageError: it cannot be made, or not be written to, or lies in the bundle.
    """
    check_outside("--output", folder, bundle)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output {folder}: {error.strerror}") from error
    check_folder("--output", folder)


def check_folder(option: str, folder: Path) -> None:
    """:raises UsageError: the path of an option is not a folder, or cannot be written to."""
    if not folder.is_dir():
        raise UsageError(f"{option}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{option}: {folder} cannot be written to")
