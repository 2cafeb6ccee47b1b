"""A task's inputs: what the parent has sent beside the request, as buffers."""

from __future__ import annotations

import binascii
import mmap
import os

from bundle_protocol import bulk
from bundle_protocol.describe import summarize
from bundle_protocol.messages import ErrorCode, RequestError

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    import _socket


_MAPPED_BYTES = 1024 * 1024
"""From here on a mapping costs less than a copy."""

_MOST_MAPPED = 256
"""So many are mapped: a mapping keeps a descriptor, of which a process may have 1024 by default."""

_PIECE_BYTES = 16 * 1024 * 1024


class Inputs:
    """The inputs of one task, taken and not yet looked at.

    :param records: what the request says of them.
    :param socket: what memfds come over, if there is such a socket.
    :param exchange: the folder that files are in, if there is one.
    :param request_id: the request's.
    :raises RequestError: ``INTERNAL_ERROR``: one has not arrived. ``INVALID_PARAMS``: a record is
        not as specified.
    """

    def __init__(
        self,
        records: list[object],
        socket: _socket.socket | None,
        exchange: str | None,
        request_id: object,
    ) -> None:
        self._taken: list[tuple[str, str | None, int, int, bytes | mmap.mmap]] = []
        """Each one's names, size, CRC-32, and itself."""
        mapped = 0
        for index, record in enumerate(records):
            name, output, size, crc = _described(record)
            assert isinstance(record, dict)
            try:
                data = _take(
                    record, size, socket, exchange, request_id, index, mapped < _MOST_MAPPED
                )
            except (OSError, ValueError) as error:
                raise _lost(name, error) from error
            mapped += not isinstance(data, bytes)
            self._taken.append((name, output, size, crc, data))

    def views(self) -> dict[str, memoryview | dict[str, memoryview]]:
        """Each by its name, read-only, without a copy where it is large; a result's by theirs.

        :raises RequestError: ``INTERNAL_ERROR``: one is not what was announced.
        """
        views: dict[str, memoryview | dict[str, memoryview]] = {}
        for name, output, size, crc, data in self._taken:
            view = memoryview(data).toreadonly()
            if len(view) != size or binascii.crc32(view) != crc:
                error = ValueError("its size or its CRC-32 is not the one announced")
                raise _lost(name, error)
            if output is None:
                views[name] = view
            else:
                result = views.setdefault(name, {})
                assert isinstance(result, dict)
                result[output] = view
        return views

    def close(self) -> None:
        """Lets go of them; what there are views of stays."""
        self._taken = []


def _described(record: object) -> tuple[str, str | None, int, int]:
    if isinstance(record, dict):
        name, output = record.get("name"), record.get("output")
        size, crc = record.get("size"), record.get("crc32")
        named = isinstance(name, str) and (output is None or isinstance(output, str))
        if named and isinstance(size, int) and isinstance(crc, int):
            return name, output, size, crc  # type: ignore[return-value]
    raise RequestError(ErrorCode.INVALID_PARAMS, "inputs must be objects with name, size and crc32")


def _take(
    record: dict[str, object],
    size: int,
    socket: _socket.socket | None,
    exchange: str | None,
    request_id: object,
    index: int,
    map_large: bool,
) -> bytes | mmap.mmap:
    data, file = record.get("data"), record.get("file")
    if isinstance(data, str):
        return binascii.a2b_base64(data)
    if record.get("memfd") is True and socket is not None:
        fd = bulk.receive(socket, request_id, index, size)
    elif isinstance(file, str) and exchange is not None:
        path = os.path.join(exchange, os.path.basename(file))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.unlink(path)
    else:
        raise ValueError("there is no way to it")
    try:
        return _content(fd, size, map_large)
    finally:
        os.close(fd)


def _content(fd: int, size: int, map_large: bool) -> bytes | mmap.mmap:
    if size < _MAPPED_BYTES:
        return os.pread(fd, size, 0)
    if map_large:
        # Private: before Linux 6.7, what is sealed could not be mapped shared.
        return mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
    content = mmap.mmap(-1, size)
    at = 0
    while at < size:
        piece = os.pread(fd, min(_PIECE_BYTES, size - at), at)
        if not piece:
            raise ValueError(f"it is shorter than {size} bytes")
        content[at : at + len(piece)] = piece
        at += len(piece)
    return content


def _lost(name: str, error: Exception) -> RequestError:
    return RequestError(
        ErrorCode.INTERNAL_ERROR, f"input {name!r} cannot be had: {summarize(error)}"
    )
