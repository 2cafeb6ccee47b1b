"""Finds the file systems from which nothing may be executed (mount(8), ``noexec``)."""

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

from runner.diagnosis.machine import Noexec

MOUNTS = Path("/proc/self/mountinfo")

_ESCAPED = re.compile(r"\\([0-7]{3})")


def find_noexec(paths: Iterable[str]) -> Noexec | None:
    """The first of these files or folders that lies where nothing may be executed.

    :param paths: absolute ones; they need not exist.
    """
    for path in paths:
        point = noexec_mount(path)
        if point is not None:
            return Noexec(path, point, _executable_folder())
    return None


def noexec_mount(path: str) -> str | None:
    """The mount point of the file system that a path is on, where it is mounted ``noexec``."""
    found = _mount_of(os.path.realpath(path))
    return found[0] if found is not None and "noexec" in found[1] else None


def _mount_of(path: str) -> tuple[str, list[str]] | None:
    """The mount point that a path is below, and its options (proc_pid_mountinfo(5))."""
    try:
        lines = MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or a sandbox that hides it
        return None
    best: tuple[str, list[str]] | None = None
    for fields in map(str.split, lines):
        point = _ESCAPED.sub(lambda code: chr(int(code[1], 8)), fields[4])
        below = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two at one place, the later one hides the other.
        if below and (best is None or len(point) >= len(best[0])):
            best = point, fields[5].split(",")
    return best


def _executable_folder() -> str | None:
    """A folder of this machine that can be written to and executed from."""
    home_cache = os.path.expanduser("~/.cache")  # noqa: PTH111 - Path.home() may raise
    for folder in ("/var/tmp", home_cache, tempfile.gettempdir(), "/opt"):
        if os.access(folder, os.W_OK | os.X_OK) and noexec_mount(folder) is None:
            return folder
    return None
