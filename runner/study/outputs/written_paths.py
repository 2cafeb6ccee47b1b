"""Sees, before anything runs, that what is to be written can be: what cannot be kept is lost."""

import os
from pathlib import Path

from runner.study.output_files import OutputError


def check_outside(path: Path, bundle: Path) -> None:
    """:raises OutputError: what is to be written lies in the bundle."""
    inside, bundle = path.resolve(), bundle.resolve()
    if inside.is_relative_to(bundle):
        name = "results" if inside == bundle else inside.name
        beside = os.path.relpath(bundle.parent / name)
        raise OutputError(
            f"{path} lies in the bundle, which is never written to; did you mean {beside}?"
        )


def prepare_output(folder: Path, bundle: Path) -> None:
    """Make the folder of the outputs, unless it is there.

    :raises OutputError: it cannot be made, or not be written to, or lies in the bundle.
    """
    check_outside(folder, bundle)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror}") from error
    check_folder(folder)


def check_folder(folder: Path) -> None:
    """:raises OutputError: it is not a folder, or cannot be written to."""
    if not folder.is_dir():
        raise OutputError(f"{folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{folder} cannot be written to")
