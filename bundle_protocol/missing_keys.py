"""The keys that there are where one is missing: of the task's parameters, a dict, a table.

What was asked is known by what it can do, not by its class: no library is imported for it.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from types import FrameType

from bundle_protocol.failing_line import LITERAL, NAME, FailingLine, is_compiled, line_made
from bundle_protocol.misread_files import content_of, named_in_module

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from typing import Any

_SUBSCRIPTED = re.compile(NAME + r"\s*(?:\[|\.(?:pop|column)\()")
# What comes before another one: rows[0]["name"], c[country]["NO"].
_BEFORE_ANOTHER = re.compile(rf"\[\s*(?:{LITERAL}|([^\[\]\n]{{1,200}}?))\s*\](?=\s*\[)")
# As YAML 1.1 has them, which PyYAML reads.
_BOOLEANS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
# As pandas, xarray and h5py name a key within a sentence.
_QUOTED = re.compile(r"(?:\[|, |named |object |component |attribute: )'([^'\n]{1,200})'")
_BEGINS = re.compile(r"'([^'\n]{1,200})' is not ")
_MOST_WORDS = 4
"""A key has no more of them; a longer text is a sentence."""
# As NumPy, polars and pandas.DataFrame.query do, where the error is no KeyError or has a sentence.
_AROUND = re.compile(
    r"no field of name (?P<numpy>.{1,200})|(?P<npz>\S{1,200}) is not a file in the archive"
    r'|(?P<netcdf>\S{1,200}) not found in /\S*|Field "(?P<arrow>[^"\n]{1,200})" does not exist.*'
    r"|Error evaluating factor: NameError: name '(?P<patsy>[^'\n]{1,200})' is not defined[\s\S]*"
    r'|"(?P<polars>[^"\n]{1,200})" not found|name \'(?P<pandas>[^\'\n]{1,200})\' is not defined'
)
# As pandas.read_csv() says that a column which is named to it is not in the file.
_OF_HEADER = re.compile(
    r"'(?P<list>[^'\n]{1,200})' is not in list$|Index (?P<index>.{1,200}) invalid$"
    r"|Missing column provided to 'parse_dates': '(?P<dates>[^'\n]{1,200})'"
    r"|Usecols do not match columns.{0,60}: \['(?P<columns>[^'\n]{1,200})'"
)
_ASKED = re.compile(rf"\[\s*(?:{LITERAL})\s*\]")
_MAX_KEYS = 30
_MAX_NUMBERS = 10
_MAX_READ = 2000
_MAX_KEY = 60


def other_keys(at: FailingLine) -> dict[str, object]:
    """Tell what does not have a key, as far as the frames of the traceback say.

    :returns: ``mapping``, as the line calls it, else its class; ``keys``, one on each line, those
        that are texts or integers, the nearest first where they are too many; ``more``, how many
        were left out, where some were, or all, as dates are; ``key``, the one that is missing;
        ``of_task``, 1 where it is the task's parameters; ``boolean``, 1 where YAML takes it for one
        that is; ``within``, the one key whose own keys have it; of a table ``labels``: ``column``,
        ``row`` or ``label``; ``in_index``, 1 where a column's name is its index's.
    """
    error = at.error
    if len(error.args) != 1:
        return {}
    if isinstance(error, ValueError) and (named := _OF_HEADER.match(at.message)):
        return _header(at, named[named.lastgroup or 0])
    if not _is_of_a_key(error):
        return {}
    inner = [frame for frame in at.inner if not is_compiled(frame)]
    names = list(at.named() if inner else _subscripted(at))
    asked = [_argument(frame, 0) for frame in inner]
    candidates = asked if inner else [value for _, value in names]
    if (table := _asked_as_attribute(at)) is not None:
        names, candidates = [table], [table[1]]
    for value in candidates:
        name = next((name for name, other in names if other is value), None)
        quoted = _missing(error) if table is None else [error.name]  # type: ignore[attr-defined]
        if _is_of(value, "h5py"):
            paths = _hdf5_keys(at, value, name, _MAX_READ)
            labels: tuple[str, list[object]] | None = ("", list(paths)) if paths else None
            quoted = [*_asked_in_line(at, paths), *quoted]
        else:
            labels = _labels(value, asked)
        if labels is None:
            continue
        kind, keys = labels
        missing = [key for key in quoted if key not in keys]
        if not missing:
            continue
        return {
            "key": missing[0],
            "mapping": name or f"the {type(value).__name__}",
            **(at.made(name) if name else {}),
            **_shown(missing[0], keys),
            **_within(missing[0], value, keys),
            "of_task": int(value is _parameters(at.outermost)),
            **({"labels": kind} if kind else {}),
            **({"in_index": 1} if kind == "column" and _names_index(value, missing[0]) else {}),
            **({"boolean": 1} if _as_boolean(missing[0], keys) else {}),
        }
    return {}


def _header(at: FailingLine, key: str) -> dict[str, object]:
    """The names that a table of text begins with, where pandas has not found one of them."""
    for frame in at.inner:
        told = frame.f_locals
        path, separator = told.get("filepath_or_buffer"), told.get("sep")
        plain = told.get("header") in ("infer", 0) and told.get("skiprows") is None
        if frame.f_code.co_name != "read_csv" or not plain:
            continue
        if not isinstance(path, (str, os.PathLike)):
            break
        with open(path, encoding="utf-8", errors="replace") as file:
            first = file.readline(_MAX_READ).rstrip("\n")
        parted = first.split(separator if isinstance(separator, str) else ",")
        return {
            "key": key,
            "mapping": os.fspath(path),
            **_shown(key, [name.strip('"') for name in parted]),
            "labels": "column",
            **line_made(at.number, at.text),
        }
    return {}


def _is_of_a_key(error: BaseException) -> bool:
    """Tell whether an error is about a key: a dict whose keys are attributes says no more."""
    key = str(error.args[0])[:300]
    if isinstance(error, AttributeError):
        return key.isidentifier() or " object has no attribute " in key
    is_key = isinstance(error, KeyError) or type(error).__name__ == "NoSectionError"
    return is_key or _AROUND.fullmatch(key) is not None


def _subscripted(at: FailingLine) -> Iterator[tuple[str, object]]:
    """The last things that a line asks for keys: ``rows[0]`` of ``rows[0]["name"]``, so called."""
    for found in _SUBSCRIPTED.finditer(at.text):
        name, end = found[1], found.end(1)
        value = at.value_of(name)
        while before := _BEFORE_ANOTHER.match(at.text, end):
            number, single, double, variable = before.groups()
            key = int(number) if number else single or double or at.value_of(variable)
            if isinstance(value, dict) and type(key) in (str, int):
                if not dict.__contains__(value, key):
                    break
                value = dict.__getitem__(value, key)
            elif isinstance(value, (list, tuple)) and type(key) is int and key < len(value):
                value = value[key]
            elif key in _missing(at.error):
                break
            else:
                value = None
            name, end = name + before[0], before.end()
        yield name, value


def _argument(frame: FrameType, at: int) -> object:
    code = frame.f_code
    return frame.f_locals.get(code.co_varnames[at]) if code.co_argcount > at else None


def _parameters(outermost: FrameType) -> object:
    """The task's parameters, where the outermost frame is of a wire function.

    Of what another one has caught, or a thread or a process of simpy's has raised, it is not.
    """
    is_wire = outermost.f_code.co_argcount > 2 and isinstance(_argument(outermost, 0), str)
    return _argument(outermost, 1) if is_wire else None


def _labels(value: object, asked: list[object]) -> tuple[str, list[object]] | None:
    """The keys of a mapping or of a table, with the kind of a table's.

    :param asked: what a library's functions were called with, among which a table's index shows
        that its rows were asked for.
    """
    if isinstance(value, dict):
        return "", list(islice(dict.keys(value), _MAX_READ))
    if isinstance(value, (str, bytes, os._Environ, type)):
        return None
    if isinstance(value, Mapping):
        # Of an xarray.Dataset, what can be selected along counts too.
        dims = getattr(value, "dims", ()) if _is_of(value, "xarray") else ()
        return "", [*islice(value, _MAX_READ), *islice(dims, _MAX_READ)]
    held = getattr(value, "variables" if _is_of(value, "netCDF4") else "keys", None)
    if _is_of(value, "netCDF4") or _is_of(value, "zarr"):
        return "", list(islice(held() if callable(held) else held or (), _MAX_READ))
    if _is_of(value, "pyarrow"):
        return "column", list(islice(getattr(value, "column_names", ()), _MAX_READ))
    columns, index = getattr(value, "columns", None), getattr(value, "index", None)
    if columns is None and hasattr(index, "get_loc"):  # pandas
        return "label", _read(index)
    if columns is not None:
        rows = any(one is index for one in asked)
        return ("row", _read(index)) if rows else ("column", _read(columns))
    names = getattr(getattr(value, "dtype", None), "names", None)
    return ("column", list(names)) if isinstance(names, tuple) else None


def _is_of(value: object, package: str) -> bool:
    return type(value).__module__.partition(".")[0] == package


def _asked_as_attribute(at: FailingLine) -> tuple[str, object] | None:
    """The table that a column is asked of as an attribute. What the line calls is a method."""
    table = getattr(at.error, "obj", None)  # From 3.10 on, of an AttributeError.
    if not hasattr(table, "columns") and not _is_of(table, "xarray"):
        return None
    name = re.escape(str(getattr(at.error, "name", None)))
    asked = re.search(rf"(?:{NAME}|\))\.{name}\b(?!\()", at.text)
    return (asked[1] or f"the {type(table).__name__}", table) if asked else None


def _names_index(table: object, key: object) -> bool:
    return key in _read(getattr(getattr(table, "index", None), "names", None))


def _read(labels: object) -> list[object]:
    return list(islice(labels, _MAX_READ)) if hasattr(labels, "__iter__") else []


def _within(key: object, value: object, keys: list[object]) -> dict[str, object]:
    """The one key that leads to a mapping in which the missing one is: a section, a group.

    Only dicts are looked into, and what ArviZ has in memory: others may read a file for a key.
    """
    if type(key) is not str or not (isinstance(value, dict) or _is_of(value, "arviz")):
        return {}
    inner = [(one, value[one]) for one in keys if type(one) is str]  # type: ignore[index]
    holders = [one for one, held in inner if isinstance(held, Mapping) and key in held]
    return {"within": holders[0]} if len(holders) == 1 else {}


def _as_boolean(key: object, keys: list[object]) -> bool:
    boolean = _BOOLEANS.get(str(key).lower())
    return any(one is boolean for one in keys if type(one) is bool)


def _missing(error: BaseException) -> list[object]:
    """The key that may be missing: all of the message, or what it quotes."""
    key = error.args[0]
    if type(key) is not str:
        return [key] if type(key) is int else []
    around = _AROUND.fullmatch(key)
    if around:
        return [around[around.lastgroup or 0]]
    if first := _BEGINS.match(key):
        return [first[1]]
    quoted: list[object] = list(_QUOTED.findall(key))
    return [*quoted, key] if len(key.split()) <= _MOST_WORDS else quoted


def _shown(key: object, keys: Sequence[object]) -> dict[str, object]:
    there = [str(one) for one in keys if type(one) in (str, int)]
    if not there and keys:
        return {"keys": "", "more": len(keys)}
    left_out = len(there) - _MAX_KEYS
    numbers = [one for one in keys if type(one) is int]
    if left_out > 0 and type(key) is int and numbers:
        there = [str(one) for one in sorted(numbers, key=lambda one: abs(one - key))[:_MAX_NUMBERS]]
        left_out = len(numbers) - len(there)
    elif left_out > 0:
        near = difflib.get_close_matches(str(key), there, n=3)
        there = [*near, *(one for one in there if one not in near)][:_MAX_KEYS]
    shown = "\n".join(one[:_MAX_KEY].replace("\n", " ") for one in there)
    return {"keys": shown, **({"more": left_out} if left_out > 0 else {})}


def _hdf5_keys(at: FailingLine, value: Any, name: str | None, limit: int) -> list[str]:
    """The paths of what a group or a file of h5py's has, from it on; none where none can be told.

    The ``with`` that opened it has closed it by the time its exception is told: it is opened anew.

    :param name: as the line calls it.
    """
    if not hasattr(value, "visit"):  # attributes
        return list(value)
    if value:
        return _visited(value, limit)
    root, made = "", str(at.made(name).get("made_text")) if name else ""
    if type(value).__name__ != "File":
        asked = _ASKED.findall(made)
        if len(asked) != 1:
            return []
        root = next(filter(None, asked[0]))
    files = [path for path in dict.fromkeys(_paths(at)) if content_of(path) == "hdf5"]
    if len(files) != 1:
        return []
    with sys.modules["h5py"].File(files[0], "r") as file:
        return _visited(file[root] if root else file, limit)


def _asked_in_line(at: FailingLine, keys: list[str]) -> list[str]:
    """The texts in brackets that are none of the keys: h5py names the last part of a path alone."""
    asked = (single or double for _, single, double in _ASKED.findall(at.text))
    return [one for one in asked if one and one.strip("/") not in keys]


def _visited(group: Any, limit: int) -> list[str]:
    found: list[str] = []

    def visit(path: str) -> bool | None:
        found.append(path)
        return len(found) >= limit or None

    group.visit(visit)
    return found


def _paths(at: FailingLine) -> list[str]:
    """The texts and paths that the failing function, or its module, has in hand."""
    held = at.frame.f_locals.values()
    given = [os.fspath(one) for one in held if isinstance(one, (str, os.PathLike))]
    return [one for one in chain(given, named_in_module(at)) if isinstance(one, str)]
