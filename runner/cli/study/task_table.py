"""The table of ``--tasks FILE.csv``: a task a row, a parameter a column (RFC 4180)."""

import csv
import json
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from typing import Any

from runner.cli.command_line.param_words import ALLOWED, meant_value
from runner.cli.command_line.params import parse_value, read_seed
from runner.diagnosis.case import Failure
from runner.diagnosis.report.model import Hint
from runner.study.plan import GivenTask
from runner.task import Task, check_task, params_invalid

_BOOLEANS = {"True": True, "TRUE": True, "False": False, "FALSE": False}
_OWN = "seed", "entrypoint"
_HINT = Hint(
    "the first row names a parameter in each column, or seed, entrypoint, id; the others hold"
    " a task each: values as JSON, or plain words; an empty one leaves the parameter out"
)


def read_table(source: str, data: bytes, default_seed: int = 0) -> list[GivenTask]:
    """Read a table of tasks.

    A value is JSON where it parses as JSON, else a string; ``True`` and ``FALSE``, as pandas and
    spreadsheets write them, are booleans. An empty one leaves the parameter out.

    :param source: the file's name.
    :raises Failure: ``params-invalid``, with the line and the column's name.
    """
    rows = csv.reader(TextIOWrapper(BytesIO(data), "utf-8-sig", newline=""), strict=True)
    try:
        return _read(source, rows, default_seed)
    except UnicodeDecodeError as error:
        raise _wrong(f"{source} is not UTF-8 (after line {rows.line_num})") from error
    except csv.Error as error:
        raise _wrong(f"{source}:{rows.line_num}: {error}") from error


def _read(source: str, rows: Any, default_seed: int) -> list[GivenTask]:
    names = next((row for row in rows if row), None)
    if names is None:
        return []
    names = [name.strip() for name in names]
    _check_names(source, names, rows.line_num)
    tasks = []
    for row in rows:
        if not any(map(str.strip, row)):
            continue
        place = f"{source}:{rows.line_num}"
        if len(row) != len(names):
            raise _wrong(f"{place} has {len(row)} values; the first row names {len(names)} columns")
        try:
            values = dict(zip(names, map(str.strip, row), strict=True))
            tasks.append(_task(values, default_seed))
        except Failure as failure:
            found = failure.finding
            raise params_invalid(f"{place}: {found.summary}", found.hints[0]) from None
    return tasks


def _check_names(source: str, names: list[str], number: int) -> None:
    place = f"{source}:{number}"
    for separator, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            raise _wrong(f"{place} has {called}; the columns of a .csv are separated by commas")
    if all(map(_is_number, names)):
        raise _wrong(f"{place} has numbers, and no names of columns")
    for name in names:
        if not name or name.startswith("Unnamed: "):
            index = "; pandas writes one for the index: to_csv(..., index=False)"
            more = index if name is names[0] else ""
            raise _wrong(f"{place}: column {names.index(name) + 1} has no name{more}")
        if name not in _OWN and name.lower() in _OWN:
            raise _wrong(f"{place}: a column {name} is a parameter; write {name.lower()}")
        if names.count(name) > 1:
            raise _wrong(f"{place}: two columns are called {name}")


def _is_number(text: str) -> bool:
    with suppress(ValueError):
        return isinstance(json.loads(text), int | float)
    return False


def _task(row: dict[str, str], default_seed: int) -> GivenTask:
    entrypoint = row.pop("entrypoint", "") or None
    seed = row.pop("seed", "")
    name = row.pop("id", "") or None
    params = {}
    for column, text in row.items():
        if text in _BOOLEANS:
            params[column] = _BOOLEANS[text]
        elif text:
            params[column] = _value(column, text)
    try:
        number = read_seed(seed, "column seed:") if seed else default_seed
    except Failure as failure:  # its hint is for the command line
        raise _wrong(failure.finding.summary) from None
    return GivenTask(check_task(Task(entrypoint, params, number)), name)


def _value(column: str, text: str) -> Any:
    try:
        return parse_value(column, text)
    except Failure:
        value = _field(meant) if (meant := meant_value(text)) else ALLOWED
        string = _field(json.dumps(text, ensure_ascii=False))
        raise params_invalid(
            f"column {column}: {text} is not JSON, and looks like a value that is not a string",
            Hint(f"write {value} for the value, {string} for the string"),
        ) from None


def _field(text: str) -> str:
    """A text as it stands in a table."""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if quoted != text or "," in text else text


def _wrong(summary: str) -> Failure:
    return params_invalid(summary, _HINT)
