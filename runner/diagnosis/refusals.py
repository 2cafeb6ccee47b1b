"""Findings about what the operating system refuses to the runner itself.

It refuses for one of a few reasons: no room, no right, a limit that is reached. A limit is told
with its name and its value.
"""

import errno
import os
import resource
import shlex
from pathlib import Path

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.knowledge.resource_limits import (
    DATA,
    FILE_SIZE,
    MEMORY,
    OPEN_FILES,
    PROCESSES,
)
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import printable
from runner.events import Phase

FULL = {errno.ENOSPC, errno.EDQUOT}
DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
# Something lies in the way, or has gone: a file where a folder goes, links that lead in a circle.
_IN_THE_WAY = {errno.EBUSY, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP,
               errno.ENAMETOOLONG, errno.ENODEV, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY,
               errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT, errno.ETXTBSY}  # fmt: skip

# A device fails, or whoever was at the other end has gone: wherever it happens.
_ANYWHERE = {errno.EIO, errno.EPIPE}

# Where neither room nor a right was missing.
_CODES = {
    Phase.BUNDLE: Code.BUNDLE_INVALID,
    Phase.INTERPRETER: Code.PYTHON_BROKEN,
    Phase.ENVIRONMENT: Code.ENVIRONMENT_FAILED,
}

_RESOURCES = {
    errno.EMFILE: (OPEN_FILES,),
    errno.EAGAIN: (PROCESSES,),
    errno.EFBIG: (FILE_SIZE,),
    errno.ENOMEM: (MEMORY, DATA),
}
_FILES_OF_ALL = Path("/proc/sys/fs/file-max")


def own_limit(number: int | None) -> tuple[str, str | None] | None:
    """Return which limit a refusal is about, with its value, and the command that shows it.

    :param number: the error's (errno(3)).
    :returns: ``None`` where it is about none.
    """
    if number == errno.ENFILE:
        try:
            allowed = _FILES_OF_ALL.read_text().strip()
        except OSError:
            allowed = "unknown"
        return f"the machine's limit on open files ({_FILES_OF_ALL}) is {allowed}", None
    if number not in _RESOURCES:
        return None
    values = {one: resource.getrlimit(getattr(resource, one.name))[0] for one in _RESOURCES[number]}
    set_ones = {one: most for one, most in values.items() if most != resource.RLIM_INFINITY}
    limit = min(set_ones, key=set_ones.__getitem__, default=_RESOURCES[number][0])
    told = f"the limit on {limit.what} ({limit.name}, {limit.command()}) is"
    told += f" {set_ones.get(limit, 'none')}"
    if limit is PROCESSES:
        told += "; a container or batch job may have one of its own (pids.max)"
    return told, limit.command()


def lacks_room(phase: Phase, error: Exception) -> Finding | None:
    """As :func:`refused`, where a limit or a disk is the reason, whatever file it is about.

    :returns: ``None`` for any other error.
    """
    if not isinstance(error, OSError):
        return None
    reached = error.errno in FULL or own_limit(error.errno) is not None
    return refused(phase, error) if reached else None


def raise_lacking(phase: Phase, error: Exception) -> None:
    """Raise what a limit or a full disk refuses as that, and not as a fault of what was to be used.

    :raises Failure: that is the reason.
    """
    if (finding := lacks_room(phase, error)) is not None:
        raise Failure(finding) from error


def refused_in(phase: Phase, error: BaseException) -> Finding | None:
    """As :func:`refused`, of an error that says in another way what was refused.

    That is an error of a task group, which wraps it, and those that Python raises in place of an
    ``OSError``: for a thread that could not be started, and for memory.
    """
    while wrapped := getattr(error, "exceptions", None):
        error = wrapped[0]
    if isinstance(error, Failure):
        return error.finding
    if isinstance(error, MemoryError):
        error = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
    elif isinstance(error, RuntimeError) and "start new thread" in str(error):
        error = OSError(errno.EAGAIN, str(error))
    return refused(phase, error) if isinstance(error, OSError) else None


def refused(phase: Phase, error: OSError) -> Finding | None:
    """Return a finding for what was refused to the runner itself.

    :returns: ``None`` where the error tells rather of a fault in the runner.
    """
    number = error.errno
    limit = own_limit(number)
    place = "" if error.filename is None else printable(os.fsdecode(error.filename))
    said = error.strerror or type(error).__name__
    what = f"{place}: {said}" if place else said
    if number in FULL or number == errno.EFBIG:
        return Finding.of(
            Code.DISK_FULL,
            f"there is no room for a file: {what}",
            _told(limit),
            *(
                [Hint("allow larger files", command=FILE_SIZE.command("unlimited"))]
                if limit
                else [_more_room(number)]
            ),
            phase=phase,
        )
    if number in DENIED:
        return Finding.of(
            Code.PERMISSION_DENIED,
            f"the runner may not do what it has to: {what}",
            "",
            *_allowed(number, place),
            phase=phase,
        )
    if number == errno.ENOENT and _has_no_working_directory():
        return Finding.of(
            _CODES.get(phase, Code.SPAWN_FAILED),
            "the working directory of this process was deleted",
            "Paths that are relative to it lead nowhere.",
            Hint("go to a folder that is there", command="cd ~"),
            phase=phase,
        )
    if limit is not None:
        of_bundle = phase is Phase.BUNDLE  # which is not at fault
        return Finding.of(
            Code.SPAWN_FAILED if of_bundle else _CODES.get(phase, Code.SPAWN_FAILED),
            f"the system refused what the runner needs: {what}",
            _told(limit),
            Hint("allow more, or run less at a time", command=limit[1]),
            phase=Phase.SPAWN if of_bundle else phase,
            retryable=True,
        )
    if number in _ANYWHERE:
        return Finding.of(
            _CODES.get(phase, Code.SPAWN_FAILED),
            f"the system refused what the runner needs: {what}",
            phase=phase,
            retryable=True,
        )
    if number in _IN_THE_WAY and place:
        return Finding.of(
            _CODES.get(phase, Code.PERMISSION_DENIED),
            f"the runner cannot use what lies there: {what}",
            "",
            Hint("see what it is", command=f"ls -ld {shlex.quote(place)}"),
            phase=phase,
        )
    return None


def room_for_environments() -> list[Hint]:
    """Return what to do where the disk of the cache is full."""
    return [
        by_hand(
            "free some space: remove environments that were not used for a while",
            "modelops-runner env prune --older-than 7d",
        ),
        by_hand("or what uv's own cache no longer needs", "uv cache prune"),
        by_hand("or keep environments on another disk", "export MODELOPS_CACHE_DIR=/a/folder"),
    ]


def _more_room(number: int | None) -> Hint:
    if number == errno.EDQUOT:  # the disk itself may have room
        return by_hand("remove files of your own, or ask for a larger quota", "quota -s")
    return Hint("free some space", command="df -h")


def _allowed(number: int | None, place: str) -> list[Hint]:
    if number == errno.EROFS:  # whoever owns it may not write there
        return [by_hand("use a folder on a disk that is not mounted read-only", "mount")]
    return [whose(place)] if place else []


def whose(path: str) -> Hint:
    """Return how to see whose a file is, or the folder on the way to it that nobody may enter."""
    closed = (
        str(one)
        for one in reversed(Path(path).parents)
        if one.is_dir() and not os.access(one, os.X_OK)
    )
    return Hint("see whose it is", command=f"ls -ld {shlex.quote(next(closed, path))}")


def _has_no_working_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _told(limit: tuple[str, str | None] | None) -> str:
    return "" if limit is None else f"{limit[0][0].upper()}{limit[0][1:]}."
