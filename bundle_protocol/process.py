"""Sets up the child's own process before the bundle's code runs in it."""

from __future__ import annotations

import _thread
import atexit
import errno
import faulthandler
import gc
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from bundle_protocol.messages import ExitStatus
from bundle_protocol.resource_trackers import end_trackers

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_PR_SET_CHILD_SUBREAPER = 36
# None without ctypes.
_prctl: Callable[..., int] | None = None
_fflush: Callable[..., int] | None = None
_IOLBF = 1  # stdio.h, on Linux and macOS alike
_STACKS_BYTES = 2 << 30
"""The address space that 256 threads ask for at 8 MiB (ulimit -s) a stack, and hardly use."""
_ENDING_SECONDS = 5.0
"""How long a child whose parent hung up may take to end by itself."""
_LOOK_SECONDS = 0.02


def prepare() -> None:
    """Lets the parent see what happens in here, and leaves nothing behind.

    The stacks of all threads go to stderr at a fatal signal, and at the SIGXCPU of the limit on CPU
    time, which the parent sends to a child that hangs, too. No core file is written: it would land
    in the bundle's folder. Lines appear as they are printed, from Python and from C. On Linux the
    parent's death kills this process. What the parent had told its own process to ignore or to
    block is at its default.
    """
    _set_default_signals()
    atexit.register(end_trackers)  # the first, and so the last to be called
    faulthandler.enable(file=2)
    # No fault, so not among those; the signal still ends the process.
    faulthandler.register(signal.SIGXCPU, file=2, chain=True)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    # A new object, because the old one took its properties from the transport. In UTF-8, so that
    # a β does not end a task in a locale without it.
    sys.stdout = open(  # noqa: SIM115 - it stays open
        1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False
    )
    try:
        import ctypes
    except ImportError:
        # A Python built without libffi: C's lines appear late, and the parent's death is still
        # noticed by end_on_hang_up.
        return
    libc = ctypes.CDLL(None)
    # C buffers whole blocks where its stdout is not a terminal; std::cout goes through it.
    name = "__stdoutp" if sys.platform == "darwin" else "stdout"
    libc.setvbuf(ctypes.c_void_p.in_dll(libc, name), None, _IOLBF, ctypes.c_size_t(0))
    global _prctl, _fflush
    _prctl = getattr(libc, "prctl", None)
    _fflush = libc.fflush
    die_with(os.getppid())


def keep_imports() -> None:
    """Lets the garbage collector begin, and leave alone what there is by now.

    It stays until the end: to look through it then takes a fifth of a small task's child.
    """
    if hasattr(gc, "freeze"):  # PyPy has none
        gc.freeze()
    gc.enable()


def _set_default_signals() -> None:
    """Sets back what this process has inherited (execve(2)).

    With SIGCHLD ignored, a subprocess that fails looks like one that succeeds.
    """
    for number in signal.Signals:
        by_python = number in (signal.SIGPIPE, signal.SIGXFSZ)
        if not by_python and signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def die_with(parent: int) -> None:
    """Asks Linux to kill this process when its parent dies. A fork has to ask anew (prctl(2))."""
    if sys.platform != "linux" or _prctl is None:
        return
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(ExitStatus.TRANSPORT_BROKEN)  # It died before the signal was asked for.


def adopt_orphans() -> bool:
    """Asks Linux to make this process the parent of its descendants whose own parent ends.

    :returns: whether it will. A fork of this process has to ask for itself (prctl(2)).
    """
    return _prctl is not None and _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def limit_memory(limit: int) -> None:
    """Lets an allocation fail that asks for far more than this process may hold.

    So that the code which asks for it gets a MemoryError, with its place, and nothing is killed.
    The parent sees to the limit itself: this one, RLIMIT_DATA (setrlimit(2)), counts what is asked
    for, used or not. So it comes on top of what the bundle's import has asked for, and of the
    stacks that threads have yet to get.

    :param limit: in bytes.
    """
    if sys.platform != "linux":
        return  # It counts brk(2) only there.
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            reserved = int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return
    limit += reserved + _STACKS_BYTES
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    for own in (soft, hard):
        if own != resource.RLIM_INFINITY:
            limit = min(limit, own)
    resource.setrlimit(resource.RLIMIT_DATA, (min(limit, sys.maxsize), hard))


class Activity:
    """Tells whether the bundle's code runs: a plain attribute, as each task sets it twice."""

    def __init__(self) -> None:
        self.under_way = False


def end_on_hang_up(read_fd: int, activity: Activity) -> None:
    """Ends this process when the parent closes the transport while the bundle's code is at work.

    A worker may die at any moment, and nobody would wait for the task then. An idle child reads
    the end of the stream by itself, so it is left alone for as long as an orderly end may take.

    :param read_fd: the transport's read end; it is watched, never read. A file never hangs up.
    :param activity: whether the bundle's code runs.
    """
    # The kernel hands a signal to any thread that does not block it. The one that ends a task whose
    # time is up has the stack written down, and that is to be the stack of the bundle's code.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    watches = _thread.allocate_lock()
    watches.acquire()
    try:
        # Not by Thread.start(), which makes a lock where the new thread is not there yet: what this
        # process makes of its memory would be another thing on a busy machine.
        _thread.start_new_thread(_watch, (read_fd, activity, watches))
        watches.acquire()
    except RuntimeError as error:  # "can't start new thread"
        raise OSError(errno.EAGAIN, str(error)) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(read_fd: int, activity: Activity, watches: _thread.LockType) -> None:
    poll = select.poll()
    # Linux reports POLLHUP unasked, macOS does not; POLLRDHUP is a socket's half-close.
    poll.register(read_fd, select.POLLHUP | getattr(select, "POLLRDHUP", 0))
    poll.poll(0)  # has its memory by now
    watches.release()
    while True:
        ready = poll.poll()
        if ready and ready[0][1] & select.POLLNVAL:
            return  # The bundle closed it, which the next read or write tells.
        if ready:
            break
        time.sleep(0.2)  # macOS wakes up for a request that is not read yet.
    deadline = time.monotonic() + _ENDING_SECONDS
    while not activity.under_way and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(ExitStatus.TRANSPORT_BROKEN)


def flush_console() -> None:
    """Writes out what was printed without a line's end."""
    for stream in (sys.stdout, sys.stderr):
        # The bundle's code may have replaced or closed it: what it holds, and raises, is its own.
        with suppress(Exception):
            stream.flush()


def flush_c() -> None:
    """Writes out what C has written to its files and kept."""
    if _fflush is not None:
        _fflush(None)


def exit_status(error: SystemExit) -> int:
    """The status that Python gives to a SystemExit; one that is a message goes to stderr."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    try:
        print(error.code, file=sys.stderr)
    except Exception as failure:  # noqa: BLE001 - it is the bundle's object, and may do anything
        complain(f"the message of an exit could not be printed: {type(failure).__name__}")
    return 1


def complain(message: str) -> None:
    """One line on descriptor 2, whatever the bundle made of ``sys.stderr``."""
    try:
        os.write(2, f"bundle_protocol: {message}\n".encode("utf-8", "replace"))
    except OSError:
        # Descriptor 2 is closed, and there is nowhere else to say it: the exit status remains.
        return


def children_cpu_seconds() -> float:
    """Return the CPU seconds of the processes that this one has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime
