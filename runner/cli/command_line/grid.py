"""Reads ``--grid`` and ``--seeds``: the axes of a study."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from runner.cli.command_line.commands import Exec, UsageError
from runner.cli.command_line.params import given_task, read_seed, read_values
from runner.study.grid import MOST_TASKS, Grid, grid, joined, number_range

_OWN_OPTIONS = {"seed": "--seeds 0:20", "entrypoint": "ENTRYPOINT after BUNDLE"}
_SHOWN_VALUES = 3
_ALL_SHOWN = 6
"""So many values are not cut short."""
_MOST_REPLICATES = 10_000
"""A larger number is hardly meant as one of replicates."""
_THOUSANDS = re.compile(r"(?:[0-9]+:)?[+-]?[0-9]+,0[0-9]{2}(?::[0-9]+)?")
"""A number with a comma in it, for JSON has no 000; 10,100 may well be two."""


def read_grid(command: Exec, seed: int = 0) -> Grid:
    """Read the tasks of a command line with axes.

    :raises UsageError: an axis is said twice, has no values, or is a parameter of all tasks too.
    :raises Failure: ``params-invalid``: a value is not JSON, or a seed not a number.
    """
    base = given_task(command, seed)
    axes: dict[str, Sequence[Any]] = {}
    for text in command.grid:
        name, _, values = text.partition("=")
        if name in axes:
            raise UsageError(f"--grid {name} is there twice: write all of its values with one")
        if name in _OWN_OPTIONS:
            raise UsageError(
                f"--grid {name}: a task's {name} is not a parameter; give {_OWN_OPTIONS[name]}"
            )
        if name in base.params:
            raise UsageError(f"{name} is both in --grid and in --param or --params")
        axes[name] = _values(f"--grid {name}", name, values)
    seeds: Sequence[int] = (base.seed,)
    if command.seeds is not None:
        seeds = _seeds(command.seeds)
    tasks = grid(
        axes, seeds=seeds, entrypoint=base.entrypoint, params=base.params, function=base.function
    )
    if len(tasks) > MOST_TASKS:
        raise UsageError(f"--grid makes {len(tasks):,} tasks; at most {MOST_TASKS:,} make sense")
    return tasks


def axis_lines(tasks: Grid) -> list[str]:
    """A line for each axis: its first values, its last, and how many there are."""
    lines = []
    for name, values in [*tasks.axes.items(), ("seed", tasks.seeds)]:
        listed = values if len(values) <= _ALL_SHOWN else [*values[:_SHOWN_VALUES], values[-1]]
        shown = [json.dumps(value, ensure_ascii=False) for value in listed]
        if len(listed) < len(values):
            shown.insert(-1, "...")
        count = f" ({len(values)} values)" if len(values) > 1 else ""
        lines.append(f"{name} = {', '.join(shown)}{count}")
    return lines


def lone_seed(command: Exec) -> list[str]:
    """Say that a number alone is a seed, and no number of them."""
    text = (command.seeds or "").strip()
    if not text.isdecimal() or not 1 < int(text) <= _MOST_REPLICATES:
        return []
    return [f"note: --seeds {text} is the one seed {text}; --seeds 0:{text} are {text} seeds"]


def _values(option: str, name: str, text: str) -> Sequence[Any]:
    """The values of an axis: JSON values, plain words and ranges, with commas between them."""
    parts: list[Sequence[Any]] = []
    seen: set[str] = set()
    words = _words(text)
    if words is None:
        raise UsageError(f"{option}={text}: a quote or a bracket in it is not closed")
    _refuse_thousands(f"{option}={text}", words)
    for word in words:
        if not word:
            raise UsageError(f'{option}={text}: there is an empty value; write "" for a text')
        if not word.startswith('"') and word.count("(") != word.count(")"):
            raise UsageError(
                f"{option}={text}: {word} is a part of a text; write a text with commas in quotes,"
                " and numbers as 0,0.5,1 or 0:1:0.1"
            )
        with _said_of(f"{option}={text}: {word}"):
            part = number_range(word)
        if part is None:
            part = list(read_values([f"{name}={word}"], "--grid").values())
        parts.append(part)
    with _said_of(option):
        values = joined(parts)
    if len(parts) > 1:
        for value in values:
            said = json.dumps(value)
            if said in seen:
                raise UsageError(f"{option}={text}: {said} is there twice")
            seen.add(said)
    return values


def _seeds(text: str) -> Sequence[int]:
    parts: list[Sequence[int]] = []
    words = text.split(",")
    _refuse_thousands(f"--seeds {text}", words)
    for word in words:
        if ":" not in word:
            parts.append([read_seed(word, "--seeds")])
            continue
        with _said_of(f"--seeds {text}: {word}"):
            numbers = number_range(word)
        if not isinstance(numbers, range):
            raise UsageError(f"--seeds {text}: {word} is not a range of integers such as 0:20")
        for seed in (numbers[0], numbers[-1]):
            read_seed(str(seed), "--seeds")
        parts.append(numbers)
    with _said_of(f"--seeds {text}"):
        seeds = joined(parts)
    if len(parts) > 1 and len(set(seeds)) < len(seeds):
        raise UsageError(f"--seeds {text}: a seed is there twice")
    return seeds


def _refuse_thousands(option: str, words: list[str]) -> None:
    for pair in pairwise(words):
        if _THOUSANDS.fullmatch(",".join(pair)):
            one = "".join(pair)
            raise UsageError(f"{option}: a comma is between two values; write {one} for one")


@contextmanager
def _said_of(what: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{what}: {error}") from None


def _words(text: str) -> list[str] | None:
    """The parts of a text between commas, but for those within JSON's quotes and brackets.

    :returns: ``None`` where one of these is not closed, so that no comma after it counts.
    """
    words = [""]
    depth = 0
    quoted = escaped = False
    for character in text:
        if escaped or character == "\\":
            escaped = not escaped and quoted
        elif character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character in "[{") - (character in "]}")
            if character == "," and depth <= 0:
                words.append("")
                continue
        words[-1] += character
    return None if quoted or depth > 0 else [word.strip() for word in words]
