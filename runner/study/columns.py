"""The columns of a study's table: what they are called, and what stands in them; sans-IO."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from msgspec import Struct

from runner.study.lines import TaskLine
from runner.task import MAX_DIGITS

Scalar: TypeAlias = str | int | float | bool | None

_OF_TASK = ("index", "id", "entrypoint", "seed", "function", "ok", "error")
# A number that begins with a zero too many is a code: 007.
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NAMED = {
    **dict.fromkeys(("True", "TRUE", "true"), True),
    **dict.fromkeys(("False", "FALSE", "false"), False),
    **dict.fromkeys(("nan", "NaN", "-nan"), math.nan),
    **dict.fromkeys(("inf", "Infinity"), math.inf),
    **dict.fromkeys(("-inf", "-Infinity"), -math.inf),
}
"""The values that pandas and NumPy write, and read again, by a name."""


class Column(Struct, frozen=True):
    """Where the values of a column come from.

    :param source: ``""`` for the task's own facts, ``"params"``, or the name of an output.
    :param key: within it; keys of nested objects have dots between them.
    """

    source: str
    key: str


def flat(
    value: Mapping[str, Any], prefix: str = "", *, lists: bool = True
) -> Iterator[tuple[str, Scalar]]:
    """The scalars in an object, with the keys of nested ones joined by dots.

    :param lists: as JSON; else they are left out, with all that is in them.
    """
    for key, item in value.items():
        if isinstance(item, dict):
            yield from flat(item, f"{prefix}{key}.", lists=lists)
        elif not isinstance(item, list):
            yield f"{prefix}{key}", item
        elif lists:
            yield f"{prefix}{key}", json.dumps(item, ensure_ascii=False)


def scalars(value: object) -> Iterator[tuple[str, Scalar]]:
    """The scalars of a JSON document, without lists."""
    if isinstance(value, dict):
        yield from flat(value, lists=False)
    elif not isinstance(value, list):
        yield "", value  # type: ignore[misc]


def of_task(line: TaskLine) -> dict[Column, Scalar]:
    """The columns of a task's line that are about the task."""
    own: dict[str, Scalar] = {
        "index": line.index,
        "id": line.id,
        "entrypoint": line.entrypoint,
        "seed": line.seed,
        "function": line.function,
        "ok": line.ok,
        "error": None if line.report is None else line.report.code.value,
    }
    values = {Column("", name): value for name, value in own.items()}
    values.update(columns_of("params", flat(line.params or {})))
    return values


def columns_of(source: str, pairs: Iterable[tuple[str, Scalar]]) -> dict[Column, Scalar]:
    """Values by their columns; of two that have one key, the later is numbered."""
    values: dict[Column, Scalar] = {}
    for key, value in pairs:
        column, number = Column(source, key), 2
        while column in values:  # {"a.b": 1, "a": {"b": 2}}
            column, number = Column(source, f"{key}_{number}"), number + 1
        values[column] = value
    return values


def text_of(value: Scalar) -> str:
    """A value as the text of a file: booleans as JSON has them, and all of it UTF-8."""
    if isinstance(value, bool):
        return json.dumps(value)
    return str(value).encode("utf-8", "backslashreplace").decode()


def is_code(text: str) -> bool:
    """Tell whether the field of a CSV file begins with a zero too many, as 007 and 09 do."""
    return text[:1] == "0" and text[1:2].isdigit()


def value_of(text: str) -> Scalar:
    """The number or truth value that a field of a CSV file is, as pandas reads it.

    :returns: else its text; nothing where it is empty.
    """
    bare = text.strip()
    if not bare:
        return text or None
    if bare in _NAMED:
        return _NAMED[bare]
    if _INTEGER.fullmatch(bare):
        return int(bare) if len(bare) < MAX_DIGITS else text
    if not _DECIMAL.fullmatch(bare):
        return text
    number = float(bare)
    return number if math.isfinite(number) else text


def named(columns: Iterable[Column]) -> dict[Column, str]:
    """Names for columns, each its own, in the order of the table.

    The shortest that is nobody else's: the key; with its output's stem before it, or ``params.``;
    with the output's whole name. What is the task's own keeps its name, a parameter as far as no
    fact of the task has it.
    """
    given = list(dict.fromkeys(columns))
    tasks_own = [one for one in given if one.source == ""]
    params = [one for one in given if one.source == "params"]
    outputs = [one for one in given if one.source not in ("", "params")]
    # Index, id and entry point before the parameters, the rest after them.
    first = ("index", "id", "entrypoint")
    order = [one for one in tasks_own if one.key in first] + params
    order += [one for one in tasks_own if one.key not in first] + outputs
    names = {one: one.key for one in tasks_own}
    taken = {*_OF_TASK}
    for one in params:
        names[one] = _free([one.key, f"params.{one.key}"], taken)
        taken.add(names[one])
    counts: dict[str, int] = {}
    for one in outputs:
        counts[_key(one)] = counts.get(_key(one), 0) + 1
    for one in outputs:
        key, stem = _key(one), PurePosixPath(one.source).stem
        forms = [key] if counts[key] == 1 else []
        inner = f".{one.key}" if one.key else ""
        names[one] = _free([*forms, f"{stem}{inner}", f"{one.source}{inner}"], taken)
        taken.add(names[one])
    return {one: names[one] for one in order}


def _key(column: Column) -> str:
    return column.key or PurePosixPath(column.source).stem


def _free(forms: list[str], taken: set[str]) -> str:
    for form in forms:
        if form not in taken:
            return form
    number = 2
    while (name := f"{forms[-1]}_{number}") in taken:
        number += 1
    return name
