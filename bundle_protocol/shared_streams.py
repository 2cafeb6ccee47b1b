"""Finds the connections and pipes of the import that forks would share, however deep they lie.

What comes in there is one task's or another one's: who reads first has it. A library keeps its
connections in objects of its own, or in compiled code; a process that the import has started
answers over a pipe, and remembers what the tasks before have asked it.
"""

from __future__ import annotations

import _io
import os
import select
import stat
import sys
from contextlib import suppress

from bundle_protocol.descriptors import open_descriptors
from bundle_protocol.open_files import parts_of

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from typing import Any

# Name services, with which libc keeps a connection: it makes another one in a fork.
_OF_LIBC = ("/run/systemd/", "/run/nscd/", "/var/run/nscd/", "/run/nslcd/", "/var/lib/sss/")
_TERMINALS = ("/dev/ptmx", "/dev/pts/ptmx")


def shared_streams(variables: Iterable[tuple[str, object]], own: Collection[int]) -> list[str]:
    """The names of connections to elsewhere, and of pipes that others write to.

    Those that this process has with itself, as event loops do, count where a variable has them.

    :param variables: of the bundle, by their names.
    :param own: the descriptors that are not the bundle's.
    """
    streams = dict(_streams(own))
    if not streams:
        return []
    found: dict[str, None] = {}
    known: set[int] = set()
    for name, value in variables:
        held = set(_descriptors_in(value)) & streams.keys()
        if held - known:
            found[name] = None
        known |= held
    for name, value in variables:
        # Only those of os.pipe() are kept as numbers, among which any other may be.
        if any(streams.get(fd, "") is None for fd in _numbers_in(value) if fd not in known):
            found[name] = None
    for fd, title in streams.items():
        if fd not in known and title is not None:
            found[title] = None
    return list(found)


def _streams(own: Collection[int]) -> Iterator[tuple[int, str | None]]:
    """The descriptors, each with what it is; None for the end of a pipe that is all in here."""
    pipes: dict[int, tuple[str, bool]] = {}
    for fd, flags, mode in open_descriptors():
        if fd < 3 or fd in own:
            continue
        target = os.readlink(f"/proc/self/fd/{fd}")
        if stat.S_ISSOCK(mode):
            peer = _peer(fd)
            if peer is not None:
                yield fd, f"a connection to {peer}"
        elif stat.S_ISFIFO(mode):
            pipes[fd] = target, flags & os.O_ACCMODE != os.O_WRONLY
        elif target in _TERMINALS:
            yield fd, "a terminal of a process"
    written = {target for target, reads in pipes.values() if not reads}
    for fd, (target, reads) in pipes.items():
        if reads and not _has_ended(fd):
            yield fd, None if target in written else "a pipe of a process"


def _has_ended(fd: int) -> bool:
    """Tell whether nobody writes to a pipe any more."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _peer(fd: int) -> str | None:
    """Who is at the other end of a connection; None where it is none, or ends in here."""
    import _socket

    socket = _socket.socket(fileno=fd)
    try:
        if socket.type not in (_socket.SOCK_STREAM, _socket.SOCK_SEQPACKET):
            return None  # What a log sends its lines by.
        address = socket.getpeername()
        if socket.family != _socket.AF_UNIX:
            return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
        credentials = socket.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        of_libc = os.fsdecode(address).startswith(_OF_LIBC)
        ends_here = int.from_bytes(credentials[:4], sys.byteorder) == os.getpid()
        return None if of_libc or ends_here else os.fsdecode(address) or "a process"
    except OSError:
        return None
    finally:
        socket.detach()


def _numbers_in(value: object) -> list[int]:
    """The numbers that an object is, or has in a row."""
    values: Any = value if issubclass(type(value), (tuple, list)) else [value]
    return [each for each in values if type(each) is int]


def _descriptors_in(value: object) -> Iterator[int]:
    """The descriptors of the files and sockets in an object."""
    socket: Any = sys.modules.get("_socket")
    kinds = (_io.FileIO,) if socket is None else (_io.FileIO, socket.socket)
    for part in parts_of(value).values():
        if issubclass(type(part), kinds):
            with suppress(Exception):  # Its class may be the bundle's; or it is closed.
                yield part.fileno()  # type: ignore[attr-defined]
