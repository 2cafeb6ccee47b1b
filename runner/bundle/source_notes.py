"""Notes of what a bundle's source tells of its numbers, before any of it runs."""

from collections.abc import Iterable
from pathlib import Path

from runner.bundle import own_seeds, speed_dependence
from runner.bundle.imported_files import imported_files
from runner.bundle.repeated_keys import may_repeat_keys, repeated_keys
from runner.bundle.shared_draws import SHARING_WORDS, shared_draws
from runner.bundle.source import parsed, read_code
from runner.diagnosis.report.text import printable

_FINDERS = (
    (own_seeds.SEED_WORDS, own_seeds.own_seeds),
    (own_seeds.SYSTEM_WORDS, own_seeds.system_draws),
    (SHARING_WORDS, shared_draws),
    (own_seeds.UUID_WORDS, own_seeds.numbers_of_uuids),
    (own_seeds.QUERY_WORDS, own_seeds.drawing_queries),
    (speed_dependence.ENDING_WORDS, speed_dependence.ending_orders),
    (speed_dependence.CLOCK_WORDS, speed_dependence.clock_loops),
)
"""Each with the words that source has in which it may find something: to parse takes a hundred
times as long as to look for these."""
_SHOWN = 3
_MOST_FILES = 1000


def source_notes(folder: Path, functions: Iterable[str], files: Iterable[str]) -> tuple[str, ...]:
    """Return a note for each place that one finds in what the bundle's functions import."""
    source = [name for name in files if name.endswith(".py")][:_MOST_FILES]
    places = {name: found for name in source if (found := _places(folder / name))}
    if not places:
        return ()
    imported = {name for name, _ in imported_files(folder, functions)}
    return tuple(
        f"{printable(name)}:{line} {what}"
        for name, found in places.items()
        if name in imported
        for line, what in found.items()
    )[:_SHOWN]


def _places(file: Path) -> dict[int, str]:
    """Each such line, with the rest of its note."""
    text = read_code(file) or ""
    finders = [find for words, find in _FINDERS if all(one.search(text) for one in words)]
    finders += [repeated_keys] if may_repeat_keys(text) else []
    found: dict[int, str] = {}
    if not finders or (source := parsed(text)) is None:
        return found
    for find in finders:
        for line, what in find(source.tree):
            found.setdefault(line, what)
    return found
