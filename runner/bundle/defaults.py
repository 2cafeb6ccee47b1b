"""Reads ``[tool.modelops]``: the defaults that a bundle's author knows best."""

import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from runner.bundle.exclude import problem_with
from runner.bundle.failures import invalid
from runner.bundle.model import Defaults
from runner.bundle.pyproject import PYPROJECT, Pyproject
from runner.defaults import MAX_SEED
from runner.diagnosis.report.model import Edit, Hint

_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
# What setrlimit(2) and cgroups take.
_MAX = 2**63 - 1


class _Setting(NamedTuple):
    read: Callable[[Any], Any]
    """Gives ``None`` for a value that cannot be taken."""
    wanted: str
    example: Any
    """For the edit of a value that cannot be taken."""


def read_defaults(pyproject: Pyproject) -> Defaults:
    """Read the table ``[tool.modelops]``.

    :raises Failure: ``bundle-invalid``: a setting is unknown, or its value is of the wrong kind.
    """
    modelops, at = pyproject.table("tool.modelops"), partial(pyproject.at, "tool.modelops")
    for key in modelops:
        if key not in _KEYS:
            import difflib

            close = difflib.get_close_matches(key, _KEYS, n=1)
            raise invalid(
                f"{at(key)}: [tool.modelops] has no setting {key!r}",
                f"It takes {', '.join(_KEYS)}.",
                _renamed(pyproject.text, key, close[0]) if close else Hint(f"remove {key!r}"),
            )
    found: dict[str, Any] = {}
    for key, setting in _SETTINGS.items():
        if key not in modelops:
            continue
        if (value := setting.read(modelops[key])) is None:
            edit = pyproject.edits.setting("tool.modelops", key, setting.example)
            raise invalid(
                f"{at(key)}: [tool.modelops] {key} is {modelops[key]!r}, not {setting.wanted}",
                "",
                Hint(f"make {key} {setting.wanted}", edit=edit),
            )
        found[key.replace("-", "_")] = value
    for pattern in found.pop("exclude", ()):
        if (problem := problem_with(pattern)) is not None:
            raise invalid(
                f"{at('exclude')}: [tool.modelops] exclude: {pattern!r} {problem}",
                "",
                Hint('write patterns as in a .gitignore: exclude = ["*.log", "out/"]'),
            )
    return Defaults(**found)


def _renamed(text: str, key: str, meant: str) -> Hint:
    lines = [line.strip() for line in text.split("\n") if re.match(rf"\s*{re.escape(key)}\b", line)]
    edit = None
    if len(lines) == 1:
        edit = Edit(file=PYPROJECT, before=lines[0], after=lines[0].replace(key, meant, 1))
    return Hint(f"did you mean {meant!r}?", edit=edit)


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


def _as(kind: Any) -> Callable[[object], Any]:
    """Return what reads a value of a type, as msgspec has it."""

    def read(value: object) -> Any:
        with suppress(msgspec.ValidationError):
            return msgspec.convert(value, kind)
        return None

    return read


def _table(value: object) -> object | None:
    if isinstance(value, dict):
        with suppress(TypeError, ValueError, RecursionError):  # a date; nan; nested thousands deep
            json.dumps(value, allow_nan=False)
            return value
    return None


def _seed(value: object) -> int | None:
    # Beyond what msgspec bounds.
    return value if type(value) is int and 0 <= value <= MAX_SEED else None


# What environ(7) can hold.
_Variable = Annotated[str, Meta(pattern=r"\A[^=\x00]+\Z")]
_Function = Annotated[str, Meta(pattern=r"\A[^:]+:(?s:.)")]
_Seconds = Annotated[float, Meta(gt=0, le=sys.float_info.max)]
_Threads = Annotated[int, Meta(ge=1, le=9_999)]

_SETTINGS = {
    "entrypoint": _Setting(_as(str), "a string", "baseline"),
    "params": _Setting(
        _table, "a table of what JSON can say: no dates, no times, no nan or inf", {"beta": 0.3}
    ),
    "seed": _Setting(_seed, "an integer in 0 .. 2**64-1", 1),
    "warmup": _Setting(
        _as(_Function),
        'a function such as "model:compile" or "path/to/model.py:compile"',
        "model:compile",
    ),
    "timeout": _Setting(_as(_Seconds), "a positive number of seconds", 3600),
    "memory-limit": _Setting(read_size, 'a size such as "2GiB"', "2GiB"),
    "env": _Setting(
        _as(tuple[_Variable, ...]), "a list of variables' names and patterns", ["LICENCE_SERVER"]
    ),
    "threads": _Setting(_as(_Threads), "a positive number of threads", 4),
    "exclude": _Setting(_as(list[Any]), 'a list of patterns such as ["*.log", "out/"]', ["*.log"]),
}
"""In the order of the documentation."""
_KEYS = ("wire", "functions", *_SETTINGS)
"""With those that :mod:`runner.bundle.wire_source` reads."""
