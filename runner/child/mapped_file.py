"""Files mapped into memory; few of them keep a descriptor.

``mmap.mmap`` keeps a duplicate of the descriptor for as long as it lives (before Python 3.13 in any
case), so that a caller who keeps a thousand results would have no file left to open.
"""

import ctypes
import mmap
import os
import resource
import weakref
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
                       ctypes.c_long)  # fmt: skip
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


# The part of the files that a process may have open (RLIMIT_NOFILE) which is taken for these.
_KEPT_SHARE = 4
_kept: set[int] = set()


class KeptFile(NamedTuple):
    """The file that a mapping is of, as long as the mapping is there.

    :param crc32: of all of it.
    """

    descriptor: int
    crc32: int


def map_file(descriptor: int, size: int, crc32: int | None = None) -> memoryview:
    """The first ``size`` bytes of a file, read-only, for as long as anything refers to them.

    :param descriptor: may be closed after. The file must never become shorter (mmap(2): SIGBUS).
    :param crc32: of a sealed memfd, which can be handed on to other processes by it.
    :raises OSError: there is no room for it: ENOMEM, also where a process has too many mappings.
    """
    # Private, although nothing is written: before Linux 6.7, a memfd that is sealed against writing
    # could not be mapped shared.
    address = _libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_PRIVATE, descriptor, 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    memory = (ctypes.c_ubyte * size).from_address(address)
    unmap = weakref.finalize(memory, _libc.munmap, address, size)
    unmap.atexit = False  # What refers to it may live longer than the interpreter's exit.
    if crc32 is not None:
        _keep(memory, descriptor, crc32)
    return memoryview(memory).cast("B").toreadonly()


def kept_file(data: bytes | memoryview) -> KeptFile | None:
    """The file that all of these bytes are mapped from, where it was kept."""
    mapped = data.obj if isinstance(data, memoryview) else None
    if not isinstance(mapped, ctypes.Array) or data.nbytes != ctypes.sizeof(mapped):  # type: ignore[union-attr]
        return None
    return getattr(mapped, "kept_file", None)


def _keep(memory: ctypes.Array[ctypes.c_ubyte], descriptor: int, crc32: int) -> None:
    if len(_kept) >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] // _KEPT_SHARE:
        return
    try:
        own = os.dup(descriptor)
    except OSError:
        return  # It is copied where it is handed on.
    # No lock: a mapping may go in any thread, in the midst of this.
    _kept.add(own)
    memory.kept_file = KeptFile(own, crc32)  # type: ignore[attr-defined]
    weakref.finalize(memory, _let_go, own).atexit = False


def _let_go(descriptor: int) -> None:
    _kept.discard(descriptor)
    os.close(descriptor)
