"""Says beforehand that this process signals itself, its parent or their group: no status tells."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

from bundle_protocol.entropy import is_installed
from bundle_protocol.process import complain
from bundle_protocol.stand_in import StandIn

_OURS = os.path.join(os.path.dirname(__file__), "")
_ENDING = (
    *(signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM),
)


def tell_own_kills() -> None:
    for name in ("kill", "killpg"):
        setattr(os, name, _Kill(os, name))


class _Kill(StandIn):
    def __call__(self, target: int, number: int) -> None:
        by = sys._getframe(1)
        while by.f_back is not None and is_installed(by.f_code.co_filename):  # psutil's, say
            by = by.f_back
        with suppress(OSError, TypeError, ValueError):  # They are not numbers: that is told below.
            group = self.__name__ == "killpg" or target <= 0
            whom = os.getpgrp() if group and target in (0, -1) else abs(target)
            own, parent = (
                (os.getpgrp(), os.getpgid(os.getppid())) if group else (os.getpid(), os.getppid())
            )
            # What the parent does at a signal is not known here.
            ends = whom == parent or (whom == own and signal.getsignal(number) is signal.SIG_DFL)
            file = by.f_code.co_filename
            if ends and number in _ENDING and not file.startswith(_OURS):
                which = f"process group {whom}" if group else f"process {whom}"
                complain(f"{file}:{by.f_lineno} sends {signal.Signals(number).name} to {which}")
        self.__wrapped__(target, number)
