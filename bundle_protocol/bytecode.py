"""Keeps ``__pycache__`` out of a bundle's folder, and nowhere else.

PYTHONDONTWRITEBYTECODE=1 stands in the child's environment, so that no process started by the
bundle's code writes bytecode. The child itself does write it (hello.py): many children share an
environment, and compiling numpy anew in each of them would cost a second.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from _typeshed.importlib import PathEntryFinderProtocol


class ReadOnlyLoader(SourceFileLoader):
    """Loads a source file as usual, and writes no bytecode beside it."""

    def set_data(self, path: str, data: object, *, _mode: int = 0) -> None:
        """Does nothing: this is how the import system writes bytecode."""


def keep_out_of(folder: str, *, but_for: Iterable[str]) -> None:
    """From here on, importing a module below ``folder`` writes nothing there.

    Args:
        folder: the bundle's.
        but_for: folders that may lie below it and are not the bundle's: its environment.
    """
    bundle = os.path.realpath(folder)
    others = [os.path.realpath(other) for other in but_for]
    make_finder = FileFinder.path_hook(
        (ExtensionFileLoader, EXTENSION_SUFFIXES),
        (ReadOnlyLoader, SOURCE_SUFFIXES),
        (SourcelessFileLoader, BYTECODE_SUFFIXES),
    )

    def find_in_bundle(path: str) -> PathEntryFinderProtocol:
        real = os.path.realpath(path)
        if not _is_below(real, bundle) or any(_is_below(real, other) for other in others):
            raise ImportError("not a folder of the bundle", path=path)
        return make_finder(path)

    sys.path_hooks.insert(0, find_in_bundle)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
