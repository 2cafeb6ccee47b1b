"""The guardian: it ends what a worker has started, when the worker can no longer do so itself.

Nothing else does. Linux's parent-death signal reaches the child alone, and the end of stdin whoever
reads it; a subprocess or daemon that a task has started gets neither. So, while a worker has
processes, a shell beside it waits for the end of a pipe that only the worker holds open, and then
kills every process that carries this worker's marker (:mod:`runner.process.kill_marked`).

A shell, because what waits for hours should be small: 1 ms to start, and 1 MB. It becomes a Python
once there is something to do. Another shell stands between it and the worker: engines such as Ray
kill all children of a process that they end, and thereby only that one.
"""

import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.process import kill_marked
from runner.process.forks import no_fork

_log = logging.getLogger(__name__)

MARKER = "MODELOPS_RUNNER_PROCESS"
"""The environment variable that says whose process it is: ``WORKER.PROCESS``."""

# A first line says that it is marked; a second one, that the worker goes on without it; the end of
# the file, that the worker is gone. What asks a terminal's or a batch job's processes to end is for
# the worker to follow.
_SCRIPT = 'trap "" HUP INT QUIT TERM; read -r marked; (read -r line || exec "$@"); exit'
_REMOVER_SCRIPT = 'trap "" HUP INT QUIT TERM; read -r marked; "$@" &'
REMOVAL_SECONDS = 0.3
"""How long the removal of a folder is waited for: no longer, on a slow disk."""
_LEAVE_SECONDS = 5.0
# A worker's numbers follow each other; who is started by one of another worker's has a limit of its
# own below that one's. In microseconds: the lowest is 70 years.
_MOST_PROCESSES = 1 << 28
_HIGHEST_BIT, _LOWEST_BIT = 60, 51
_NOBODYS = 1 << 50
_NONE = "nothing will end what the children have started if this process is killed: %s"


class Guardian:
    """The guard of this process's processes. There is one, see :func:`guardian`."""

    def __init__(self) -> None:
        self.worker = uuid.uuid4().hex
        """This process's part of the marker."""
        self.numbers = _numbers()
        """The limits that mark this process's processes; empty where none can."""
        self._unused = iter(self.numbers)
        self._lock = threading.Lock()
        self._guarded = 0
        self._kept: set[str] = set()
        self._popen: subprocess.Popen[bytes] | None = None
        self._pipe: int | None = None

    @property
    def folder_prefix(self) -> str:
        """How the names of this process's temporary folders begin."""
        return f"modelops-runner-{self.worker}-"

    def mark(self) -> str:
        """A new process's marker."""
        return f"{self.worker}.{uuid.uuid4().hex}"

    def mark_by_limit(self, pid: int) -> range:
        """Mark a process that was just started by what it cannot shed, where that can be done.

        :returns: the number, for :func:`kill_marked`.
        """
        number = next(self._unused, None)
        if number is None or not kill_marked.mark_by_limit(pid, number):
            return range(0)
        return range(number, number + 1)

    def guard(self) -> None:
        """One process more to guard. Where there can be no guardian, the log says so."""
        with self._lock:
            self._guarded += 1
            if self._popen is None or self._popen.poll() is not None:
                self._start()

    def release(self) -> None:
        """One process less; with the last one the guardian leaves, and is waited for."""
        with self._lock:
            self._guarded -= 1
            leaving = self._unless_needed()
        # Not under the lock: whoever starts a process meanwhile, in an event loop, does not wait.
        if leaving is not None:
            _dismiss(leaving)

    def keep(self, folder: str) -> None:
        """Guard a temporary folder, made while there is a process to guard, until it is removed."""
        self._kept.add(folder)

    def remove(self, folder: str) -> None:
        """Remove a folder that was kept."""
        remove_folder(folder)
        self._kept.discard(folder)
        # A collection of garbage may call this in the midst of anything, even of what has the lock.
        if self._lock.acquire(blocking=False):
            try:
                leaving = self._unless_needed()
            finally:
                self._lock.release()
            if leaving is not None:
                _dismiss(leaving)

    def _unless_needed(self) -> "subprocess.Popen[bytes] | None":
        return None if self._guarded or self._kept else self._given_up()

    @contextmanager
    def guarding(self) -> Iterator[dict[str, str]]:
        """Guard what is started until leaving.

        :returns: the variable that marks it, to be added to its environment.
        """
        self.guard()
        try:
            yield {MARKER: self.mark()}
        finally:
            self.release()

    def _start(self) -> None:
        killed = self._given_up()
        if killed is not None:
            killed.wait()  # it has ended
        with no_fork():
            self._popen = self._started()

    def _started(self) -> "subprocess.Popen[bytes] | None":
        try:
            reading, self._pipe = os.pipe()
        except OSError as error:
            _log.warning(_NONE, error)
            return None
        folders = os.path.join(tempfile.gettempdir(), self.folder_prefix)  # noqa: PTH118
        numbers = map(str, (self.numbers.start, self.numbers.stop))
        try:
            popen = _unmarked(_SCRIPT, reading, f"{MARKER}={self.worker}.", folders, *numbers)
            os.write(self._pipe, b"\n")
            return popen
        except OSError as error:
            _log.warning(_NONE, error)
            return None
        finally:
            os.close(reading)

    def _given_up(self) -> "subprocess.Popen[bytes] | None":
        """The guardian, which is told that it is not needed any more."""
        if self._pipe is not None:
            try:
                os.write(self._pipe, b"\n")
            except OSError:  # it has ended, or would take the end of the pipe for the worker's
                if self._popen is not None:
                    self._popen.kill()
            finally:
                with no_fork():
                    descriptor, self._pipe = self._pipe, None
                    os.close(descriptor)
        popen, self._popen = self._popen, None
        return popen

    def forget(self) -> None:
        """Leave the guardian to the process that this one was forked from."""
        if self._pipe is not None:
            os.close(self._pipe)
        if self._popen is not None:
            # Popen would otherwise warn that its process still runs.
            self._popen.returncode = 0


@contextmanager
def guarded_folder() -> Iterator[Path]:
    """A temporary folder, gone on leaving; where this process is killed before, its guardian
    removes it."""
    guard = guardian()
    with guard.guarding():  # first: whenever this process is killed, somebody removes the folder
        folder = tempfile.mkdtemp(prefix=guard.folder_prefix)
        try:
            yield Path(folder)
        finally:
            remove_folder(folder)


def remove_folder(folder: str, seconds: float = REMOVAL_SECONDS) -> bool:
    """Remove a folder; what takes longer is left to a process that outlives this one.

    :returns: ``False`` where it cannot be removed.
    """
    if kill_marked.remove_folder(folder, seconds):
        return not os.path.lexists(folder)
    try:
        with no_fork():
            reading, writing = os.pipe()
            try:
                popen = _unmarked(_REMOVER_SCRIPT, reading, folder)
                os.write(writing, b"\n")
            finally:
                os.close(reading)
                os.close(writing)
        popen.wait()
    except OSError:  # no process can be had
        return remove_folder(folder, math.inf)
    return True


def _unmarked(script: str, stdin: int, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a shell that reads one line, and may then become a Python for :mod:`kill_marked`.

    It outlives this process, whatever that is ended by.

    :raises OSError: it cannot be started.
    """
    # On Linux it needs no site-packages, which take longer to look at than the killing.
    options = ["-I", "-S"] if sys.platform == "linux" else ["-I"]
    python = [sys.executable, *options, kill_marked.__file__, *arguments]
    popen = subprocess.Popen(
        ["/bin/sh", "-c", script, "modelops-runner-guardian", *python],
        # Empty: the marker of a worker that is itself a task's must not end it.
        env={},
        cwd="/",
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    kill_marked.mark_by_limit(popen.pid, _NOBODYS)  # the marker, again
    return popen


def _numbers() -> range:
    if kill_marked.LIMIT is None:
        return range(0)
    _, own = resource.getrlimit(kill_marked.LIMIT)
    bit = _HIGHEST_BIT if own == resource.RLIM_INFINITY else own.bit_length() - 2
    if not _LOWEST_BIT <= bit <= _HIGHEST_BIT:
        return range(0)
    start = (1 << bit) + uuid.uuid4().int % ((1 << bit) // _MOST_PROCESSES) * _MOST_PROCESSES
    return range(start, start + _MOST_PROCESSES)


def _dismiss(popen: "subprocess.Popen[bytes]") -> None:
    """Wait until a guardian that was given up has left."""
    try:
        popen.wait(_LEAVE_SECONDS)
    except subprocess.TimeoutExpired:  # somebody has stopped it
        popen.kill()
        popen.wait()


_guardian = Guardian()


def guardian() -> Guardian:
    """This process's guardian."""
    return _guardian


def _renew() -> None:
    global _guardian
    _guardian.forget()
    _guardian = Guardian()


os.register_at_fork(after_in_child=_renew)
