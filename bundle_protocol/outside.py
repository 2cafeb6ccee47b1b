"""Notices what a task takes from outside of it, and leaves there: its result may depend on it.

No seed reaches the system's entropy, the name of the task's own folder, or a file at a place where
other tasks and other runs find it too. Nothing else tells that the next result may be another one.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys
import time
from contextlib import suppress

from bundle_protocol.databases import tell_opened
from bundle_protocol.entropy import is_installed, is_standard_library
from bundle_protocol.linked_files import own_copy, writes
from bundle_protocol.messages import MAX_READ_FILES
from bundle_protocol.own_kills import tell_own_kills
from bundle_protocol.stand_in import StandIn
from bundle_protocol.standard import is_of_bundle
from bundle_protocol.started_scripts import DEVICES, StartedScripts
from bundle_protocol.still_writing import StillWriting
from bundle_protocol.turns import Turns
from bundle_protocol.unasked_work import UnaskedWork
from bundle_protocol.written_times import WrittenTimes

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

_ENVIRONMENT = os.path.join(sys.prefix, "")
_OURS = os.path.join(os.path.dirname(__file__), "")
_READERS = ("numpy", "pandas", "h5py", "joblib")
_READ_BY_NOBODY = frozenset("ax")
_SYSTEM = "/dev/", "/etc/", "/proc/", "/run/", "/sys/", "/usr/"
_LOCKS = ".lock", ".lck", ".pid"
_SOURCES = "urandom", "getrandom"
_DEVICES = *DEVICES, "/proc/sys/kernel/random/uuid"
_ENTROPY = {"random": "SystemRandom", "secrets": "secrets", "uuid": "uuid"}
_UUID_BYTES = 6
"""Those that no version of a UUID changes."""
_MOST_WORDS = 32
_MOST_BYTES = 1 << 14
"""So much of an output is searched, which takes a microsecond or two."""
_MOST_PATHS = 3
_TICK_NS = 20_000_000
"""The clock that files get their times of may be so much behind."""


class Outside:
    """All that is taken from there. It is made when the bundle is about to be imported.

    :param bundle: the bundle's folder.
    :param note: takes what is to be said of the results.
    """

    def __init__(self, bundle: str, note: Callable[[str], None]) -> None:
        self._bundle = os.path.join(bundle, "")
        self._package = ""
        self._note = note
        self._loading = True
        self._notes: list[str] = []
        """Those of each result."""
        self._words: list[tuple[bytes, str]] = []
        """Words that are others each time, where an output has them; first those of the import."""
        self._of_import = 0
        self._folder = ""
        self._inside = os.path.join(os.getcwd(), "")
        self._own = b"", ""
        self.read: dict[str, None] = {}
        """The files out there that the import and the task have read, and not changed."""
        self._read_by_import: dict[str, None] = {}
        self._written: dict[str, bool] = {}
        """The files that the task has written to, and whether it found there what others wrote."""
        self._turns = Turns(note)
        self._given: tuple[str, ...] = ()
        """The paths that are parameters of the task: what lies there is meant to be read."""
        self._still_writing: StillWriting | None = None
        self._times = WrittenTimes()
        self._now = time.time_ns  # which a bundle may replace
        self._start = self._since = self._began = self._now()
        self._temporary = os.path.join(os.environ.get("TMPDIR") or "/tmp", "")
        system: Any = os
        for name in _SOURCES:
            if hasattr(os, name):  # macOS has no getrandom.
                setattr(system, name, _Entropy(name, self))
        python: Any = builtins
        python.open = io.open = _Open(self)
        tell_opened(self.opening)
        tell_own_kills()
        StartedScripts(note)
        self._unasked = UnaskedWork(note)

    def loaded(self, wire: str) -> None:
        """The bundle has been imported.

        :param wire: the wire function's name, ``module:function``.
        """
        self._package = wire.partition(":")[0].partition(".")[0]
        self._loading = False
        self._still_writing = StillWriting()
        self._since = self._now()  # What the import has written is no other task's.
        self._of_import = len(self._words)
        self._read_by_import = self.read

    def begin(self, folder: str, params: dict[str, object]) -> None:
        """A task begins, which works in a folder."""
        values = params.values()
        self._given = tuple(one for one in values if type(one) is str and one.startswith(os.sep))
        for text in self._notes:
            self._note(text)
        self._began = self._now()
        if folder != self._folder:
            self._folder, self._inside = folder, folder + os.sep
            self._own = os.fsencode(folder), "the path of the task's folder"
        self._words[self._of_import :] = (self._own,)
        self.read = self._read_by_import.copy()
        self._written.clear()
        self._turns.begin()
        self._unasked.begin()

    def leave(self) -> None:
        """The task has ended, whatever came of it."""
        self._turns.end()

    def end(self, result: object, *, instant: bool) -> None:
        """The task has returned a result.

        :param instant: it took so little time that nothing can have been started.
        """
        if not instant and self._still_writing is not None:
            files = self._still_writing.files(self._folder)
            for name, who in list(files.items())[:_MOST_PATHS]:
                self._note(
                    f"{name} is still being written as the task returns, by {who} that it has"
                    " started: it is kept as it is now. Wait for that in the task"
                )
            # Who has written to one meanwhile does not read the same again.
            for path in list(self.read):
                with suppress(OSError):
                    if os.stat(path).st_mtime_ns >= self._began - _TICK_NS:
                        del self.read[path]
            self._unasked.end()
        now = self._now()
        for name, data in result.items() if type(result) is dict else ():
            if type(name) is str:
                self._tell_held(f"the name of output {name!r}", name.encode(errors="replace"), now)
            if type(data) is bytes and len(data) <= _MOST_BYTES:
                self._tell_held(f"output {name!r}", data, now)
        for path in self._written:
            if path.startswith(self._bundle):
                continue  # The worker sees it.
            try:
                state = os.stat(path)
            except OSError:  # It is removed again.
                continue
            if not stat.S_ISREG(state.st_mode):
                continue
            # A database was opened for writing too, whatever was done with it.
            if max(state.st_mtime_ns + _TICK_NS, state.st_ctime_ns) >= self._began:
                self._note(
                    f"{path} was left outside of the task's folder: it is not kept with the"
                    " outputs, and other tasks and runs find it. Write it by a relative path"
                )

    def _tell_held(self, which: str, data: bytes, now: int) -> None:
        # It takes a fifth of what "in" takes.
        held = [what for word, what in self._words if data.rfind(word) >= 0]
        if self._times.in_output(data, self._began, now):
            held.append("the time at which the task ran")
        for what in held:
            self._note(f"{which} holds {what}, which is another one each time")

    def asked(self, name: str, drawn: bytes, frame: FrameType | None) -> None:
        """The system was asked for random bytes.

        :param name: by what.
        :param frame: of who has asked; None in a thread of compiled code.
        """
        while frame is not None and frame.f_globals.get("__name__") in _ENTROPY:
            name = _ENTROPY[frame.f_globals["__name__"]]
            frame = frame.f_back
        if frame is None or not self._is_own(frame):
            return
        if name == "uuid":  # It may be a file's name, which nothing else depends on.
            text = drawn[:_UUID_BYTES].hex()
            if len(self._words) < _MOST_WORDS:
                self._words.append((text.encode(), "a random UUID"))
                self._words.append((f"{text[:8]}-{text[8:]}-".encode(), "a random UUID"))
            return
        file = frame.f_code.co_filename
        where = file[len(self._bundle) :] if file.startswith(self._bundle) else file
        text = (
            f"{where}:{frame.f_lineno} draws from the system's entropy ({name}): its numbers do not"
            " follow from the task's seed. Draw them of that"
        )
        if self._loading:
            self._notes.append(text)
        self._note(text)

    def opening(self, path: str, frame: FrameType, *, anew: bool, writes: bool) -> None:
        """A library of its own is about to open a file.

        :param frame: of who has it opened.
        :param anew: nothing of what is there stays.
        :param writes: it may write to it, also where it does not.
        """
        state = None
        with suppress(OSError):  # It is made now.
            state = os.stat(path)
        if writes:
            # A task of another child may have made it before this one had imported the bundle.
            is_old = not anew and state is not None and state.st_mtime_ns <= self._since
            self._take_turn(path, frame, if_held=is_old)
        is_file = state is not None and stat.S_ISREG(state.st_mode)
        if not anew and state is not None and is_file and not path.startswith(self._inside):
            self._is_read(path, state.st_mtime_ns)
        self._used(path, None if anew else state, frame, reads=not anew, writes=writes)

    def writing(self, file: Any, mode: str, frame: FrameType | None) -> None:
        """A file is about to be opened for writing."""
        own_copy(file, self._inside, self._bundle, empty="w" in mode)
        # What others add to a file, or may not make a second time, a task does not read as its own.
        if not _READ_BY_NOBODY.intersection(mode) and _package(frame) != "logging":
            with suppress(OSError, TypeError, ValueError):  # It is no path.
                path = os.fsdecode(file)
                path = path if path.startswith(os.sep) else os.path.join(os.getcwd(), path)
                if os.pardir not in path and path.startswith(self._inside):
                    return
                if not path.endswith(_LOCKS):  # By it, a model has its tasks take turns.
                    self._take_turn(path, frame)

    def _take_turn(self, path: str, frame: FrameType | None, *, if_held: bool = False) -> None:
        path = os.path.realpath(path)
        if not (path.startswith(os.path.realpath(self._inside)) or self._is_librarys(path, frame)):
            self._turns.take(path, if_held=if_held)

    def opened(self, path: str, file: Any, frame: FrameType | None) -> None:
        """A file was opened.

        :param frame: of who has opened it.
        """
        if path in _DEVICES:
            while frame is not None and is_standard_library(frame.f_code.co_filename):
                frame = frame.f_back  # pathlib
            self.asked(path, b"", frame)
        elif not path.startswith((self._inside, "/proc/")):
            writes = file.writable()
            state = os.stat(file.fileno())
            if not writes and stat.S_ISREG(state.st_mode):
                self._is_read(path, state.st_mtime_ns)
            self._used(path, state, frame, reads=not writes, writes=writes)

    def _is_read(self, path: str, modified: int) -> None:
        """A file is read: whoever changes it gets other results of the same task."""
        own = path.startswith((self._bundle, *_SYSTEM)) or "/." in path or _is_installed(path)
        if own or path in self.read or len(self.read) >= MAX_READ_FILES:
            return
        # What the task itself has made is another one each time.
        is_older = modified < (self._start if self._loading else self._began) - _TICK_NS
        if is_older and path.isprintable():
            self.read[path] = None

    def _used(
        self,
        path: str,
        state: os.stat_result | None,
        frame: FrameType | None,
        *,
        reads: bool,
        writes: bool,
    ) -> None:
        if self._loading or (state is not None and not stat.S_ISREG(state.st_mode)):
            return
        modified = self._began if state is None else state.st_mtime_ns
        by_tasks = self._since < modified < self._began - _TICK_NS
        is_left = by_tasks or (
            modified < self._start
            and (path.startswith(self._temporary) or is_kept_result(path))
            and not path.startswith((*self._given, self._bundle))
        )
        if not (writes or is_left or (self._written and modified >= self._began - _TICK_NS)):
            return
        path = os.path.realpath(path)  # Only now, as it takes longer than all else.
        if path.startswith(os.path.realpath(self._inside)) or self._is_librarys(path, frame):
            return
        is_left = self._written.get(path, is_left)
        # Else it may be what a library has kept for itself, such as compiled code.
        is_asked = not _is_installed(path) and self._is_asked(frame)
        if reads and is_left and (by_tasks or is_asked):
            when = (
                "before this run" if modified < self._start else "while tasks before this one ran"
            )
            self._note(
                f"{path}, outside of the task's folder, was written {when}, and is read: the result"
                " depends on it"
            )
        if writes and len(self._written) < _MOST_PATHS:
            self._written[path] = by_tasks

    def _is_librarys(self, path: str, frame: FrameType | None) -> bool:
        """Tell whether a file is a library's own, such as a cache at home."""
        if path.startswith(self._bundle) and not path.startswith(_ENVIRONMENT):
            path = path[len(self._bundle) - 1 :]
        elif _is_installed(path):
            return not self._is_asked(frame)
        return ("/." in path or "/__pycache__/" in path) and not self._is_asked(frame, own=True)

    def _is_asked(self, frame: FrameType | None, *, own: bool = False) -> bool:
        """Tell whether the bundle's code opens a file, itself or by what reads and writes data."""
        while frame is not None and _is_pythons_or_ours(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is not None and self._is_own(frame):
            return True
        return not own and _package(frame) in _READERS

    def _is_own(self, frame: FrameType) -> bool:
        """Tell whether it is the bundle's code."""
        return is_of_bundle(frame.f_code.co_filename) or _package(frame) == self._package


def is_kept_result(path: str) -> bool:
    """Tell whether joblib.Memory keeps there what a function has returned."""
    return path.endswith("/output.pkl") and "/joblib/" in path


def _is_installed(path: str) -> bool:
    return path.startswith((_ENVIRONMENT, sys.base_prefix)) or is_installed(path)


def _is_pythons_or_ours(file: str) -> bool:
    return is_standard_library(file) or file.startswith(_OURS)


def _package(frame: FrameType | None) -> str:
    return "" if frame is None else str(frame.f_globals.get("__name__")).partition(".")[0]


class _Entropy(StandIn):
    def __init__(self, name: str, outside: Outside) -> None:
        super().__init__(os, name)
        self._outside = outside

    def __call__(self, *arguments: Any, **options: Any) -> bytes:
        drawn: bytes = self.__wrapped__(*arguments, **options)
        self._outside.asked(f"os.{self.__name__}", drawn, sys._getframe().f_back)
        return drawn


class _Open(StandIn):
    def __init__(self, outside: Outside) -> None:
        super().__init__(io, "open")
        self._outside = outside

    def __call__(self, file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if mode != "r" and writes(mode):
            self._outside.writing(file, mode, sys._getframe().f_back)
        opened = self.__wrapped__(file, mode, *arguments, **options)
        path = file if type(file) is str else getattr(file, "__fspath__", str)()
        if type(path) is str and path:
            with suppress(OSError, ValueError):  # Of an opener's own, say: it is open all the same.
                # By os.chdir() a relative path leads out of the task's folder, too.
                path = path if path.startswith(os.sep) else os.path.join(os.getcwd(), path)
                self._outside.opened(path, opened, sys._getframe().f_back)
        return opened
