"""Says beforehand that this process signals itself, its parent or their group: no status tells."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

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
        with suppress(OSError, TypeError, ValueError):  # They are not numbers: that is told below.
            group = self.__name__ == "killpg" or target <= 0
            whom = os.getpgrp() if group and target in (0, -1) else abs(target)
            own = [os.getpid(), os.getppid()]
            ends = number in _ENDING and signal.getsignal(number) is signal.SIG_DFL
            file = by.f_code.co_filename
            ends = ends and not file.startswith(_OURS)
            if ends and whom in (map(os.getpgid, own) if group else own):
                which = f"process group {whom}" if group else f"process {whom}"
                complain(f"{file}:{by.f_lineno} sends {signal.Signals(number).name} to {which}")
        self.__wrapped__(target, number)
