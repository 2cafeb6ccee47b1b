"""Buffers that travel beside the transport, as docs/protocol.md has them under "Bulk data".

Both sides send and take them with this: in memory, as sealed memfds over a socket, or as files of
the exchange folder where there is no such socket or no such memory.
"""

from __future__ import annotations

import _socket  # Without the module socket, whose import takes 5 ms of each child's start.
import _thread  # Without the module threading, whose import takes 2 ms.
import array
import errno
import fcntl
import json
import os
import stat
import time
from binascii import crc32
from contextlib import suppress

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Union

    Buffer = Union[bytes, memoryview]

# linux/fcntl.h and linux/socket.h; PyPy's modules do not have them.
_F_ADD_SEALS, _F_GET_SEALS = 1033, 1034
_F_SEAL_SEAL, _F_SEAL_SHRINK, _F_SEAL_GROW, _F_SEAL_WRITE = 1, 2, 4, 8
_MSG_NOSIGNAL, _MSG_CMSG_CLOEXEC = 0x4000, 0x40000000
_SEALS = _F_SEAL_SHRINK | _F_SEAL_GROW | _F_SEAL_WRITE

# What the second-level cache of a processor holds: the copy finds there what the CRC-32 has read.
_PIECE_BYTES = 256 * 1024
_PAGE_BYTES = 4096
# From here on a thread for the CRC-32 costs nothing beside what it spares.
_BESIDE_BYTES = 8 * 1024 * 1024
_MAX_LABEL_BYTES = 256
# A socket holds fewer messages (net.core.wmem_default), so whoever sends more floods it.
_MAX_STALE = 1000


def socket_of(fd: int) -> _socket.socket:
    """The socket behind a descriptor. Detach it, where the descriptor is to stay open."""
    return _socket.socket(fileno=fd)


def send(
    data: Buffer, socket: _socket.socket | None, folder: str | None, request_id: object, index: int
) -> dict[str, object] | None:
    """Sends a buffer, before the message that announces it.

    :param socket: what memfds are sent over, if there is such a socket.
    :param folder: the exchange folder, if there is one.
    :param request_id: of the request whose message will announce it.
    :param index: its place among those that the message announces.
    :returns: what its record says of where it is; None where there is neither way.
    :raises OSError: the folder could not be written to; nothing of it is left there.
    """
    # No system but Linux has memfds, and PyPy has had them since 7.3.
    if socket is not None and hasattr(os, "memfd_create"):
        # ENOSPC, ENOMEM, EMFILE, EFBIG; EAGAIN and ETOOMANYREFS where too many are on their way;
        # ENOSYS and EPERM in a sandbox.
        with suppress(OSError):
            return {"memfd": True, "crc32": _send_memfd(data, socket, _label(request_id, index))}
    if folder is not None:
        # Unlike a count, no fork of this process can have it too, nor a later one of the same pid.
        file = f"{os.getpid()}-{time.monotonic_ns()}"
        return {"file": file, "crc32": _write_file(data, os.path.join(folder, file))}
    return None


def send_descriptor(fd: int, socket: _socket.socket, request_id: object, index: int) -> None:
    """Sends a sealed memfd, as send does.

    :raises OSError: the socket takes no more, or too many are on their way.
    """
    _send_descriptor(fd, socket, _label(request_id, index))


def receive(socket: _socket.socket, request_id: object, index: int, size: int) -> int:
    """Takes a memfd that was announced, and so is here. Whoever calls closes it.

    :raises ValueError: it is not here, or not what was announced.
    :raises OSError: likewise.
    """
    label = _label(request_id, index)
    for _ in range(_MAX_STALE):
        found, fd, cut_off = _receive(socket)
        if found is None:
            break
        if found == label:
            if fd is None and cut_off:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            if fd is None:
                raise ValueError("no memfd was sent for it")
            try:
                _check(fd, size)
            except (OSError, ValueError):
                os.close(fd)
                raise
            return fd
        # Of a task that sent it, and failed before it answered.
        if fd is not None:
            os.close(fd)
    raise ValueError("its memfd did not arrive")


def discard(socket: _socket.socket) -> None:
    """Drops what has arrived and nobody will ask for."""
    for _ in range(_MAX_STALE):
        found, fd, _ = _receive(socket)
        if fd is not None:
            os.close(fd)
        if found is None:
            return


def _label(request_id: object, index: int) -> bytes:
    return json.dumps([request_id, index], separators=(",", ":")).encode()[:_MAX_LABEL_BYTES]


def _send_descriptor(fd: int, socket: _socket.socket, label: bytes) -> None:
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [fd]))
    socket.sendmsg([label], [rights], _socket.MSG_DONTWAIT | _MSG_NOSIGNAL)


def _send_memfd(data: Buffer, socket: _socket.socket, label: bytes) -> int:
    fd = os.memfd_create("modelops-runner", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        crc = _write(data, fd)
        fcntl.fcntl(fd, _F_ADD_SEALS, _SEALS | _F_SEAL_SEAL)
        _send_descriptor(fd, socket, label)
    finally:
        os.close(fd)
    return crc


def _write_file(data: Buffer, path: str) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return _write(data, fd)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _write(data: Buffer, fd: int) -> int:
    """Writes it all; returns its CRC-32."""
    with memoryview(data) as view:
        if len(view) >= _BESIDE_BYTES:
            with suppress(RuntimeError):  # no thread can be started
                return _write_beside(view, fd)
        crc = 0
        for piece in _pieces(view):
            crc = crc32(piece, crc)
            _write_all(piece, fd)
        return crc


def _write_beside(view: memoryview, fd: int) -> int:
    """As _write, with the CRC-32 made in a thread of its own: it takes half as long as the copy.

    :raises RuntimeError: no thread can be started; nothing is written.
    """
    crcs: list[int] = []
    done = _thread.allocate_lock()

    def digest() -> None:
        try:
            crc = 0
            for piece in _pieces(view):
                crc = crc32(piece, crc)
            crcs.append(crc)
        finally:
            done.release()

    done.acquire()
    _thread.start_new_thread(digest, ())
    try:
        _write_all(view, fd)
    finally:
        done.acquire()  # It reads what the caller may be about to give back.
    return crcs[0]


def _pieces(view: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(view), _PIECE_BYTES):
        piece = view[start : start + _PIECE_BYTES]
        # A byte of each page. At the first access to one after a fork the processor stops to
        # set a bit (page table entry, "accessed"), and does so again for each of the reads
        # that crc32 has under way by then: together twice the time of the CRC-32 itself.
        piece[::_PAGE_BYTES].tobytes()
        yield piece


def _write_all(view: memoryview, fd: int) -> None:
    while view:
        view = view[os.write(fd, view) :]


def _receive(socket: _socket.socket) -> tuple[bytes | None, int | None, bool]:
    """A message and the descriptor in it; None for the message where there is none.

    Last whether this process could not have what was in it: it has too many files open.
    """
    # Room for one descriptor: the kernel closes any others.
    room = _socket.CMSG_LEN(array.array("i").itemsize)
    flags = _socket.MSG_DONTWAIT | _MSG_CMSG_CLOEXEC
    try:
        label, control, told, _ = socket.recvmsg(_MAX_LABEL_BYTES, room, flags)
    except BlockingIOError:
        return None, None, False
    except ConnectionResetError:
        # Linux says once that the other side has ended before it took all that was sent to it.
        # What that side has sent comes after, then the end (unix_release_sock in af_unix.c).
        label, control, told, _ = socket.recvmsg(_MAX_LABEL_BYTES, room, flags)
    fds = array.array("i")
    for level, kind, data in control:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return label or None, fds[0] if fds else None, bool(told & _socket.MSG_CTRUNC)


def _check(fd: int, size: int) -> None:
    try:
        seals = fcntl.fcntl(fd, _F_GET_SEALS)
    except OSError:
        raise ValueError("what was sent for it is not a memfd") from None
    if seals & _SEALS != _SEALS:
        raise ValueError("its memfd is not sealed, so it may still change")
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size != size:
        raise ValueError(f"its memfd has {status.st_size} bytes where {size} were announced")
    # Reading a hole would take the memory that whoever sent it has not (shmem_fault in mm/shmem.c).
    if status.st_blocks * 512 < size:
        raise ValueError("its memfd has holes")
