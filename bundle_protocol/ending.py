"""The end of a task's process: what Python does at its own end, which a fork does not come to.

Done is what concerns the task: what it has registered, what it has opened. What the bundle's import
has registered to be done at the exit is for the child: the other tasks may still need it.
"""

from __future__ import annotations

import atexit
import sys

from bundle_protocol import process
from bundle_protocol.describe import summarize
from bundle_protocol.open_files import OpenFiles
from bundle_protocol.resource_trackers import end_trackers

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    import logging
    import weakref
    from collections.abc import Callable
    from typing import Any

    Lost = Callable[[str], None]


class Ending:
    """Make it before the first fork, before ``gc.freeze``."""

    def __init__(self) -> None:
        self._log_handlers = _log_handlers()
        # Else each fork would write what was logged before.
        _flush(self._log_handlers, process.complain)
        self._finalizers = _finalizers()
        self._open_files = OpenFiles()
        self._callbacks = 0
        self._last: Callable[[], None] | None = None
        self._lost: Lost = process.complain

    def begin(self) -> None:
        """To be called in the fork, before the task."""
        # Callbacks run last in, first out: those of the task, this one, those of the import.
        atexit.register(self._end)
        self._callbacks = atexit._ncallbacks()

    def end(self, lost: Lost, last: Callable[[], None]) -> None:
        """Ends what the task has left.

        :param lost: told in a line what could not be written.
        :param last: ends the process, and so does not return.
        """
        self._lost, self._last = lost, last
        if atexit._ncallbacks() > self._callbacks:
            atexit._run_exitfuncs()  # It comes to _end, unless the task has taken that away.
        self._end()

    def _end(self) -> None:
        last, self._last = self._last, None
        if last is None:
            return  # It is not the end: a library runs what is registered, as multiprocessing does.
        for step in (self._finalize, self._close_logs):
            try:
                step()
            except Exception as error:  # noqa: BLE001  # It is the bundle's code that runs there.
                self._lost(f"what the task left was not ended in order: {summarize(error)}")
        self._open_files.end(self._lost)
        process.flush_console()
        process.flush_c()
        end_trackers()
        last()

    def _finalize(self) -> None:
        """Calls what the task has made by ``weakref.finalize``: to remove a folder, say."""
        if any(each not in self._finalizers for each in _finalizers()):
            for each in self._finalizers:
                each.atexit = False
            sys.modules["weakref"].finalize._exitfunc()

    def _close_logs(self) -> None:
        handlers = _log_handlers()
        if not handlers:
            return
        _flush([each for each in handlers if each in self._log_handlers], self._lost)
        new = [each for each in handlers if each not in self._log_handlers]
        if new:
            sys.modules["logging"].shutdown(new)


def _finalizers() -> set[weakref.finalize[Any, Any]]:
    kind = getattr(sys.modules.get("weakref"), "finalize", None)
    return set(getattr(kind, "_registry", ()))


def _log_handlers() -> list[weakref.ref[logging.Handler]]:
    """In the order in which they were made: one that passes records on is after the other."""
    return list(getattr(sys.modules.get("logging"), "_handlerList", ()))


def flush_logs(lost: Lost) -> None:
    """Writes out what ``logging`` keeps.

    :param lost: told in a line what could not be written.
    """
    _flush(_log_handlers(), lost)


def _flush(handlers: list[weakref.ref[logging.Handler]], lost: Lost) -> None:
    for reference in reversed(handlers):
        handler = reference()
        if handler is None:
            continue
        try:
            handler.flush()
        except Exception as error:  # noqa: BLE001  # Its class may be the bundle's.
            lost(f"what was logged could not be written: {summarize(error)}")
