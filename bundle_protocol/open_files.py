"""The files that a task leaves open: what it has written to them must not go with its process."""

from __future__ import annotations

import gc
import io

from bundle_protocol.describe import summarize
from bundle_protocol.process import complain, flush_c

_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


class OpenFiles:
    """Writes out what is kept for writing. Make it before the first fork, before ``gc.freeze``."""

    def __init__(self) -> None:
        # The collector no longer lists them once they are frozen.
        self._before = _writers()
        self.flush()

    def flush(self) -> None:
        """Does what the end of a Python does, which a fork does not come to."""
        for file in (*self._before, *_writers()):
            try:
                if not file.closed:
                    file.flush()
            except (OSError, ValueError) as error:
                complain(f"a file that the task left open could not be written: {summarize(error)}")
        flush_c()


def _writers() -> list[io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom]:
    # Not isinstance, which asks the bundle's objects what they take themselves for.
    return [each for each in gc.get_objects() if type(each) in _WRITERS]
