"""Writes files whole, and reads files that a runner has written, also damaged ones.

Anything may lie in the place of such a file: a pipe that nobody writes to, a folder, bytes of
something else, more of them than memory takes.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

_T = TypeVar("_T")

MOST_BYTES = 64 << 20
"""More than any of our own files has, but for recordings and results."""


# A read makes room for as much as it asks for.
_PIECE_BYTES = 1 << 20


class DamagedError(ValueError):
    """A file holds something else than it is to hold; the message says what is wrong."""


@contextmanager
def whole_file(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a new file that takes the place of what is there, whatever it is, once it is whole.

    :param mode: its permissions; the umask takes some away.
    :raises OSError: it cannot be written, and nothing is left of it; the error has the path.
    """
    beside = path.with_name(f".{path.name[:32]}.{os.urandom(16).hex()}")
    try:
        with open(beside, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # write(2) does not say it
        raise


def read_stored(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a file.

    :param most: bytes that it may have.
    :raises OSError: it cannot be read, or is not a file: a pipe is not waited for.
    :raises DamagedError: it has more.
    """
    with open_stored(path) as file:
        return _bounded(file, most)


def open_stored(path: Path, *, follow: bool = True) -> BinaryIO:
    """Open a file to read it.

    :param follow: true if it may be a link.
    :raises OSError: it cannot be read, or is not a file: a pipe is not waited for.
    """
    no_link = 0 if follow else os.O_NOFOLLOW
    return open(path, "rb", opener=lambda name, flags: _at_once(name, flags | no_link))


def read_named(path: Path | int, most: int = MOST_BYTES) -> bytes:
    """As :func:`read_stored`, of what the user has named: of a pipe, what comes through it.

    :param path: or a descriptor, which stays open.
    """
    with open(path, "rb", closefd=isinstance(path, Path)) as file:
        return _bounded(file, most)


def _bounded(file: BinaryIO, most: int) -> bytes:
    pieces, left = list[bytes](), most
    while piece := file.read(min(left + 1, _PIECE_BYTES)):
        pieces.append(piece)
        left -= len(piece)
        if left < 0:
            raise DamagedError(f"it has more than the {most:,} bytes that make sense")
    return b"".join(pieces)


def _at_once(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # open() refuses a folder by itself
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a plain file", path)
    return descriptor


def decoded(data: bytes, kind: type[_T]) -> _T:
    """Return what JSON says.

    :raises DamagedError: it is not JSON, or of another shape.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:  # bytes that are no UTF-8 are a ValueError alone
        raise DamagedError(str(error)) from error


def read_json(path: Path, kind: type[_T], most: int = MOST_BYTES) -> _T:
    """Read a file that holds JSON.

    :param most: bytes that it may have.
    :raises OSError: it cannot be read, or is not a file.
    :raises DamagedError: it has more, is not JSON, or of another shape.
    """
    return decoded(read_stored(path, most), kind)
