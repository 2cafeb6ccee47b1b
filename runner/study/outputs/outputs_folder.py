"""The outputs that a run keeps in a folder, in place of those that an earlier run has made there.

They are written beside the old ones and take their place once all of them are whole. What no run
has made stays; where an output needs its name, it gets another one. No run makes a link, and none
is followed but the one that the user has named the folder by: anybody may have planted it.
"""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from runner.diagnosis.report.text import printable
from runner.result import Result
from runner.stored_files import DamagedError, read_json, whole_file
from runner.study.lines import Manifest
from runner.study.output_files import RESERVED, OutputFile, TakenError, file_name
from runner.study.outputs.kept_files import remove_files
from runner.study.outputs.places import is_file, is_folder, put, remove_anything, set_aside
from runner.study.outputs.printed import remove_printed

_MANIFEST = f"{RESERVED}.json"
"""Beside the outputs of a single task: which they are."""


def write_outputs(
    result: Result,
    folder: Path,
    beside: Path,
    before: Iterable[str] = (),
    when_whole: Callable[[], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
    *,
    named: bool = False,
) -> dict[str, OutputFile]:
    """Write a task's outputs, a file each.

    :param named: whether the user has named it, by a link perhaps.
    :param beside: where they wait until they are whole.
    :param before: the outputs that an earlier run has left in the folder: they are replaced.
    :param when_whole: is called before anything is replaced.
    :raises OSError: one could not be written; then what was there is still there.
    """
    described = {}
    names = {name: file_name(name) for name in result}
    moved = False
    try:
        try:
            beside.mkdir()
        except FileExistsError:  # of a run that was killed
            remove_anything(beside)
            beside.mkdir()
        for name, file in names.items():
            data = result.buffer(name)
            with (beside / file).open("xb") as new:
                new.write(data)
            described[name] = OutputFile.of(data, folder / file)
        if when_whole is not None:
            when_whole()
        if not named:
            moved = _moved(beside, folder, say)
        if moved:
            return described
        made = {file_name(name) for name in before}
        for file in names.values():
            put(beside / file, folder / file, say, ours=file in made)
        remove_outputs(folder, [name for name in before if name not in names])
    finally:
        if not moved:
            shutil.rmtree(beside, ignore_errors=True)
    return described


def _moved(beside: Path, folder: Path, say: Callable[[str], None]) -> bool:
    """Move a folder to its place, unless there is one with something in it."""
    try:
        beside.rename(folder)
    except OSError:
        if is_folder(folder):
            return False
        set_aside(folder, say)
        beside.rename(folder)
    return True


def remove_outputs(folder: Path, names: Iterable[str]) -> None:
    """Remove outputs, whose names are those that the bundle gave them.

    :raises OSError: one could not be removed.
    """
    for name in names:
        if is_file(folder / file_name(name)):
            (folder / file_name(name)).unlink(missing_ok=True)


def remove_made(folder: Path, made: Manifest) -> None:
    """Remove all that a task has made, from the folder of its outputs.

    :raises OSError: an output could not be removed.
    """
    remove_outputs(folder, made.outputs)
    remove_files(folder, made.files)
    remove_printed(folder, made.printed)


def has_single(folder: Path) -> bool:
    """Tell whether a folder is that of a single task."""
    return read_manifest(folder) is not None


def remove_single(folder: Path) -> None:
    """Remove what single tasks have left in a folder.

    :raises OSError: it could not be removed.
    """
    manifest = read_manifest(folder)
    if manifest is not None:
        remove_made(folder, manifest)
    (folder / _MANIFEST).unlink(missing_ok=True)


def refused(folder: Path, what: str) -> TakenError:
    """The error of a run that would lose what another one has made."""
    return TakenError(f"{printable(str(folder))} has {what}: name another folder")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """:raises OSError: it could not be written."""
    with whole_file(folder / _MANIFEST) as file:
        file.write(msgspec.json.encode(manifest) + b"\n")


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder, where single tasks have left their outputs in it."""
    try:
        return read_json(folder / _MANIFEST, Manifest)
    except (OSError, DamagedError):
        return None
