"""A file's fingerprint: what the file system tells of it, to see a change without reading it."""

import os
from collections.abc import Callable

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


def fingerprint(path: str, stat: Callable[[str], os.stat_result] = os.stat) -> Fingerprint | None:
    """The fingerprint of a file or folder; ``None`` where there is none.

    :param stat: ``os.lstat`` for a link's own.
    """
    try:
        return Fingerprint.of(stat(path))
    except OSError:
        return None
