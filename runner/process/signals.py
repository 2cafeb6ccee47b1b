"""How a child should find its signals at its start: each at its default, and none blocked.

What a process ignores or blocks, the programs that it starts ignore or block too (execve(2)). With
SIGCHLD ignored they cannot learn how their own children ended; a blocked signal ends nothing.
"""

import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

# Those that have a name, as numbers: an enum takes ten times as long. Python ignores two of them
# itself, and Popen sets these back (restore_signals).
_SIGNALS = [int(one) for one in signal.Signals if one not in (signal.SIGPIPE, signal.SIGXFSZ)]

_LOOKS = 3
_LOOK_SECONDS = 0.01

FROM_A_TERMINAL = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}
"""Those that nohup and a shell's ``&`` have a program ignore, so that it outlives its terminal."""


def ignored() -> set[int]:
    """The signals that somebody has told this process to ignore."""
    return {number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_IGN}


def set_defaults() -> None:
    """Unblock every signal, and set to its default what is ignored, but for a terminal's."""
    for number in ignored() - FROM_A_TERMINAL:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def set_for_command() -> None:
    """Unblock every signal, and learn how children end. All else that is ignored stays so.

    To be called in the main thread.
    """
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def stopped(pids: Iterable[int]) -> bool:
    """Say whether a signal (SIGSTOP and the like) has stopped one of these processes."""
    import psutil  # 18 ms, and not needed unless a task takes long

    for pid in pids:
        with suppress(psutil.Error):
            if psutil.Process(pid).status() == psutil.STATUS_STOPPED:
                return True
    return False


def idle(pids: Iterable[int]) -> bool:
    """Say whether no thread of these processes computes, whenever one looks within 30 ms.

    Where the system does not tell, which only Linux does (proc(5)), one may compute.
    """
    files = [file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/stat")]
    for _ in range(_LOOKS):
        for file in files:
            with suppress(OSError):  # It has just ended.
                if file.read_text("utf-8", "replace").rpartition(") ")[2][:1] not in "SZX":
                    return False
        time.sleep(_LOOK_SECONDS)
    return bool(files)


def to_set_in_program() -> Callable[[], None] | None:
    """Return what a new process does before its exec (``preexec_fn``); mostly ``None``.

    A terminal's signals are left as they are: what is started here has a session of its own, and no
    terminal. ``None`` matters, because ``Popen`` has to copy this process's page tables for the
    other (it uses fork(2), not vfork(2)).
    """
    if not signal.pthread_sigmask(signal.SIG_BLOCK, ()) and not ignored() - FROM_A_TERMINAL:
        return None
    return set_defaults
