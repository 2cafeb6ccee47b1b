"""Starts processes whose memory lies at the same addresses each time.

A set of objects is walked in the order of their addresses, and so is one of ``None`` or of types.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

_ASK = 0xFFFFFFFF
_ADDR_NO_RANDOMIZE = 0x0040000
_personality = getattr(ctypes.CDLL(None), "personality", lambda _: -1)


@contextmanager
def addresses_fixed() -> Iterator[None]:
    """Give what this thread starts in here, without an await, fixed addresses (personality(2)).

    That is on Linux, where the system allows it: Docker's seccomp profile, for one, does not.
    """
    before = _personality(_ASK)
    if before == -1 or _personality(before | _ADDR_NO_RANDOMIZE) == -1:
        yield
        return
    try:
        yield
    finally:
        _personality(before)
