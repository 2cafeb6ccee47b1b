"""A child's transport: frames in and out of two descriptors that no one else may touch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bundle_protocol import process
from bundle_protocol.framing import FrameDecoder, FramingError, encode_frame
from bundle_protocol.messages import HIGH_DESCRIPTOR, MAX_MESSAGE_BYTES, ExitStatus
from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    import _socket

_READ_BYTES = 64 * 1024


class TransportClosed(Exception):
    """The bundle's code closed or replaced the transport's descriptors."""


class Transport:
    """Reads requests from ``read_fd`` and writes answers to ``write_fd``, both blocking.

    ``bulk_fd`` is the socket for what travels beside them, None where there is none.
    """

    def __init__(self, read_fd: int, write_fd: int, bulk_fd: int | None = None) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._bulk_fd = bulk_fd
        self._decoder = FrameDecoder(MAX_MESSAGE_BYTES, strict=True)
        # Whoever made the pipes may have left them non-blocking, as an event loop does.
        os.set_blocking(read_fd, True)
        os.set_blocking(write_fd, True)
        self._files = _open_file(read_fd), _open_file(write_fd)
        # Where so many files may not be open, the numbers are low.
        self.numbers_are_high = min(read_fd, write_fd) >= HIGH_DESCRIPTOR
        self._bulk_file = None if bulk_fd is None else _open_file(bulk_fd)
        self._kept = False
        if hasattr(os, "register_at_fork"):  # Not every PyPy has it.
            os.register_at_fork(after_in_child=self._close)

    @property
    def descriptors(self) -> set[int]:
        """Those that are the transport's."""
        return {fd for fd in (self._read_fd, self._write_fd, self._bulk_fd) if fd is not None}

    def receive(self) -> Iterator[bytes]:
        """The bodies of the frames that come in, until the peer closes its end.

        :raises FramingError: the peer sent what is not a frame, or too long a one.
        :raises TransportClosed: see there.
        """
        while True:
            try:
                data = os.read(self._read_fd, _READ_BYTES)
            except ConnectionError:
                return
            except OSError as error:  # It is none of a pipe's.
                raise TransportClosed from error
            if not data:
                return
            yield from self._decoder.feed(data)

    def send(self, body: bytes) -> None:
        """Writes one message as a frame. See that :meth:`check` was called before.

        :raises ConnectionError: nobody is at the other end.
        :raises TransportClosed: see there.
        """
        frame = encode_frame(body)
        try:
            written = os.write(self._write_fd, frame)
            while written < len(frame):
                written += os.write(self._write_fd, memoryview(frame)[written:])
        except ConnectionError:
            raise
        except OSError as error:  # It is none of a pipe's.
            raise TransportClosed from error

    @contextmanager
    def bulk_socket(self) -> Iterator[_socket.socket | None]:
        """The socket for bulk data; None where there is none, or the bundle's code closed it."""
        if self._bulk_fd is None or _open_file(self._bulk_fd) != self._bulk_file:
            yield None
            return
        with standard_library("bundle_protocol.bulk"):
            from bundle_protocol import bulk  # No child needs it that has no large results.

        # Made for the moment: its finalizer would close the descriptor, by a number that may be
        # another file's by then.
        socket = bulk.socket_of(self._bulk_fd)
        try:
            yield socket
        finally:
            socket.detach()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """A process forked in here may use the transport; one forked otherwise finds it closed."""
        self._kept = True
        try:
            yield
        finally:
            self._kept = False

    def check(self) -> None:
        """Looks whether the descriptors are still the transport's, and no other file's.

        :raises TransportClosed: see there.
        """
        # Compared and not only tried: a file that the bundle opened may have got the number of a
        # descriptor that it closed, and would be written to.
        if (_open_file(self._read_fd), _open_file(self._write_fd)) != self._files:
            raise TransportClosed

    def _close(self) -> None:
        if self._kept:
            return
        # A process that the task forks must not keep the transport open. Unlike close, closerange
        # takes it that a descriptor is closed already.
        for fd in self.descriptors:
            os.closerange(fd, fd + 1)


def status_of(act: Callable[[], None]) -> int:
    """Does what uses the transport, and gives the process's exit status for how that has ended.

    :raises SystemExit: the bundle's code asked for it.
    """
    try:
        act()
    except TransportClosed:
        process.complain(
            "the bundle's code closed descriptors that it did not open (os.closerange?), and the "
            "runner's were among them: there is no way left to answer"
        )
        return ExitStatus.TRANSPORT_CLOSED
    except FramingError as error:
        process.complain(f"the runner sent what is not the protocol: {error}")
        return ExitStatus.PROTOCOL_VIOLATION
    except ConnectionError as error:
        process.complain(f"the runner does not read answers any more: {error}")
        return ExitStatus.TRANSPORT_BROKEN
    return ExitStatus.DONE


def _open_file(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
