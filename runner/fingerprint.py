"""A file's fingerprint: what the file system tells of it, to see a change without reading it."""

import os

from msgspec import Struct


class Fingerprint(Struct, frozen=True, array_like=True, gc=False):
    """Nobody sets the time of the last change (ctime, stat(2)); programs may set the other."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Fingerprint":
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def fingerprint_of(path: str, *, of_link: bool = False) -> Fingerprint | None:
    """The fingerprint of a file or folder; ``None`` where there is none.

    :param of_link: not of what a link leads to.
    """
    try:
        return Fingerprint.of(os.lstat(path) if of_link else os.stat(path))  # noqa: PTH116
    except OSError:
        return None
