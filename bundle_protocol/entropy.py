"""Numbers in place of the system's entropy, for generators that are made without a seed.

They follow from the task's seed, so that ``numpy.random.default_rng()`` and ``random.Random()`` of
a task draw the same numbers when it runs again. In another process, such as a worker of a pool that
the task starts, the system's entropy counts: a fork would repeat the numbers of its parent.
"""

from __future__ import annotations

import os
import posix

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

# Not os.getpid, which may be replaced: `check --reproducible` has it say the same in each process.
process_number = posix.getpid

_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


class Entropy:
    """A stream of such numbers.

    Args:
        number: tells it from the other streams of the process.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pid = self._seed = 0
        self._source: Any = None

    def begin(self, seed: int) -> None:
        """Begins the stream that follows from a seed, in this process alone."""
        self._seed, self._pid, self._source = seed, process_number(), None

    def bits(self, count: int) -> int | None:
        """The next number of that many bits; ``None`` where the system is to give it."""
        if process_number() != self._pid:
            return None
        if self._source is None:
            # Only now: to make one takes as long as a tenth of a small task. It is the base of
            # random.Random, which a bundle may hide.
            from _random import Random

            self._source = Random((self._number << 64) + self._seed)
        bits: int = self._source.getrandbits(count)
        return bits


def asked_by_standard_library(frame: FrameType | None) -> bool:
    """Tell whether a generator is made by Python itself, and not by a model or a package.

    ``tempfile`` makes names by one: tasks with the same seed would get the same names.

    Args:
        frame: where :mod:`random` is called, or within it.
    """
    while frame is not None and frame.f_globals.get("__name__") == "random":
        frame = frame.f_back
    file = "" if frame is None else frame.f_code.co_filename
    return file.startswith(_STANDARD_LIBRARY) and not any(part in file for part in _INSTALLED)
