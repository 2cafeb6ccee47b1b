"""The files of tasks' outputs: what they are called, and where they are."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO, Self
from urllib.parse import quote

from msgspec import Struct

from runner.result import Result
from runner.stored_files import open_stored

# NAME_MAX of most file systems is 255; a file that is being written has a longer name.
_MOST_CHARACTERS = 200
_READ_BYTES = 1 << 20
RESERVED = ".modelops-runner"
"""How the files begin that are the runner's own, in a folder of outputs."""


class OutputError(ValueError):
    """A path cannot take what is to be written there; the message says why."""


class TakenError(OutputError):
    """A folder has results that would be lost."""


class OutputFile(Struct, frozen=True, omit_defaults=True):
    """An output as the JSON document lists it."""

    size: int
    sha256: str
    path: str | None = None

    @classmethod
    def of(cls, data: bytes | memoryview, path: Path | None = None) -> Self:
        return cls(len(data), hashlib.sha256(data).hexdigest(), None if path is None else str(path))


def file_name(output: str) -> str:
    """A file name for an output, whatever a bundle calls it.

    It cannot lead out of the folder, nor be longer than file systems take; no two outputs of a
    task have the same.
    """
    name = quote(output, safe=" +,=@()[]{}~!#$&;'", encoding="utf-8", errors="surrogatepass")
    if not name.strip("."):
        return name.replace(".", "%2E") or "%"  # a % that nothing follows is nobody else's
    if name.startswith(RESERVED):
        name = f"%2E{name[1:]}"
    if len(name) <= _MOST_CHARACTERS:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()
    # No output that is called so has this name: quote() puts digits after a %.
    return f"{name[: _MOST_CHARACTERS - len(digest) - 2]}%~{digest}"


def outputs_folder(folder: Path, index: int) -> Path:
    """Where in a study's folder the outputs of a task are."""
    return folder / str(index)


def describe_outputs(result: Result) -> dict[str, OutputFile]:
    """A result's outputs: their sizes and digests."""
    return {name: OutputFile.of(result.buffer(name)) for name in result}


def sha256_of(file: BinaryIO) -> str:
    """The digest of what is left to read of a file, in hexadecimal; a piece is read at a time."""
    digest = hashlib.sha256()
    while data := file.read(_READ_BYTES):
        digest.update(data)
    return digest.hexdigest()


def is_as_made(path: Path, made: OutputFile) -> bool:
    """Tell whether a file has the content that it was written with."""
    try:
        with open_stored(path, follow=False) as file:
            if os.fstat(file.fileno()).st_size != made.size:
                return False
            return sha256_of(file) == made.sha256
    except (OSError, ValueError):  # a name with a NUL in it is a ValueError
        return False
