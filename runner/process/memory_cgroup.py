"""A child's memory limit, kept by the kernel: a control group for the child (cgroup v2).

Such a group can be had where the worker's own group, or the one that it is in, may be written to
and hands the control of memory on: in systemd's user sessions and its units with ``Delegate=``, in
some batch systems and containers. Nothing is changed in a group that is not ours.
"""

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from runner.process.cgroups import CONTROLLERS_OF_CHILDREN, counter, group_files, read

_log = logging.getLogger(__name__)

# The kernel lets go of processes that were just killed.
_REMOVE_SECONDS = 0.5
_POLL_SECONDS = 0.01


class MemoryGroup:
    """A control group with a memory limit; made by :func:`memory_group`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kills = 0

    def add(self, pid: int) -> bool:
        """Put a process in, with all that it will start.

        :returns: ``False`` where the kernel does not allow it.
        """
        try:
            (self._folder / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            _log.debug("%s: %s", self._folder, error)
            return False
        return True

    def killed(self) -> bool:
        """Tell whether the kernel has killed a process in it for its limit since the last call."""
        before = self._kills
        self._kills = counter(self._folder / "memory.events", "oom_kill") or 0
        return self._kills > before

    def peak(self) -> int | None:
        """The most memory that it held at a time, in bytes; ``None`` before Linux 5.19."""
        text = read(self._folder / "memory.peak").strip()
        return int(text) if text.isdigit() else None


@asynccontextmanager
async def memory_group(limit: int | None, *, kill_all: bool) -> AsyncIterator[MemoryGroup | None]:
    """A control group of our own, gone on leaving; ``None`` where there can be none.

    :param kill_all: whether all processes in it end when one is killed for the limit.
    """
    folder = None if limit is None else await _make(limit, kill_all=kill_all)
    if folder is None:
        yield None
        return
    try:
        yield MemoryGroup(folder)
    finally:
        await _remove(folder)


async def _make(limit: int, *, kill_all: bool) -> Path | None:
    for file in group_files("memory", CONTROLLERS_OF_CHILDREN, ""):
        # A group that has processes cannot hand its controllers on ("no internal processes"), so
        # it is mostly beside our own group that a new one can be.
        for parent in (file.parent, file.parent.parent):
            if "memory" not in read(parent / CONTROLLERS_OF_CHILDREN).split():
                continue
            folder = parent / f"modelops-runner-{uuid.uuid4().hex}"
            try:
                folder.mkdir()
            except OSError as error:
                _log.debug("%s: %s", folder, error)
                continue
            try:
                (folder / "memory.max").write_text(str(limit))
                if (folder / "memory.swap.max").exists():  # the kernel has no swap without it
                    (folder / "memory.swap.max").write_text("0")
                (folder / "memory.oom.group").write_text(str(int(kill_all)))
            except OSError as error:
                _log.debug("%s: %s", folder, error)
                await _remove(folder)
                continue
            return folder
    return None


async def _remove(folder: Path) -> None:
    with anyio.CancelScope(shield=True):
        deadline = anyio.current_time() + _REMOVE_SECONDS
        while True:
            try:
                folder.rmdir()
                return
            except OSError as error:
                if anyio.current_time() > deadline:
                    _log.warning("a control group is left behind: %s", error)
                    return
            await anyio.sleep(_POLL_SECONDS)
