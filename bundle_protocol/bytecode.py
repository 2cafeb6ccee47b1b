"""Has a bundle's modules compiled from their source, without a look at ``__pycache__``.

Bytecode counts as that of a source with the same size and the same second: a file that was copied
with its time, or written twice within a second, would run as it was before. And the bundle's folder
is never written to.

PYTHONDONTWRITEBYTECODE=1 stands in the child's environment, so that no process started by the
bundle's code writes bytecode. The child itself does so for what is installed (hello.py): many
children share an environment, and compiling numpy anew in each of them would cost a second.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable
from importlib import machinery

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import NoReturn

    from _typeshed.importlib import PathEntryFinderProtocol


class SourceLoader(machinery.SourceFileLoader):
    """Loads a source file as it is now."""

    def path_stats(self, path: str) -> NoReturn:
        """Tells nothing of the file: this is what the import system compares with bytecode."""
        raise OSError(errno.ENOTSUP, "its bytecode is not asked for", path)


def keep_out_of(folder: str, *, but_for: Iterable[str]) -> None:
    """From here on, modules below ``folder``, and those that a task writes, have no bytecode.

    :param folder: the bundle's.
    :param but_for: folders that may lie below it and are not the bundle's: its environment.
    """
    bundle = os.path.realpath(folder)
    others = [os.path.realpath(other) for other in but_for]
    make_finder = machinery.FileFinder.path_hook(
        (machinery.ExtensionFileLoader, machinery.EXTENSION_SUFFIXES),
        (SourceLoader, machinery.SOURCE_SUFFIXES),
        (machinery.SourcelessFileLoader, machinery.BYTECODE_SUFFIXES),
    )

    def find_in_bundle(path: str) -> PathEntryFinderProtocol:
        real = os.path.realpath(path)
        if any(_is_below(real, other) for other in others) or not (
            _is_below(real, bundle) or _is_below(real, _working_folder())
        ):
            raise ImportError("not a folder of the bundle's, or of a task's", path=path)
        return make_finder(path)

    sys.path_hooks.insert(0, find_in_bundle)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # It was removed by the task: nothing can be below it.
        return os.devnull


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
