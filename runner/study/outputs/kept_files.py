"""The files that tasks leave in their working folders: kept beside outputs, or named."""

from collections.abc import Callable, Container, Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from runner.diagnosis.report.text import listed, one_line
from runner.result import Result
from runner.study.output_files import RESERVED, OutputError, OutputFile, sha256_of
from runner.study.outputs.places import is_folder, put, remove_anything, set_aside

FOLDER = "files"
_SHOWN = 10


def kept_files(result: Result, outputs: Path, say: Callable[[str], None]) -> dict[str, OutputFile]:
    """Put a task's files beside its outputs.

    :raises OSError: one could not be written.
    """
    if not result.files:
        return {}
    folder = files_folder(outputs, result)
    # Where nobody has put a link in the way.
    beside = outputs / f"{RESERVED}.files"
    remove_anything(beside)
    try:
        result.files.copy_to(beside)
        kept = {}
        for name, size in result.files.sizes.items():
            with (beside / name).open("rb") as file:
                kept[name] = OutputFile(size, sha256_of(file), str(folder / name))
        for name in kept:
            _make_folders(outputs, folder.relative_to(outputs) / name, say)
            put(beside / name, folder / name, say)
    finally:
        remove_anything(beside)
    return kept


def files_folder(outputs: Path, names: Container[str]) -> Path:
    """The folder of a task's files."""
    # An output's own file never has this name.
    return outputs / (FOLDER if FOLDER not in names else f"{FOLDER}%")


def kept_file(outputs: Path, names: Container[str], name: str) -> Path:
    """The path of a file that a task has left.

    :raises OutputError: the name leads elsewhere: no run has written that down.
    """
    if _leads_elsewhere(PurePosixPath(name)):
        raise OutputError(f"{name!r} is not the name of a file that a task has left")
    return files_folder(outputs, names) / name


def _leads_elsewhere(path: PurePosixPath) -> bool:
    return path.is_absolute() or ".." in path.parts


def _make_folders(top: Path, path: Path, say: Callable[[str], None]) -> None:
    """Make the folders that a file below ``top`` is to lie in.

    What is in their way is set aside.
    """
    for parent in reversed(path.parents[:-1]):
        if not is_folder(top / parent):
            set_aside(top / parent, say)
            (top / parent).mkdir()


def remove_files(outputs: Path, names: Iterable[str]) -> None:
    """Remove the files that a task has left, from the folder of its outputs.

    :param names: their paths. What somebody has put beside them stays.
    """
    for folder in (outputs / FOLDER, outputs / f"{FOLDER}%"):
        for path in map(PurePosixPath, names):
            if _leads_elsewhere(path):
                continue
            if not all(is_folder(folder / parent) for parent in path.parents):
                continue  # or an output's file, or a link that leads elsewhere
            with suppress(OSError):
                (folder / path).unlink()
            for parent in path.parents:
                with suppress(OSError):  # there is something else in it
                    (folder / parent).rmdir()


def left_note(result: Result, *, kept: bool) -> str | None:
    """One line on what a task has left and what became of it.

    :param kept: whether its files are kept.
    """
    files = result.files
    lost = files.omitted if kept else (*files, *files.omitted)
    if not lost:
        return None
    names = listed(lost, _SHOWN)
    if kept:
        text = (
            f"of what a task left in its working folder, this is not kept: {names}"
            " (links, pipes and sockets; files beyond 1,000 or 1 GiB; paths beyond 1,000 bytes, or"
            " that are not UTF-8)"
        )
    else:
        text = f"a task left in its working folder: {names}; --output DIR keeps its files"
    return one_line(text, 500)
