"""Makes a call of the runner's own to the operating system fail, as if that had refused it."""

import builtins
import gc
import io
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_ROOT = str(Path(__file__).parents[2]) + os.sep
_OURS = tuple(f"{_ROOT}{name}{os.sep}" for name in ("runner", "bundle_protocol"))
_STANDARD = str(Path(os.__file__).parent) + os.sep
_OF_OS = (
    *("open", "write", "mkdir", "replace", "rename", "link", "symlink", "unlink", "rmdir", "chmod"),
    *("pipe", "memfd_create", "scandir", "listdir", "stat", "lstat"),
)


class Refusing:
    """Counts the calls, while it is entered, but those of threads that earlier tests have left.

    :param at: the place, as in ``places``, whose first call is to fail; ``None`` for none.
    :param number: with what error.
    """

    def __init__(self, at: tuple[str, str] | None = None, number: int = 0) -> None:
        self.places: dict[tuple[str, str], None] = {}
        self.refused = False
        self._at, self._number = at, number

    def __enter__(self) -> "Refusing":
        gc.collect()  # what earlier runs have left in cycles goes now, and not meanwhile
        me = threading.current_thread()
        self._others = {one.ident: one for one in threading.enumerate() if one is not me}
        self._before: list[tuple[Any, str, object]] = []
        for name in _OF_OS:
            self._replace(os, name, self._refusing(name, getattr(os, name)))
        opened = self._writing(self._refusing("open", io.open))
        self._replace(io, "open", opened)
        self._replace(builtins, "open", opened)
        self._replace(mmap, "mmap", self._refusing("mmap", mmap.mmap))
        start = threading._start_new_thread  # type: ignore[attr-defined]
        self._replace(threading, "_start_new_thread", self._refusing("thread", start))
        fork = "_fork_exec" if hasattr(subprocess, "_fork_exec") else None
        owner: Any = subprocess if fork else subprocess._posixsubprocess  # type: ignore[attr-defined]
        name = fork or "fork_exec"
        self._replace(owner, name, self._refusing("fork", getattr(owner, name)))
        return self

    def __exit__(self, *raised: object) -> None:
        for owner, name, before in reversed(self._before):
            setattr(owner, name, before)

    def _replace(self, owner: Any, name: str, by: object) -> None:
        self._before.append((owner, name, getattr(owner, name)))
        setattr(owner, name, by)

    def _writing(self, opening: Callable[..., Any]) -> Callable[..., Any]:
        """Give files whose writes are counted, too."""

        def opened(*arguments: Any, **named: Any) -> Any:
            file = opening(*arguments, **named)
            if self._is_of_another() or _caller() is None or not file.writable():
                return file
            return _Written(file, self._refusing("file.write", file.write))

        return opened

    def _refusing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def refusing(*arguments: Any, **named: Any) -> Any:
            where = None if self._is_of_another() else _caller()
            if where is not None:
                self.places[name, where] = None
                if self._at == (name, where) and not self.refused:
                    self.refused = True
                    if name == "thread":
                        raise RuntimeError("can't start new thread")
                    path = arguments[0] if arguments and "write" not in name else None
                    named_path = path if isinstance(path, str | bytes | os.PathLike) else None
                    raise OSError(self._number, os.strerror(self._number), named_path)
            return call(*arguments, **named)

        return refusing

    def _is_of_another(self) -> bool:
        # A thread that has ended leaves its number to a new one.
        other = self._others.get(threading.get_ident())
        return other is not None and other.is_alive()


class _Written:
    """An open file, with another way to write to it."""

    def __init__(self, file: Any, write: Callable[..., Any]) -> None:
        self._file = file
        self.write = write

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *raised: object) -> None:
        self._file.close()


def _caller() -> str | None:
    """The line of the runner that calls, by way of the standard library or anyio perhaps."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            return f"{file.removeprefix(_ROOT)}:{frame.f_lineno}"
        # This module's own frames lie between, as many as a call has wrappers.
        of_library = file.startswith(_STANDARD) and "site-packages" not in file
        if file != __file__ and not of_library and "/anyio/" not in file:
            return None
        frame = frame.f_back
    return None
