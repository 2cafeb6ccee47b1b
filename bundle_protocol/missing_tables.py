"""The tables that an SQLite database has where one is missing, and the database's file."""

from __future__ import annotations

import os
import re
from itertools import islice

from bundle_protocol.failing_line import FailingLine
from bundle_protocol.near_names import nearest

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_NO_TABLE = re.compile(r"no such table: (?:\w+\.)?(\w{1,100})")
_MOST_LOCALS = 50
_MOST_TABLES = 1000


def missing_table(at: FailingLine) -> dict[str, object]:
    """Tell what there is in place of a table that a database does not have.

    :returns: ``missing_name`` and ``near``, where a table is called nearly so; where there is no
        table at all, ``misread``, the database's file, as bundle_protocol.misread_files has it, and
        with ``made_line`` and ``made_text`` where the variable of the connection was made.
    """
    found = _NO_TABLE.search(at.message)
    if found is None:
        return {}
    for connection, made in _connections(at):
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


def _connections(at: FailingLine) -> Iterator[tuple[sqlite3.Connection, dict[str, object]]]:
    """The connections that the line, or a library below it, has in hand."""
    for name, value in at.named():
        if (connection := _connection(value)) is not None:
            yield connection, at.made(name)
    for frame in at.inner:
        for value in islice(frame.f_locals.values(), _MOST_LOCALS):
            if (connection := _connection(value)) is not None:
                yield connection, {}


def _connection(value: object) -> sqlite3.Connection | None:
    kind = type(value)
    if kind.__module__ != "sqlite3":
        return None
    if kind.__name__ == "Cursor":
        value = value.connection  # type: ignore[attr-defined]
    return value if kind.__name__ in ("Cursor", "Connection") else None  # type: ignore[return-value]
