"""Files mapped into memory without a descriptor.

``mmap.mmap`` keeps a duplicate of the descriptor for as long as it lives (before Python 3.13 in any
case), so that a caller who keeps a thousand results would have no file left to open.
"""

import ctypes
import mmap
import os
import weakref

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_FAILED = ctypes.c_void_p(-1).value


def map_file(descriptor: int, size: int) -> memoryview:
    """The first ``size`` bytes of a file, read-only, for as long as anything refers to them.

    :param descriptor: may be closed after. The file must never become shorter (mmap(2): SIGBUS).
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
    return memoryview(memory).cast("B").toreadonly()
