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


class Inputs:
    """The inputs of one task, taken and not yet read.

    Args:
        records: what the request says of them.
        socket: what memfds come over, if there is such a socket.
        exchange: the folder that files are in, if there is one.
        request_id: the request's.

    Raises:
        RequestError: ``INTERNAL_ERROR``: one has not arrived. ``INVALID_PARAMS``: a record is not
            as specified.
    """

    def __init__(
        self,
        records: list[object],
        socket: _socket.socket | None,
        exchange: str | None,
        request_id: object,
    ) -> None:
        self._taken: list[tuple[str, int, int, bytes | int]] = []
        """Each one's name, size, CRC-32, and itself or a descriptor of its file."""
        try:
            for index, record in enumerate(records):
                name, size, crc = _described(record)
                assert isinstance(record, dict)
                try:
                    source = _take(record, size, socket, exchange, request_id, index)
                except (OSError, ValueError) as error:
                    raise _lost(name, error) from error
                self._taken.append((name, size, crc, source))
        except BaseException:
            self.close()
            raise

    def views(self) -> dict[str, memoryview]:
        """Each by its name, read-only, without a copy where it is large.

        Raises:
            RequestError: ``INTERNAL_ERROR``: one is not what was announced.
        """
        views = {}
        for name, size, crc, source in self._taken:
            try:
                # Private: before Linux 6.7, what is sealed could not be mapped shared.
                view = memoryview(
                    mmap.mmap(source, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
                    if isinstance(source, int)
                    else source
                )
                if len(view) != size or binascii.crc32(view) != crc:
                    raise ValueError("its size or its CRC-32 is not the one announced")
            except (OSError, ValueError) as error:
                raise _lost(name, error) from error
            views[name] = view
        return views

    def close(self) -> None:
        """Closes the descriptors; what was mapped stays."""
        for _, _, _, source in self._taken:
            if isinstance(source, int):
                os.close(source)
        self._taken = []


def _described(record: object) -> tuple[str, int, int]:
    if isinstance(record, dict):
        described = record.get("name"), record.get("size"), record.get("crc32")
        name, size, crc = described
        if isinstance(name, str) and isinstance(size, int) and isinstance(crc, int):
            return name, size, crc
    raise RequestError(ErrorCode.INVALID_PARAMS, "inputs must be objects with name, size and crc32")


def _take(
    record: dict[str, object],
    size: int,
    socket: _socket.socket | None,
    exchange: str | None,
    request_id: object,
    index: int,
) -> bytes | int:
    data, file = record.get("data"), record.get("file")
    if isinstance(data, str):
        return binascii.a2b_base64(data)
    if record.get("memfd") is True and socket is not None:
        return bulk.receive(socket, request_id, index, size)
    if isinstance(file, str) and exchange is not None:
        path = os.path.join(exchange, os.path.basename(file))
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        os.unlink(path)
        return fd
    raise ValueError("there is no way to it")


def _lost(name: str, error: Exception) -> RequestError:
    return RequestError(
        ErrorCode.INTERNAL_ERROR, f"input {name!r} cannot be had: {summarize(error)}"
    )
