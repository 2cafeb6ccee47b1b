"""Reads a bundle's metadata files: bounded, as text."""

import os
from pathlib import Path

from runner.bundle.failures import invalid, unreadable
from runner.diagnosis.remedies import as_utf_8
from runner.diagnosis.report.model import Hint
from runner.stored_files import open_stored

# The lock of a thousand packages takes 2 MiB.
MAX_BYTES = 64 << 20


def has_file(folder: Path, name: str) -> bool:
    """Tell whether the bundle has this metadata file.

    :raises Failure: ``bundle-invalid``: something of that name is there, and no file.
    """
    path = folder / name
    if path.is_file():
        return True
    if not os.path.lexists(path):
        return False
    if path.is_dir():
        what = "a folder"
    elif path.is_symlink():
        what = f"a link to {path.readlink()}, where no file is"
    else:
        what = "not a regular file"
    raise invalid(
        f"{name} is {what}",
        f"What is named {name} is read as the bundle's metadata.",
        Hint(f"make {name} a file, or give it another name"),
    )


def files_like(folder: Path, pattern: str) -> list[Path]:
    """The files at the top of a folder that match, in order; no pipe, and no broken link.

    One whose name code, a table or a sentence would have to quote is left out.
    """
    return [path for path in sorted(folder.glob(pattern)) if is_plain(path.name) and path.is_file()]


def is_plain(name: str) -> bool:
    return name.isprintable() and not {'"', "\\"} & {*name}


def read_text(folder: Path, name: str) -> str:
    """A metadata file's text.

    :raises Failure: ``bundle-invalid``: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with open_stored(folder / name) as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise unreadable(name, error) from error
    if len(data) > MAX_BYTES:
        raise invalid(
            f"{name} is larger than {MAX_BYTES >> 20} MiB",
            "Metadata is read as a whole.",
            Hint(f"see whether {name} is what it should be"),
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        raise invalid(
            f"{name}:{line} is not UTF-8 (byte {error.start}: 0x{data[error.start]:02x})",
            "Metadata is text in UTF-8."
            + (" This is UTF-16, which PowerShell's > writes." if utf16 else ""),
            Hint(
                f"save {name} as UTF-8",
                command=as_utf_8(str(folder / name), "UTF-16") if utf16 else None,
            ),
        ) from error


def leads_outside(folder: Path, path: str) -> bool:
    """Tell whether a relative path leads out of the bundle, or is not a path at all."""
    try:
        # Path.resolve raises RuntimeError on a loop of links before Python 3.13.
        real = Path(os.path.realpath(folder / path))
    except ValueError:  # NUL, or a surrogate without its other half
        return True
    return not real.is_relative_to(os.path.realpath(folder))
