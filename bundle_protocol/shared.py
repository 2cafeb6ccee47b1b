"""Finds what forks of this process would share: what the import has opened for writing.

Private memory is copied where a fork writes to it. A mapping that is shared is not (mmap(2)), nor
is a file: what one task writes there, the next one reads. Of a queue or a connection, one task
reads what was meant for another one, which waits for it.
"""

from __future__ import annotations

import gc
import os
import stat
import sys
from contextlib import suppress

from bundle_protocol.descriptors import open_descriptors
from bundle_protocol.shared_streams import shared_streams

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import ModuleType
    from typing import Any

# Locks, which are there to be shared, and code that is made at run time.
_NO_STATE = ("sem.", "ffi", "memfd:libffi", "memfd:doublemapper")
_CONNECTIONS = (
    ("multiprocessing.connection", "Connection"),
    ("socket", "socket"),
    ("ssl", "SSLSocket"),
)
# The rest of /dev is devices: what a driver maps is no state of a task's.
_OF_MEMORY = ("/dev/shm/", "/dev/zero")


def shared_by_forks(modules: Iterable[ModuleType], own: Collection[int]) -> list[str]:
    """The names of what a task in a fork could change for those after it.

    :param modules: the bundle's own: mapped memory, queues and connections are told by the
        variables in them that hold them.
    :param own: the descriptors that are not the bundle's.
    """
    variables = [
        (f"{module.__name__}.{name}", value)
        for module in modules
        for name, value in list(vars(module).items())
    ]
    mapped = _mapped_files()
    connections = [name for name, value in variables if _is_connection(value)]
    names = [name for name, value in variables if mapped and _is_mapped(value)]
    opened = [path for path in _read_and_written() if path not in mapped]
    files = opened if names else mapped + opened
    streams = shared_streams(variables, own)
    return [*dict.fromkeys(connections + streams), *names, *map(_name_of, files)]


def _name_of(path: str) -> str:
    if path.startswith(_OF_MEMORY):
        return "shared memory"
    return "a temporary file" if path.endswith(" (deleted)") else os.path.basename(path)


def _mapped_files() -> list[str]:
    found: dict[str, None] = {}
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            fields = line.rstrip("\n").split(None, 5)
            path = fields[5] if len(fields) > 5 else ""
            device = path.startswith("/dev/") and not path.startswith(_OF_MEMORY)
            no_state = device or os.path.basename(path).startswith(_NO_STATE)
            if fields[1][1::2] == "ws" and not no_state:
                found[path] = None
    return list(found)


def _is_mapped(value: object) -> bool:
    """Tell whether it may be memory that is mapped: of mmap, multiprocessing or numpy.memmap."""
    kind = type(value)
    if kind.__name__ == "memmap":
        return getattr(value, "mode", "") in ("r+", "w+")
    return kind.__module__ in ("mmap", "multiprocessing.sharedctypes")


def _is_connection(value: object) -> bool:
    """Tell whether what one process puts in may come out in another one."""
    module, name = type(value).__module__, type(value).__name__
    return (module, name) in _CONNECTIONS or module in (
        "multiprocessing.queues",
        "multiprocessing.managers",
    )


def _read_and_written() -> list[str]:
    """The files that are open for both, such as a database.

    What is only written, such as a log, is no state that a task begins with. Nor is an archive,
    which is read for its own places alone; :mod:`bundle_protocol.open_files` tells what is lost.
    """
    found: dict[int, str] = {}
    for fd, flags, mode in open_descriptors():
        if stat.S_ISREG(mode) and fd > 2 and flags & os.O_ACCMODE == os.O_RDWR:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
    zipfile: Any = sys.modules.get("zipfile") if found else None
    for each in gc.get_objects() if zipfile is not None else ():
        if issubclass(type(each), zipfile.ZipFile):
            with suppress(AttributeError, OSError, ValueError):  # It is in memory, or closed.
                found.pop(each.fp.fileno(), None)
    return list(found.values())
