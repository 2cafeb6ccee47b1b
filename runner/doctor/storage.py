"""Where a worker writes: the cache, the temporary folder, shared memory."""

import errno
import os
import shutil
import tempfile
from pathlib import Path

from runner.diagnosis.noexec import elsewhere
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import size_text
from runner.doctor.observation import Observation, Verdict
from runner.environment.cache_folder import SHARED, stranger
from runner.process.mounts import find_noexec

# Less than this, and an environment with numpy and pandas has no room.
_LITTLE_BYTES = 1 << 30
_TOO_LITTLE_BYTES = 64 << 20


def cache(folder: Path, uv_cache: Path | None, *, trusted: bool = False) -> Observation:
    """The folder where environments are built."""
    subject = "cache"
    move = by_hand("keep it elsewhere", "export MODELOPS_CACHE_DIR=/a/folder")
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        if (folder / "environments").is_dir():
            text = f"{folder} cannot be written to ({reason}): only what is built there can be used"
            return Observation(subject, Verdict.WARNING, text, [move])
        text = f"{folder} cannot be written to ({reason}), and holds no environment"
        return Observation(subject, Verdict.PROBLEM, text, [move])
    if there == folder and not trusted and (open_to := stranger(folder)) is not None:
        who, closed = open_to
        text = f"{folder} is not used: {who}, and what is in it runs as this user"
        close = Hint(title="or let nobody else write there", command=closed)
        trust = Hint(title="or trust them", command=f"export {SHARED}=true")
        return Observation(subject, Verdict.PROBLEM, text, [move, close, trust])
    free = shutil.disk_usage(there).free
    text = f"{folder}, {size_text(free)} free"
    if found := find_noexec([str(there)]):
        text += f": {found.point} is mounted noexec, and compiled packages cannot be loaded from it"
        command = f"export MODELOPS_CACHE_DIR={elsewhere(found)}/modelops-runner"
        return Observation(subject, Verdict.WARNING, text, [Hint(move.title, command)])
    prune = Hint(title="remove what was not used", command="modelops-runner env prune")
    if free < _LITTLE_BYTES:
        verdict = Verdict.PROBLEM if free < _TOO_LITTLE_BYTES else Verdict.WARNING
        return Observation(subject, verdict, f"{text}: an environment may not fit", [prune, move])
    if uv_cache is not None and there.stat().st_dev != _nearest(uv_cache).stat().st_dev:
        text += f"; uv's own, {uv_cache}, is on another file system: packages are copied, which"
        hint = Hint(title="put the two on one file system", command="export UV_CACHE_DIR=/a/folder")
        return Observation(subject, Verdict.WARNING, f"{text} takes time and room", [hint])
    return Observation(subject, Verdict.OK, text)


def temporary() -> Observation:
    """The folder for temporary files, where large values go that memory cannot take."""
    subject = "temporary folder"
    hint = Hint(
        title="name one that can be written to and executed from", command="export TMPDIR=/a/folder"
    )
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return Observation(subject, Verdict.PROBLEM, str(error), [hint])
    free = shutil.disk_usage(folder).free
    text = f"{folder}, {size_text(free)} free"
    if free < _TOO_LITTLE_BYTES:
        return Observation(subject, Verdict.PROBLEM, text, [hint])
    if found := find_noexec([str(folder)]):
        text += (
            f": {found.point} is mounted noexec, and what a task compiles there cannot be loaded"
        )
        command = f"export TMPDIR={elsewhere(found)}"
        return Observation(subject, Verdict.WARNING, text, [Hint(hint.title, command)])
    return Observation(subject, Verdict.WARNING if free < _LITTLE_BYTES else Verdict.OK, text)


def shared_memory() -> Observation:
    """Look at what large values travel in: memfds, and ``/dev/shm`` for the bundle's own use.

    Python's multiprocessing keeps its semaphores in ``/dev/shm``; a container's has 64 MiB.
    """
    subject = "shared memory"
    memfd = "large values travel in memfds"
    try:
        os.close(os.memfd_create("modelops-runner-doctor"))
    except (AttributeError, OSError) as error:
        reason = getattr(error, "strerror", None) or "this system has none"
        memfd = f"there are no memfds ({reason}): large values travel through temporary files"
    folder = Path("/dev/shm")
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        known = error.errno in (errno.ENOENT, errno.ENOSPC, errno.EACCES, errno.EROFS)
        reason = error.strerror if known else str(error)
        text = f"{memfd}; /dev/shm: {reason}: a bundle that uses multiprocessing may fail"
        return Observation(subject, Verdict.WARNING, text)
    return Observation(subject, Verdict.OK, f"{memfd}; /dev/shm has {size_text(free)} free")


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it that is there."""
    return next(one for one in (folder, *folder.parents) if os.path.lexists(one))
