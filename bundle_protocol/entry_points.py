"""The entry points of one group among what is installed.

This reads what importlib.metadata reads (``entry_points.txt`` of each ``*.dist-info`` on
``sys.path``), because importing importlib.metadata takes 40 ms: more than the rest of a child's
start.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator

_MAX_FILE_BYTES = 1024 * 1024


class EntryPoint:
    """``value`` is ``module:function``; ``distribution`` the normalized name of who declares it."""

    def __init__(self, name: str, value: str, distribution: str) -> None:
        self.name = name
        self.value = value
        self.distribution = distribution


def entry_points(group: str) -> list[EntryPoint]:
    """The entry points of ``group``, in the order of ``sys.path``.

    Of a distribution that is installed twice the first counts, as it does for its modules.

    Source: https://packaging.python.org/en/latest/specifications/entry-points/
    """
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for folder in sys.path:
        for distribution, text in _declarations(folder):
            if distribution in seen:
                continue
            seen.add(distribution)
            found.extend(
                EntryPoint(name, value, distribution) for name, value in _section(text, group)
            )
    return found


def normalized(name: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _declarations(folder: str) -> Iterator[tuple[str, str]]:
    try:
        names = sorted(os.listdir(folder or os.curdir))
    except OSError:
        return  # sys.path may name what does not exist, and zip files, where uv installs nothing.
    for name in names:
        if not name.endswith(".dist-info"):
            continue
        try:
            with open(os.path.join(folder, name, "entry_points.txt"), "rb") as file:
                text = file.read(_MAX_FILE_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            text = ""
        # The folder is NAME-VERSION.dist-info, and NAME has no hyphen in it (PEP 427).
        yield normalized(name.partition("-")[0]), text


def _section(text: str, group: str) -> Iterator[tuple[str, str]]:
    section = None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == group and "=" in line and line[0] not in "#;":
            name, _, value = line.partition("=")
            # Extras after the object reference are allowed and mean nothing here.
            yield name.strip(), value.partition("[")[0].strip()
