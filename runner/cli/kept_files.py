"""The files that tasks leave in their working folders: kept beside outputs, or named."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from runner.diagnosis.report.text import one_line, printable
from runner.result import Result
from runner.study.output_files import OutputFile

FOLDER = "files"
_SHOWN = 10
_READ_BYTES = 1 << 20


def kept_files(result: Result, outputs: Path) -> dict[str, OutputFile]:
    """Put a task's files beside its outputs.

    :param outputs: the folder of these.
    :raises OSError: one could not be written.
    """
    if not result.files:
        return {}
    # An output's own file never has this name.
    folder = outputs / (FOLDER if FOLDER not in result else f"{FOLDER}%")
    result.files.copy_to(folder)
    kept = {}
    for name, size in result.files.sizes.items():
        path = folder / name
        kept[name] = OutputFile(size, _sha256(path), str(path))
    return kept


def remove_files(outputs: Path, names: Iterable[str]) -> None:
    """Remove the files that a task has left, from the folder of its outputs.

    :param names: their paths. What somebody has put beside them stays.
    """
    for folder in (outputs / FOLDER, outputs / f"{FOLDER}%"):
        if not folder.is_dir():
            continue  # or an output's file
        for path in map(PurePosixPath, names):
            if path.is_absolute() or ".." in path.parts:
                continue
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
    listed = ", ".join(printable(name) for name in lost[:_SHOWN])
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    if kept:
        text = (
            f"of what a task left in its working folder, this is not kept: {listed}{more}"
            " (links, pipes and sockets; files beyond 1,000 or 1 GiB)"
        )
    else:
        text = f"a task left in its working folder: {listed}{more}; --output DIR keeps its files"
    return one_line(text, 500)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ_BYTES):
            digest.update(data)
    return digest.hexdigest()
