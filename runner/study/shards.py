"""The shards of a study: parts of it that run at once, on several machines, in one folder.

No file is written by two of them: on a network file system, appending is not atomic, and locks may
hold on one machine only.
"""

import os
import re
from pathlib import Path

from msgspec import Struct


class Shard(Struct, frozen=True):
    """One of ``count`` parts.

    :param number: from 1 on.
    """

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}-of-{self.count}"


def part_name(name: str, shard: Shard | None) -> str:
    """The name of a file in a study's folder.

    :param name: its name where the study is whole, such as ``results.jsonl``.
    :param shard: that it is of; ``None``: the study was run as a whole.
    """
    stem, dot, suffix = name.rpartition(".")
    return name if shard is None else f"{stem}.{shard}{dot}{suffix}"


def parts(folder: Path, name: str) -> dict[str, Shard | None]:
    """The files of this name in a study's folder: the whole one's, and the shards'.

    Links and pipes do not count.
    """
    stem, _, suffix = name.rpartition(".")
    shards = re.compile(
        rf"{re.escape(stem)}\.([1-9][0-9]*)-of-([1-9][0-9]*)\.{re.escape(suffix)}", re.ASCII
    )
    found: dict[Shard | None, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                match = shards.fullmatch(entry.name)
                if not (match or entry.name == name) or not entry.is_file(follow_symlinks=False):
                    continue
                shard = Shard(int(match[1]), int(match[2])) if match else None
                found[shard] = entry.name
    except OSError:
        return {}
    in_order = sorted(found, key=lambda one: (0, 0) if one is None else (one.count, one.number))
    return {found[shard]: shard for shard in in_order}
