"""Reads ``[tool.modelops]``: the defaults that a bundle's author knows best."""

import math
import re
from collections.abc import Mapping
from typing import Any, cast

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
_MOST_THREADS = 10_000

# A value of each kind, for the edit of a value that cannot be taken.
_EXAMPLES: dict[str, Any] = {
    "entrypoint": "baseline",
    "params": {"beta": 0.3},
    "seed": 1,
    "warmup": "model:compile",
    "timeout": 3600,
    "memory-limit": "2GiB",
    "env": ["LICENCE_SERVER"],
    "threads": 4,
    "exclude": ["*.log"],
}
_SETTINGS = ("wire", "functions", *_EXAMPLES)


def read_defaults(modelops: Mapping[str, Any], text: str) -> Defaults:
    """Read the table.

    :raises Failure: ``bundle-invalid``: a setting is unknown, or its value is of the wrong kind.
    """

    def at(key: str) -> str:
        return at_line("pyproject.toml", key_line(text, "tool.modelops", key))

    def wrong(key: str, wanted: str) -> Exception:
        return invalid(
            f"{at(key)}: [tool.modelops] {key} is {modelops[key]!r}, not {wanted}",
            "",
            Hint(
                title=f"make {key} {wanted}",
                edit=PyprojectText.of(text).setting("tool.modelops", key, _EXAMPLES[key]),
            ),
        )

    for key in modelops:
        if key not in _SETTINGS:
            import difflib

            close = difflib.get_close_matches(key, _SETTINGS, n=1)
            raise invalid(
                f"{at(key)}: [tool.modelops] has no setting {key!r}",
                f"It takes {', '.join(_SETTINGS)}.",
                _renamed(text, key, close[0]) if close else Hint(title=f"remove {key!r}"),
            )
    entrypoint = modelops.get("entrypoint")
    if entrypoint is not None and not isinstance(entrypoint, str):
        raise wrong("entrypoint", "a string")
    timeout = limit = None
    if "timeout" in modelops and (timeout := _seconds(modelops["timeout"])) is None:
        raise wrong("timeout", "a positive number of seconds")
    if "memory-limit" in modelops and (limit := read_size(modelops["memory-limit"])) is None:
        raise wrong("memory-limit", 'a size such as "2GiB"')
    env = modelops.get("env", [])
    if not isinstance(env, list) or not all(_is_variable(name) for name in env):
        raise wrong("env", "a list of variables' names and patterns")
    threads = modelops.get("threads")
    if threads is not None and (type(threads) is not int or not 0 < threads < _MOST_THREADS):
        raise wrong("threads", "a positive number of threads")
    if not isinstance(exclude := modelops.get("exclude", []), list):
        raise wrong("exclude", 'a list of patterns such as ["*.log", "out/"]')
    for pattern in exclude:
        if (problem := problem_with(pattern)) is not None:
            raise invalid(
                f"{at('exclude')}: [tool.modelops] exclude: {pattern!r} {problem}",
                "",
                Hint(title='write patterns as in a .gitignore: exclude = ["*.log", "out/"]'),
            )
    warmup = modelops.get("warmup")
    if warmup is not None and not _is_function(warmup):
        raise wrong("warmup", 'a function such as "model:compile" or "path/to/model.py:compile"')
    seed = modelops.get("seed", 0)
    if type(seed) is not int or not 0 <= seed <= MAX_SEED:
        raise wrong("seed", "an integer in 0 .. 2**64-1")
    params = modelops.get("params", {})
    if not isinstance(params, dict) or not _is_json(params):
        raise wrong("params", "a table of what JSON can say: no dates, no times, no nan or inf")
    return Defaults(
        entrypoint,
        timeout,
        limit,
        tuple(cast("list[str]", env)),
        threads,
        warmup,
        seed,
        params,
    )


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
