"""Notes of what a bundle's source tells of its numbers, before any of it runs."""

from collections.abc import Iterable
from pathlib import Path

from runner.bundle import own_seeds
from runner.bundle.excluded_code import imported_files
from runner.bundle.repeated_keys import may_repeat_keys, repeated_keys
from runner.bundle.shared_draws import may_share_draws, shared_draws
from runner.bundle.source import parsed, read_code
from runner.diagnosis.report.text import printable

# To parse takes a hundred times as long as to look for the words.
_FINDERS = (
    (own_seeds.may_seed, own_seeds.own_seeds),
    (own_seeds.may_ask_the_system, own_seeds.system_draws),
    (may_share_draws, shared_draws),
    (own_seeds.may_number_uuids, own_seeds.numbers_of_uuids),
    (own_seeds.may_query, own_seeds.drawing_queries),
    (may_repeat_keys, repeated_keys),
)
"""Each with what tells by a text whether it may find anything."""
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
    finders = [find for may_find, find in _FINDERS if may_find(text)]
    found: dict[int, str] = {}
    if not finders or (source := parsed(text)) is None:
        return found
    for find in finders:
        for line, what in find(source.tree):
            found.setdefault(line, what)
    return found
