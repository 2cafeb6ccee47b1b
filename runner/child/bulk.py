"""Values that travel beside the transport: inputs to the child, outputs from it, each checked."""

import math
import os
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

import msgspec

from bundle_protocol import bulk
from bundle_protocol.messages import INLINE_BYTES
from bundle_protocol.outputs import plain_bytes
from runner.child.messages import ValueRecord
from runner.inputs import input_buffers

# Below, a copy costs less than a mapping and the faults on its pages.
MAPPED_BYTES = 1024 * 1024
# So often it is looked at the clock: each takes milliseconds.
_PIECE_BYTES = 16 * 1024 * 1024


class Bulk:
    """The parent's end; made by :func:`bulk_channel`."""

    def __init__(self, folder: Path, own: socket.socket | None, theirs: socket.socket | None):
        self.folder = folder
        """The exchange folder."""
        self._own = own
        self._theirs = theirs

    @property
    def options(self) -> tuple[str, ...]:
        """Return what tells the child of it, at the end of its command line."""
        return () if self._theirs is None else ("--bulk-fd", str(self._theirs.fileno()))

    @property
    def inherited(self) -> tuple[int, ...]:
        """The descriptor that the child is to inherit, where there is one."""
        return () if self._theirs is None else (self._theirs.fileno(),)

    def started(self) -> None:
        """The child has inherited it."""
        if self._theirs is not None:
            self._theirs.close()

    def send(self, values: Mapping[str, object], request_id: int) -> list[ValueRecord]:
        """Send values before the request that announces them.

        :raises OSError: the disk takes no file.
        """
        return [
            self._send(name, output, plain_bytes(value), request_id, index)
            for index, (name, output, value) in enumerate(input_buffers(values))
        ]

    def _send(
        self, name: str, output: str | None, data: bytes | memoryview, request_id: int, index: int
    ) -> ValueRecord:
        if len(data) <= INLINE_BYTES:
            return ValueRecord(name, len(data), crc32(data), data=bytes(data), output=output)
        where = self._hand_on(data, request_id, index)
        if where is None:
            where = bulk.send(data, self._own, str(self.folder), request_id, index)
        assert where is not None  # there is a folder
        record = {"name": name, "size": len(data), "output": output, **where}
        return msgspec.convert(record, ValueRecord)

    def _hand_on(
        self, data: bytes | memoryview, request_id: int, index: int
    ) -> dict[str, object] | None:
        """Send a file that is mapped here, such as another child's output: nothing is copied.

        :returns: as :func:`bundle_protocol.bulk.send`; ``None``: it is none, or cannot be sent.
        """
        if self._own is None or len(data) < MAPPED_BYTES:
            return None
        from runner.child.mapped_file import kept_file

        if (kept := kept_file(data)) is None:
            return None
        try:
            bulk.send_descriptor(kept.descriptor, self._own, request_id, index)
        except OSError:  # too many are on their way
            return None
        return {"memfd": True, "crc32": kept.crc32}

    def take(
        self, record: ValueRecord, request_id: int, index: int, deadline: float = math.inf
    ) -> bytes | memoryview:
        """Take a value that an answer announces.

        :param index: its place among those that the answer announces.
        :raises OSError: it cannot be had; a ``TimeoutError``, by then.
        :raises ValueError: it is not what was announced.
        """
        if record.data is not None:
            data: bytes | memoryview = record.data
        elif record.memfd:
            data = self._take_memfd(record, request_id, index)
        elif record.file is not None:
            data = _take_file(self.folder / record.file, record.size, deadline)
        else:
            raise ValueError("it has neither data nor a memfd nor a file")
        if len(data) != record.size:
            raise ValueError(f"{len(data)} bytes arrived where {record.size} were announced")
        if _crc(data, deadline) != record.crc32:
            raise ValueError("its CRC-32 is not the one announced")
        return data

    def discard(self) -> None:
        """Drop what a task has sent that failed before its answer announced it."""
        if self._own is not None:
            bulk.discard(self._own)

    def _take_memfd(self, record: ValueRecord, request_id: int, index: int) -> bytes | memoryview:
        if self._own is None:
            raise ValueError("it is announced as a memfd, and no socket was offered for it")
        size = record.size
        descriptor = bulk.receive(self._own, request_id, index, size)
        try:
            if size >= MAPPED_BYTES:
                from runner.child.mapped_file import (
                    map_file,  # 2 ms, and only large outputs need it.
                )

                return map_file(descriptor, size, record.crc32)
            return os.pread(descriptor, size, 0)
        finally:
            os.close(descriptor)


@contextmanager
def bulk_channel(folder: Path) -> Iterator[Bulk]:
    """Return what values travel through; closed on leaving.

    :raises OSError: there is no descriptor left.
    """
    if sys.platform != "linux":  # No other system has memfds.
        yield Bulk(folder, None, None)
        return
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with own, theirs:
        yield Bulk(folder, own, theirs)


def _take_file(path: Path, size: int, deadline: float) -> bytes | memoryview:
    """Read and remove a file that the child wrote.

    :raises OSError: it cannot be read in time.
    :raises ValueError: it is not a plain file of that size.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            raise ValueError(f"its file is not a plain one of {size} bytes")
        # What it has not itself, its parent need not hold either.
        if status.st_blocks * 512 < size:
            raise ValueError("its file has holes")
        data = bytearray(size)
        left = memoryview(data)
        while left:
            _check_time(deadline)
            count = os.readv(descriptor, [left[:_PIECE_BYTES]])
            if count == 0:
                raise ValueError(f"its file is shorter than {size} bytes")
            left = left[count:]
    finally:
        os.close(descriptor)
    path.unlink()
    return memoryview(data).toreadonly() if size >= MAPPED_BYTES else bytes(data)


def _crc(data: bytes | memoryview, deadline: float) -> int:
    if len(data) <= _PIECE_BYTES:
        return crc32(data)
    crc, view = 0, memoryview(data)
    for start in range(0, len(view), _PIECE_BYTES):
        _check_time(deadline)
        crc = crc32(view[start : start + _PIECE_BYTES], crc)
    return crc


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError
