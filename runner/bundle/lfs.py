"""Files that Git LFS has not fetched: the text of a pointer is in their place."""

from pathlib import Path, PurePosixPath

from runner.diagnosis.case import LfsPointer

_MOST_BYTES = 1 << 20


def lfs_pointers(
    folder: Path, files: tuple[str, ...], pointers: tuple[str, ...]
) -> tuple[LfsPointer, ...]:
    """The pointers of a bundle, each with the source files that name it."""
    if not pointers:
        return ()
    sources = {file: _text(folder / file) for file in files if file.endswith(".py")}
    return tuple(
        LfsPointer(
            pointer,
            tuple(file for file, text in sources.items() if PurePosixPath(pointer).name in text),
        )
        for pointer in pointers
    )


def lfs_note(pointers: tuple[LfsPointer, ...]) -> list[str]:
    """A line about the pointers of a bundle, where it has any."""
    if not pointers:
        return []
    first, more = pointers[0].file, len(pointers) - 1
    if not more:
        are = f"{first} is a Git LFS pointer, not the file itself"
    else:
        others = "another file" if more == 1 else f"{more} more files"
        are = f"{first} and {others} are Git LFS pointers, not the files themselves"
    return [f"{are}: `git lfs pull` fetches what is missing"]


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_BYTES)
    except OSError:
        return ""  # a link to nothing
