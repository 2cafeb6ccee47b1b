"""Whether a bundle's files have changed since they were read."""

import os
import time
from pathlib import Path
from typing import TypeAlias

import anyio.to_thread

from runner.bundle import content_files
from runner.diagnosis.case import Failure

# Looking takes at most one part in so many of the time: with a few files, it is done at each task.
_SHARE = 50

_FEW = 20

_State: TypeAlias = tuple[int, int, int]


class Stamp:
    """The times, sizes and inodes of a bundle's files and folders, as they are when it is made.

    Make it before the files are read: then no change is missed.

    :param bundle: the bundle's folder. One that is no bundle has changed at once.
    """

    def __init__(self, bundle: Path) -> None:
        try:
            files = content_files(bundle)
        except Failure:
            files = ()
        # A folder's time tells of files that come and go.
        folders = {str(bundle / parent) for name in files for parent in Path(name).parents}
        self._states = {
            path: _state(path) for path in [*folders, *(str(bundle / name) for name in files)]
        }
        self._changed = not self._states
        self._due = 0.0
        self.takes_long = len(self._states) > _FEW
        """Whether looking is nothing for an event loop: a network disk takes 1 ms for a file."""

    @property
    def due(self) -> bool:
        """Whether it is time to look again."""
        return not self._changed and time.monotonic() >= self._due

    def changed(self, *, at_once: bool = False) -> bool:
        """Whether a file or folder is not as it was; from any thread.

        :param at_once: look now, whatever share of the time looking has taken so far.
        """
        began = time.monotonic()
        if not self._changed and (at_once or self.due):
            self._changed = any(_state(path) != state for path, state in self._states.items())
            now = time.monotonic()
            self._due = now + (now - began) * _SHARE
        return self._changed


async def has_changed(stamp: Stamp) -> bool:
    """:meth:`Stamp.changed`, in a thread where that may take long."""
    if stamp.takes_long and stamp.due:
        return await anyio.to_thread.run_sync(stamp.changed, abandon_on_cancel=True)
    return stamp.changed()


def _state(path: str) -> _State | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path takes three times as long
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
