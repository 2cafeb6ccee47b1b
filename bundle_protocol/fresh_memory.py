"""Has the objects of each task's fork lie where those of the others do, whoever ran before it.

A set of objects is walked in the order of their addresses. CPython gives these out of pools of
blocks of one size (obmalloc.c), and which blocks are free in there depends on what the parent of
the fork has read so far. So the parent takes all of them but a few for itself, and a fork takes
these: what its task makes lies in memory that is new.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from itertools import repeat

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable

_POOL, _ARENA = (1 << 14, 1 << 20) if sys.version_info >= (3, 10) else (1 << 12, 1 << 18)
_HEADER = 48
_EMPTY = sys.getsizeof(b"")
_OF_NUMBERS = 32
_SIZES = (*range(512, _OF_NUMBERS, -16), 16, _OF_NUMBERS)
"""Those of the blocks: the largest first, which uses up the pools, and last that of an integer."""
_LEFT_POOLS = 2
_LEFT_BLOCKS = {16: 24, 32: 64, 48: 24, 64: 24, 80: 24, 96: 24}
_LEFT_OF_LARGER = 4
_MOST_BYTES, _MOST_IN_FORK = 1 << 25, 1 << 22
"""So much of each size is tried; another allocator has no such arenas."""


class FreshMemory:
    """Takes what is free now: make it once the bundle has been loaded, before ``gc.freeze``."""

    def __init__(self) -> None:
        self._taken: deque[object] = deque()  # It has its memory from malloc.
        self._most = _MOST_BYTES
        self._is_known = not sys.flags.dev_mode and self._begin_arena()
        if not self._is_known:
            self._taken.clear()
            return
        left = self._end - (_LEFT_POOLS + 1) * _POOL
        self._take(_SIZES[0], lambda address: left <= address < self._end)
        for size in _SIZES:
            count = (_POOL - _HEADER) // size - _LEFT_BLOCKS.get(size, _LEFT_OF_LARGER)
            self._taken.extend(map(_maker(size), repeat(size - _EMPTY, count)))

    def begin(self) -> None:
        """To be called in a fork, before its task."""
        if self._is_known:
            # It empties the lists of free objects, and has all later ones come at the same time.
            # What the import has made is frozen.
            gc.collect()
            self._most = _MOST_IN_FORK
            self._begin_arena()

    def _begin_arena(self) -> bool:
        """Takes all that is free, until each size has its first block in an arena that is new.

        Returns whether there are such arenas.
        """
        self._mapped, self._begin = _mapped_bytes(), 0
        second = self._take(_SIZES[0], self._is_second)
        if not second:
            return False
        self._end = self._begin + _ARENA
        sizes = iter(_SIZES[1:])
        # All that has its block now keeps it: it would be free again among those that are taken.
        self._taken.append((sizes, second, self._begin, self._end))
        for size in sizes:
            address = self._take(size, self._is_within)
            if not address:
                return False
        if address % _POOL == _HEADER:
            self._taken.append(_maker(size)(size - _EMPTY))  # Else a number has the first block.
        return True

    def _is_within(self, address: int) -> bool:
        return self._begin <= address < self._end

    def _is_second(self, address: int) -> bool:
        """Tell whether it is in the second pool of a new arena; the first one begins it."""
        if address % _POOL != _HEADER:
            return False
        before, self._mapped = self._mapped, _mapped_bytes()
        pool = address - _HEADER
        if self._begin and pool == self._begin + _POOL:
            return True
        # A pool that was free again may come before those of an arena that is new.
        if self._begin or self._mapped - before == _ARENA:
            self._begin = pool
        return False

    def _take(self, size: int, is_last: Callable[[int], bool]) -> int:
        """Takes blocks of a size up to one; gives its address, or 0 where there is none."""
        make, length, take = _maker(size), size - _EMPTY, self._taken.append
        for _ in repeat(None, self._most // size):
            one = make(length)
            take(one)
            address = id(one)
            if size == _OF_NUMBERS:
                take(address)  # Else every second block would be free again.
            if is_last(address):
                return address
        return 0


def _maker(size: int) -> Callable[[int], object]:
    """Return what makes an object of that size, of a type that keeps no list of free ones.

    It is given how much longer the object is than an empty ``bytes``.
    """
    if size > _OF_NUMBERS:
        return bytes
    return complex if size == _OF_NUMBERS else lambda _: object()


def _mapped_bytes() -> int:
    with open("/proc/self/statm", "rb", buffering=0) as file:
        return int(file.read(40).split()[0]) * 4096
