"""Numbers in place of the system's entropy, for generators that are made without a seed.

They follow from the task's seed, so that ``numpy.random.default_rng()`` and ``random.Random()`` of
a task draw the same numbers when it runs again. In another process that the task forks the system's
entropy counts, as a fork would repeat the numbers of its parent; but for what a pool's worker works
on (:mod:`bundle_protocol.pool_workers`).
"""

from __future__ import annotations

import os
import posix

from bundle_protocol.standard import standard_library

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from mmap import mmap
    from types import FrameType
    from typing import Any

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


class Entropy:
    """Streams of such numbers, which follow from one seed.

    :param seed: of the import.
    """

    def __init__(self, seed: int) -> None:
        self.has_begun = False
        """True once a task has begun."""
        self._asked: bytearray | mmap = bytearray(1)
        self._counts_forks = hasattr(os, "register_at_fork")  # Not every PyPy has it.
        if self._counts_forks:
            os.register_at_fork(before=self._count)
        self.begin_work(seed)

    def loaded(self) -> None:
        """The bundle has been imported."""
        with standard_library():  # It may have a module of that name.
            from mmap import mmap
        self._map = mmap

    def begin(self, seed: int) -> None:
        """Begins the streams that follow from a task's seed, in this process alone."""
        if type(self._asked) is bytearray:
            # Shared with what the task forks. Only now: a child that shares memory is not forked.
            self._asked = self._map(-1, 1)
        self._asked[0] = 0
        self.has_begun = True
        self.begin_work(seed)

    def begin_work(self, seed: int) -> None:
        """Begins the streams of a piece of a task's work, which has a seed of its own."""
        self.seed = seed
        self._forks = self._interpreters = 0
        self._pid = posix.getpid()
        self._sources: dict[int, Any] = {}

    def _count(self) -> None:
        self._forks += 1

    def of_fork(self, inherited: int) -> int | None:
        """The seed of a generator in a fork, by what it has there of its parent; None where the
        system is to give it."""
        return (inherited << 64) + self._forks if self._counts_forks else None

    def of_interpreter(self, *, of_pool: bool) -> int:
        """The seed of an interpreter that this process starts."""
        self._interpreters += not of_pool
        number = 0 if of_pool else self._interpreters
        return derived_seed(b"interpreter", (self.seed, self._forks, number))

    @property
    def is_here(self) -> bool:
        """Tell whether they have begun in this process, and not in one that it was forked from."""
        # Not os.getpid, which `check --reproducible` has say the same in each process.
        return posix.getpid() == self._pid

    @property
    def was_asked_elsewhere(self) -> bool:
        """Tell whether a generator got no seed in a process that was forked from this one."""
        return self._asked[0] == 1

    def bits(self, stream: int, count: int) -> int | None:
        """The next number of that many bits; ``None`` where the system is to give it."""
        if not self.is_here:
            self._asked[0] = 1
            return None
        if stream not in self._sources:
            # Only now: to make one takes as long as a tenth of a small task. It is the base of
            # random.Random, which a bundle may hide.
            from _random import Random

            self._sources[stream] = Random((stream << 64) + self.seed)
        bits: int = self._sources[stream].getrandbits(count)
        return bits


def derived_seed(begun_with: bytes, number: object) -> int:
    """A seed of 64 bits for one of many that have begun with the same."""
    with standard_library():
        from hashlib import blake2b

    digest = blake2b(begun_with + repr(number).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def is_standard_library(file: str) -> bool:
    """Tell whether a file is Python's own, and not a model's or a package's."""
    return file.startswith(_STANDARD_LIBRARY) and not is_installed(file)


def is_installed(file: str) -> bool:
    """Tell whether a file is of a package, in whatever environment."""
    return any(part in file for part in _INSTALLED)


def asked_by_standard_library(frame: FrameType | None) -> bool:
    """Tell whether a generator is made by Python itself, and not by a model or a package.

    ``tempfile`` makes names by one: tasks with the same seed would get the same names.

    :param frame: where :mod:`random` is called, or within it.
    """
    while frame is not None and frame.f_globals.get("__name__") == "random":
        frame = frame.f_back
    return frame is not None and is_standard_library(frame.f_code.co_filename)
