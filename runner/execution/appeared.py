"""Remembers what tasks have left in a bundle's folder: it is not content of it."""

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

import msgspec

from runner.diagnosis.report.text import one_line, printable
from runner.stored_files import read_json, whole_file

SOURCE = ".py"
"""How the names of files end that are content from the next reading on, whoever has added them."""
_SHOWN = 10
_MOST = 10_000


class Appeared:
    """The paths of what tasks have left, kept in the cache."""

    def __init__(self, cache: Path, bundle: Path) -> None:
        self._bundle = bundle
        key = hashlib.sha256(os.fsencode(bundle.resolve())).hexdigest()[:20]
        self._file = cache / "appeared" / f"{key}.json"

    def names(self) -> frozenset[str]:
        """Those that are still there: what is removed and put back by hand is content."""
        try:
            names = read_json(self._file, list[str])
            return frozenset(name for name in names if os.path.lexists(self._bundle / name))
        except (OSError, ValueError):  # a name with a NUL in it is a ValueError
            return frozenset()

    def add(self, names: Collection[str]) -> None:
        """Add some. Where the cache takes none, a later run counts them as content."""
        known = sorted(self.names() | set(names))[:_MOST]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._file) as file:
                file.write(msgspec.json.encode(known))
        except (OSError, ValueError):  # ValueError: a name that is not Unicode
            return


def appeared_note(names: Collection[str]) -> str:
    """One line that names them, and the cure."""
    shown = sorted(names)
    listed = ", ".join(printable(name) for name in shown[:_SHOWN])
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return one_line(
        f"tasks leave files in the bundle's own folder, which are no content of it: {listed}{more};"
        " write them by a relative path, or name them in pyproject.toml:"
        ' [tool.modelops] exclude = ["*.log", "out/"]',
        500,
    )
