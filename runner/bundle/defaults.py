"""Reads ``[tool.modelops]``: the defaults that a bundle's author knows best."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from runner.bundle.exclude import problem_with
from runner.bundle.failures import invalid
from runner.bundle.model import Defaults
from runner.bundle.toml_lines import at_line, key_line
from runner.defaults import MAX_SEED
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit, Hint

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
# What setrlimit(2) and cgroups take.
_MAX = 2**63 - 1
_MOST_THREADS = 9_999


class _Setting(NamedTuple):
    read: Callable[[Any], Any]
    """Gives ``None`` for a value that cannot be taken."""
    wanted: str
    example: Any
    """For the edit of a value that cannot be taken."""


def read_defaults(modelops: Mapping[str, Any], text: str) -> Defaults:
    """Read the table ``[tool.modelops]`` of a pyproject.toml with this text.

    :raises Failure: ``bundle-invalid``: a setting is unknown, or its value is of the wrong kind.
    """

    def at(key: str) -> str:
        return at_line("pyproject.toml", key_line(text, "tool.modelops", key))

    for key in modelops:
        if key not in _KEYS:
            import difflib

            close = difflib.get_close_matches(key, _KEYS, n=1)
            raise invalid(
                f"{at(key)}: [tool.modelops] has no setting {key!r}",
                f"It takes {', '.join(_KEYS)}.",
                _renamed(text, key, close[0]) if close else Hint(title=f"remove {key!r}"),
            )
    found: dict[str, Any] = {}
    for key, setting in _SETTINGS.items():
        if key not in modelops:
            continue
        if (value := setting.read(modelops[key])) is None:
            edit = PyprojectText.of(text).setting("tool.modelops", key, setting.example)
            raise invalid(
                f"{at(key)}: [tool.modelops] {key} is {modelops[key]!r}, not {setting.wanted}",
                "",
                Hint(title=f"make {key} {setting.wanted}", edit=edit),
            )
        found[key.replace("-", "_")] = value
    for pattern in found.pop("exclude", ()):
        if (problem := problem_with(pattern)) is not None:
            raise invalid(
                f"{at('exclude')}: [tool.modelops] exclude: {pattern!r} {problem}",
                "",
                Hint(title='write patterns as in a .gitignore: exclude = ["*.log", "out/"]'),
            )
    return Defaults(**found)


def _renamed(text: str, key: str, meant: str) -> Hint:
    lines = [line.strip() for line in text.split("\n") if re.match(rf"\s*{re.escape(key)}\b", line)]
    edit = None
    if len(lines) == 1:
        edit = Edit(file="pyproject.toml", before=lines[0], after=lines[0].replace(key, meant, 1))
    return Hint(title=f"did you mean {meant!r}?", edit=edit)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return None
    return seconds if seconds > 0 and math.isfinite(seconds) else None


def _is_function(spec: object) -> bool:
    if not isinstance(spec, str):
        return False
    where, _, attributes = spec.partition(":")
    return bool(where and attributes)


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | bool)


def _is_variable(name: object) -> bool:
    # What environ(7) can hold.
    return isinstance(name, str) and bool(name) and "=" not in name and "\0" not in name


def read_size(value: object) -> int | None:
    """Bytes, from a number or ``2GiB``, ``500M`` (powers of 1000 without the i).

    :returns: ``None`` where it is not a size.
    """
    size = value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        number, prefix, binary = match.groups()
        base = 1024 if binary else 1000
        size = int(float(number) * base ** " KMGT".index(prefix.upper() or " "))
    if isinstance(size, bool) or not isinstance(size, int):
        return None
    return size if 0 < size <= _MAX else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _list(value: object) -> list[object] | None:
    return value if isinstance(value, list) else None


def _variables(value: object) -> tuple[str, ...] | None:
    names = _list(value)
    return None if names is None or not all(map(_is_variable, names)) else tuple(map(str, names))


def _whole(least: int, most: int) -> Callable[[object], int | None]:
    def read(value: object) -> int | None:
        return value if type(value) is int and least <= value <= most else None

    return read


_SETTINGS = {
    "entrypoint": _Setting(_string, "a string", "baseline"),
    "timeout": _Setting(_seconds, "a positive number of seconds", 3600),
    "memory-limit": _Setting(read_size, 'a size such as "2GiB"', "2GiB"),
    "env": _Setting(_variables, "a list of variables' names and patterns", ["LICENCE_SERVER"]),
    "threads": _Setting(_whole(1, _MOST_THREADS), "a positive number of threads", 4),
    "exclude": _Setting(_list, 'a list of patterns such as ["*.log", "out/"]', ["*.log"]),
    "warmup": _Setting(
        lambda value: value if _is_function(value) else None,
        'a function such as "model:compile" or "path/to/model.py:compile"',
        "model:compile",
    ),
    "seed": _Setting(_whole(0, MAX_SEED), "an integer in 0 .. 2**64-1", 1),
    "params": _Setting(
        lambda value: value if isinstance(value, dict) and _is_json(value) else None,
        "a table of what JSON can say: no dates, no times, no nan or inf",
        {"beta": 0.3},
    ),
}
_KEYS = (
    *("wire", "functions", "entrypoint", "params", "seed", "warmup", "timeout", "memory-limit"),
    *("env", "threads", "exclude"),
)
"""In the order of the documentation."""
