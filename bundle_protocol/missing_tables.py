"""The tables that an SQLite database has where one is missing, and the database's file."""

from __future__ import annotations

import linecache
import os
import re
from itertools import islice

from bundle_protocol.missing_keys import NAMED, asking_frames, made_at, value_of
from bundle_protocol.near_names import nearest

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from types import TracebackType

_NO_TABLE = re.compile(r"no such table: (?:\w+\.)?(\w{1,100})")
_MOST_LOCALS = 50
_MOST_TABLES = 1000


def missing_table(error: BaseException) -> dict[str, object]:
    """Tell what there is in place of a table that a database does not have.

    :returns: ``missing_name`` and ``near``, where a table is called nearly so; where there is no
        table at all, ``misread``, the database's file, as bundle_protocol.misread_files has it, and
        with ``made_line`` and ``made_text`` where the variable of the connection was made.
    """
    found = _NO_TABLE.search(str(error.args[0])[:2000] if error.args else "")
    if error.__traceback__ is None or found is None:
        return {}
    for connection, made in _connections(error.__traceback__):
        file = next(row[2] for row in connection.execute("PRAGMA database_list"))
        tables = [
            str(row[0])
            for row in islice(
                connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table','view')"),
                _MOST_TABLES,
            )
        ]
        near = nearest(found[1], tables)
        if near:
            return {"missing_name": found[1], "near": near[0]}
        if file and not tables:
            suffix = os.path.splitext(file)[1] or ".db"
            beside = os.path.relpath(file)
            file = file if beside.startswith(os.pardir) else beside
            return {"misread": file, "misread_is": "empty", "misread_as": suffix, **made}
    return {}


def _connections(
    traceback: TracebackType,
) -> Iterator[tuple[sqlite3.Connection, dict[str, object]]]:
    """The connections that the line, or a library below it, has in hand."""
    frames, inner = asking_frames(traceback)
    frame, line = frames[-1].tb_frame, frames[-1].tb_lineno
    text = linecache.getline(frame.f_code.co_filename, line, frame.f_globals)
    for found in NAMED.finditer(text):
        for name in (found[1], found[1].rpartition(".")[0]):
            connection = _connection(value_of(frame, name)) if name else None
            if connection is not None:
                yield connection, made_at(frame, line, name)
    for entry in inner:
        for value in islice(entry.tb_frame.f_locals.values(), _MOST_LOCALS):
            connection = _connection(value)
            if connection is not None:
                yield connection, {}


def _connection(value: object) -> sqlite3.Connection | None:
    kind = type(value)
    if kind.__module__ != "sqlite3":
        return None
    if kind.__name__ == "Cursor":
        value = value.connection  # type: ignore[attr-defined]
    return value if kind.__name__ in ("Cursor", "Connection") else None  # type: ignore[return-value]
