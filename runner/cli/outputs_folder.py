"""The outputs that a run keeps in a folder, in place of those that an earlier run has made there.

They are written beside the old ones and take their place once all of them are whole. What no run
has made stays; where an output needs its name, it gets another one.
"""

import filecmp
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from runner.cli.commands import UsageError
from runner.cli.kept_files import remove_files
from runner.cli.result import is_special, write_file
from runner.diagnosis.report.text import printable
from runner.result import Result
from runner.study.lines import Manifest
from runner.study.output_files import RESERVED, OutputFile, file_name

_MANIFEST = f"{RESERVED}.json"
"""Beside the outputs of a single task: which they are."""

_MOST_OF_NAME = 200
"""So many characters of a name are left in the name of what is set aside."""


def write_outputs(
    result: Result,
    folder: Path,
    beside: Path,
    before: Iterable[str] = (),
    when_whole: Callable[[], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, OutputFile]:
    """Write a task's outputs, a file each.

    :param beside: where they wait until they are whole.
    :param before: the outputs that an earlier run has left in the folder: they are replaced.
    :param when_whole: is called before anything is replaced.
    :param say: takes a line for each thing that was in the way and has another name now.
    :raises OSError: one could not be written; then what was there is still there.
    """
    described = {}
    names = {name: file_name(name) for name in result}
    try:
        shutil.rmtree(beside, ignore_errors=True)  # of a run that was killed
        beside.mkdir()
        for name, file in names.items():
            data = result.buffer(name)
            (beside / file).write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            described[name] = OutputFile(len(data), digest, str(folder / file))
        if when_whole is not None:
            when_whole()
        if not folder.is_dir():
            _set_aside(folder, say)
            beside.rename(folder)
            return described
        made = {file_name(name) for name in before}
        for file in names.values():
            old = folder / file
            if old.is_dir() or (file not in made and _is_other(old, beside / file)):
                _set_aside(old, say)
            _take_place(beside / file, old)
        remove_outputs(folder, [name for name in before if name not in names])
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return described


def _is_other(old: Path, new: Path) -> bool:
    """Tell whether there is a file with other content: a run that was killed leaves the same."""
    return (
        old.is_file()
        and not old.is_symlink()  # the user says by it where the output is to go
        and not filecmp.cmp(old, new, shallow=False)
    )


def _set_aside(path: Path, say: Callable[[str], None]) -> None:
    """Give what no run has made another name, if anything is there."""
    if not os.path.lexists(path):
        return
    names = (path.with_name(f"{path.name[:_MOST_OF_NAME]}.~{n}~") for n in itertools.count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    path.rename(aside)
    say(f"{printable(str(path))} was there, and no run has made it: it is {aside.name} now")


def _take_place(new: Path, old: Path) -> None:
    if old.is_symlink() or is_special(old):
        write_file(old, new.read_bytes())  # to where it leads
    else:
        new.replace(old)


def remove_outputs(folder: Path, names: Iterable[str]) -> None:
    """Remove outputs, whose names are those that the bundle gave them.

    :raises OSError: one could not be removed.
    """
    for name in names:
        with suppress(FileNotFoundError, NotADirectoryError):
            (folder / file_name(name)).unlink()


def has_single(folder: Path) -> bool:
    """Tell whether a folder is that of a single task."""
    return read_manifest(folder) is not None


def remove_single(folder: Path) -> None:
    """Remove what single tasks have left in a folder.

    :raises OSError: it could not be removed.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        remove_outputs(folder, manifest.outputs)
        remove_files(folder, manifest.files)
    (folder / _MANIFEST).unlink(missing_ok=True)


def refused(folder: Path, what: str) -> UsageError:
    """The error of a run that would lose what another one has made."""
    return UsageError(
        f"--output: {printable(str(folder))} has {what}: name another folder, or say --overwrite"
        " to replace what is there"
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """:raises OSError: it could not be written."""
    write_file(folder / _MANIFEST, msgspec.json.encode(manifest) + b"\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder, where single tasks have left their outputs in it."""
    try:
        return msgspec.json.decode((folder / _MANIFEST).read_bytes(), type=Manifest)
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return None
