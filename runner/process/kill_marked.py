"""Kills the processes that carry a marker, wherever they went.

A daemon has a session and a parent of its own, and may have an environment of its own too. What it
cannot shed on Linux is a resource limit (getrlimit(2)): every process has those of the one that
started it, only root may raise a hard one again, and nobody has a use for the one on the time of
real-time processes, where centuries are as good as no limit. Elsewhere, and where that limit
cannot be set, the marker is a variable of the environment alone.

Also a script, in nothing but the standard library on Linux: :mod:`runner.process.guardian` runs it.
"""

import math
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Container, Iterator
from contextlib import suppress

LIMIT: "int | None" = getattr(resource, "RLIMIT_RTTIME", None)
"""The resource limit that is a marker; None where there is none."""

# Processes may fork while they are being killed; each round catches those of the round before.
ROUNDS = 20
# For how many rounds one that has just ended may have been one of them, and have forked before. On
# a busy machine others end all the time.
DOUBTFUL_ROUNDS = 3
ENDING_SECONDS = 1.0
# Python may just start in it, on a busy machine.
TRACKER_SECONDS = 2.0
ENDING_POLL_SECONDS = 0.001
# A process that the worker was just starting when it died has its own environment soon after.
AGAIN_SECONDS = 0.1


def mark_by_limit(pid: int, number: int) -> bool:
    """Mark a process that was just started, and with it all that it will start.

    :param number: what tells it from others, in microseconds.
    :returns: whether the system let it be marked.
    """
    if LIMIT is None:
        return False
    try:
        soft, _ = resource.prlimit(pid, LIMIT)
        if soft == resource.RLIM_INFINITY:
            soft = number
        resource.prlimit(pid, LIMIT, (min(soft, number), number))
    except (OSError, ValueError):  # it has ended; or has a lower limit; or a sandbox forbids it
        return False
    return True


def kill_but_trackers(marker: str, numbers: range) -> None:
    """Kill what has this marker, and let the resource trackers of multiprocessing end by that.

    They remove the shared memory of those that used it. What only looks like one is there for two
    seconds more; :func:`kill_marked` is to be called then. Without the limit none is looked for.
    """
    trackers = set(filter(_is_tracker, _limited(numbers)))
    if trackers:
        kill_marked(marker, numbers, trackers)
        deadline = time.monotonic() + TRACKER_SECONDS
        while not all(map(_has_ended, trackers)) and time.monotonic() < deadline:
            time.sleep(ENDING_POLL_SECONDS)


def _is_tracker(pid: int) -> bool:
    """Tell whether it was started as one; joblib's loky has its own."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", 0) as file:  # noqa: PTH123
            words = file.read()
            return b".resource_tracker import main;" in words or (
                not words and _is_in_exec(str(pid))
            )
    except OSError:
        return False


def kill_marked(
    marker: str, numbers: range = range(0), spared: "Container[int]" = frozenset()
) -> bool:
    """Kill every process that has this marker, until none is left.

    One that is killed and does not end for a second, because it waits for a disk say, is not waited
    for any longer: it runs no more code and forks no more.

    :param marker: the variable, ``NAME=VALUE``, or the beginning of it.
    :param numbers: those that :func:`mark_by_limit` has marked them with.
    :param spared: these are not killed.
    :returns: ``False`` where there was no end to them.
    """
    wanted = b"\0" + marker.encode()
    ended: set[int] = set()
    killed: set[int] = set()
    deadline = time.monotonic() + ENDING_SECONDS
    rounds = 0
    while rounds < ROUNDS:
        again = changing = False
        for pid in _limited(numbers):
            if pid in spared:
                continue
            if pid in killed:
                # One that has ended keeps its limits until somebody has asked how it ended.
                changing = changing or not _has_ended(pid)
            elif _kill(pid):
                killed.add(pid)
                again = True
        for pid, environ in _environments():
            if pid in spared:
                continue
            if environ is None:
                changing = True
            elif environ and wanted in b"\0" + environ:
                # On a busy machine it is a while until it ends; no fork of it succeeds meanwhile
                # (copy_process in kernel/fork.c, with a signal pending).
                if pid in killed:
                    changing = True
                elif _kill(pid):
                    killed.add(pid)
                    again = True
            elif not environ and pid not in ended:
                # It has ended since the listing, or is a zombie: it may have been one of them, and
                # have forked before.
                ended.add(pid)
                again = again or rounds < DOUBTFUL_ROUNDS
        if again:
            rounds += 1
        elif changing and time.monotonic() < deadline:
            time.sleep(ENDING_POLL_SECONDS)
        else:
            return True
    return False


def marked(marker: str, numbers: range = range(0)) -> "set[int]":
    """Return the processes that have this marker now; as :func:`kill_marked`."""
    wanted = b"\0" + marker.encode()
    by_variable = (pid for pid, own in _environments() if own and wanted in b"\0" + own)
    return {*_limited(numbers), *by_variable}


def remove_folders(prefix: str) -> None:
    """Remove what a worker that was killed has left in the temporary folder.

    :param prefix: the folders' path up to the random end of their names.
    """
    parent, start = os.path.split(prefix)
    for name in os.listdir(parent):  # noqa: PTH208
        if name.startswith(start):
            remove_folder(os.path.join(parent, name))  # noqa: PTH118


def remove_folder(path: str, seconds: float = math.inf) -> bool:
    """Remove a folder that tasks have written in, however deep it is and whatever is closed in it.

    No link is followed, and no mount entered. What refuses is tried once more, and stays then.

    :returns: ``False`` where it takes longer than so many seconds; the rest is still there.
    """
    give_up = time.monotonic() + seconds
    # The second time finds no more where all went well.
    return _remove(path, give_up) and _remove(path, give_up)


def _remove(path: str, give_up: float) -> bool:
    """:param give_up: when to, on the monotonic clock."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            os.unlink(path)  # noqa: PTH108
            return True
    except OSError:
        return True
    # All folders in it come to lie beside each other, open and with short paths. The kernel moves
    # none that something is mounted at.
    unique = os.urandom(8).hex()
    folders = [path]
    for folder in folders:  # which grow meanwhile
        for entry in _entries_of(folder):
            if time.monotonic() > give_up:
                return False
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    os.chmod(entry.path, 0o700)  # noqa: PTH101
                    os.rename(entry.path, beside := f"{path}/{unique}-{len(folders)}")  # noqa: PTH104
                    folders.append(beside)
                else:
                    os.unlink(entry.path)  # noqa: PTH108
    for folder in reversed(folders):
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106
    return True


def _entries_of(folder: str) -> "list[os.DirEntry[str]]":
    with suppress(OSError):
        os.chmod(folder, 0o700)  # noqa: PTH101
        with os.scandir(folder) as listing:
            return list(listing)
    return []


def _environments() -> "Iterator[tuple[int, bytes | None]]":
    """Each process with its environment as execve(2) got it, empty where it has none any more.

    ``None``: it is in the midst of an execve, so that nobody can tell for a moment.

    Those of other users, which may not be looked at, are left out.
    """
    if sys.platform != "linux":
        yield from _environments_by_psutil()
        return
    for name in os.listdir("/proc"):  # noqa: PTH208 - pathlib takes 5 ms to import
        if not name.isdigit():
            continue
        try:
            # Not buffered: most are short, and there are hundreds.
            with open(f"/proc/{name}/environ", "rb", 0) as file:  # noqa: PTH123
                environ = file.read()
            yield int(name), environ or (None if _is_in_exec(name) else b"")
        except PermissionError:
            continue
        except OSError:  # FileNotFoundError, ProcessLookupError: it has ended
            yield int(name), b""


def _limited(numbers: range) -> "Iterator[int]":
    """Each process that has one of the numbers as its limit."""
    if not numbers or LIMIT is None:
        return
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                # A microsecond: a file in /proc takes fifty.
                if resource.prlimit(int(name), LIMIT)[1] in numbers:
                    yield int(name)
            except OSError:  # it has ended, or is another user's
                continue


def _has_ended(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:  # noqa: PTH123
            return file.read().rpartition(b")")[2].split()[0] in b"ZX"
    except OSError:
        return True


def _is_in_exec(pid: str) -> bool:
    """Tell whether the process has its new memory, and the kernel has not written there yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb", 0) as file:  # noqa: PTH123
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return False
    # proc_pid_stat(5), from the third field on. A kernel thread and a zombie have no memory.
    state, size, end_of_environ = fields[0], fields[20], fields[48]
    return state not in b"ZX" and size != b"0" and end_of_environ == b"0"


def _environments_by_psutil() -> "Iterator[tuple[int, bytes]]":
    import psutil

    for process in psutil.process_iter():
        try:
            variables = process.environ().items()
        except psutil.NoSuchProcess:
            yield process.pid, b""
        except psutil.Error:  # another user's
            continue
        else:
            yield process.pid, "\0".join(f"{name}={value}" for name, value in variables).encode()


def _kill(pid: int) -> bool:
    """:returns: whether it was there to be killed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    except PermissionError:  # it has become another user's (setuid)
        return False
    return True


def _main(arguments: "list[str]") -> None:
    """Do what :mod:`runner.process.guardian` has started this for."""
    if len(arguments) == 1:
        remove_folder(arguments[0])
        return
    marker, prefix, start, stop = arguments
    of_worker = range(int(start), int(stop))
    for _ in range(2):
        kill_but_trackers(marker, of_worker)
        kill_marked(marker, of_worker)
        time.sleep(AGAIN_SECONDS)
    kill_marked(marker, of_worker)
    remove_folders(prefix)


if __name__ == "__main__":
    _main(sys.argv[1:])
