"""One table of a study's results: a row a task, or the rows of a tabular output."""

import csv
import json
import warnings
from collections.abc import Iterator
from functools import cached_property, partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from runner.study.columns import (
    Column,
    Scalar,
    columns_of,
    is_code,
    named,
    of_task,
    scalars,
    value_of,
)
from runner.study.lines import FILE, TaskLine, last_places, lines_at
from runner.study.output_files import OutputError, OutputFile, file_name, is_as_made
from runner.study.outputs.kept_files import kept_file
from runner.study.run_file import unfinished
from runner.study.shards import parts

if TYPE_CHECKING:
    import pyarrow

_TABULAR = (".csv", ".parquet", ".arrow", ".feather", ".ipc")
_SHOWN_TASKS = 10
_LARGEST_JSON = 64 << 20


class TableError(ValueError):
    """A study's results make no table; the message says why."""


class Table:
    """A table that is read anew each time it is gone through, a task at a time.

    :param rows: the output, or the file that tasks have left, whose rows it has; ``None``: it has
        one for each task.
    :raises TableError: there are no results, or no such output, or nothing here reads it.
    :raises OSError: something cannot be read.
    """

    def __init__(self, folder: Path, rows: str | None = None) -> None:
        self._folder = folder
        self._rows = rows
        if not parts(folder, FILE):
            raise TableError(f"{folder} has no {FILE}: it is not what exec had as --output")
        self._places = last_places(folder)
        if not self._places:
            raise TableError(f"{folder / FILE} has no result yet")
        self.tabular: set[str] = set()
        """The outputs that are tables themselves, and the files that tasks have left."""
        found: dict[Column, None] = {}
        # What nothing says is not a column.
        empty: dict[Column, None] = {}
        # A task that failed has no rows of its own.
        self._left_out = () if rows is None else ("ok", "error")
        self._states: dict[str | None, list[int]] = {}
        """The tasks that each state of the bundle has run, by its digest."""
        self._changed: list[int] = []
        """The tasks with other files than they have made."""
        last, latest = -1, None
        for line in self._lines():
            self._states.setdefault(line.bundle, []).append(line.index)
            if line.run > last:
                last, latest = line.run, line.bundle
            self.tabular.update(filter(_is_tabular, _names(line)))
            for column, value in of_task(line).items():
                if column.source == "" and column.key in self._left_out:
                    continue
                optional = column.source == "" and column.key in ("id", "function", "error")
                (empty if optional and value is None else found)[column] = None
            for column in self._inner_columns(line):
                found[column] = None
            if not all(is_as_made(self._path(line, name), made) for name, made in self._read(line)):
                self._changed.append(line.index)
        if rows is not None and rows not in self.tabular:
            names = ", ".join(sorted(self.tabular)) or "none"
            raise TableError(
                f"no task has an output or a file {rows!r} that is a table; there are: {names}"
            )
        self._names = named(found)
        self._states.pop(latest)

    @property
    def notes(self) -> list[str]:
        """Return what a reader of the table should know."""
        before = sorted(index for each in self._states.values() for index in each)
        all_tasks, left, notes = f"these {len(self._places)} tasks", unfinished(self._folder), []
        if left:
            notes.append(
                f"the study has not come to its end ({left}): its other tasks have no row. The same"
                f" command goes on with them{', once for each --shard' * ('shard' in left)}"
            )
        if before:
            notes.append(
                f"the bundle was edited since it ran {len(before)} of {all_tasks}"
                f" ({_listed(before)}): exec runs those again that it is asked for"
            )
        if self._changed:
            notes.append(
                f"files that {len(self._changed)} of {all_tasks} ({_listed(self._changed)}) have"
                " made were changed since: their rows have what is there now. exec makes them again"
            )
        return notes

    @property
    def columns(self) -> list[str]:
        return list(self._names.values())

    def __iter__(self) -> Iterator[dict[str, Scalar]]:
        """Each row, with a value for each column; ``None`` where there is none."""
        names = self._names
        blank: dict[str, Scalar] = dict.fromkeys(names.values())
        for line in self._lines():
            own = {
                names[column]: value for column, value in of_task(line).items() if column in names
            }
            for values in self._inner_rows(line):
                row = {names[column]: value for column, value in values.items()}
                yield {**blank, **own, **row}

    def _lines(self) -> Iterator[TaskLine]:
        return lines_at(self._folder, self._places)

    def _read(self, line: TaskLine) -> Iterator[tuple[str, OutputFile]]:
        """The files of a task that its rows are made of."""
        for name, made in (line.files | line.outputs).items():
            if name == self._rows or (self._rows is None and _is_json(name, made)):
                yield name, made

    def _inner_columns(self, line: TaskLine) -> Iterator[Column]:
        if self._rows is None:
            yield from self._json_scalars(line)
        elif self._rows in _names(line) and _is_tabular(self._rows):
            keys = _reader(self._path(line, self._rows)).columns()
            yield from (Column(self._rows, key) for key in keys)

    def _inner_rows(self, line: TaskLine) -> Iterator[dict[Column, Scalar]]:
        if self._rows is None:
            yield self._json_scalars(line)
        elif self._rows in _names(line):
            for row in _reader(self._path(line, self._rows)).rows(self._codes):
                yield {Column(self._rows, key): value for key, value in row.items()}

    @cached_property
    def _codes(self) -> frozenset[str]:
        """The columns of codes: 10 is a text where 09 is above it, or in another task's rows."""
        paths = (
            self._path(line, self._rows)
            for line in self._lines()
            if self._rows is not None and self._rows in _names(line)
        )
        return frozenset(name for path in paths for name in _reader(path).codes())

    def _json_scalars(self, line: TaskLine) -> dict[Column, Scalar]:
        values: dict[Column, Scalar] = {}
        for name, _ in self._read(line):
            try:
                document = json.loads(self._path(line, name).read_bytes())
            except (ValueError, RecursionError):
                continue  # it is only called so
            values.update(columns_of(name, scalars(document)))
        return values

    def _path(self, line: TaskLine, name: str) -> Path:
        # Not the path in the line: the folder may have been moved since.
        outputs = line.outputs_in(self._folder)
        if name in line.outputs:
            path = outputs / file_name(name)
        else:
            try:
                path = kept_file(outputs, line.outputs, name)
            except OutputError as error:
                raise TableError(str(error)) from error
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise TableError(f"{path}, an output of task {line.index}, is not a file any more")
        return path


def results(folder: str | Path, rows: str | None = None) -> Iterator[dict[str, Scalar]]:
    """The results of a study, as ``modelops-runner table`` shows them: what pandas and polars take.

    >>> pandas.DataFrame(runner.results("out"))  # doctest: +SKIP

    :param folder: what ``exec --output`` was given.
    :param rows: an output, or a file that tasks have left, that is a table (CSV, Parquet, Arrow):
        its rows, with the task's parameters beside them. By default there is a row for each task,
        with the scalars of its JSON outputs and files.
    :returns: a record for each row, all with the same keys; read as they are asked for. A
        warning says where the study has not come to its end, and which tasks ran before an edit
        of the bundle or have other files than they have made.
    :raises TableError: there are no results, or no such output, or nothing here reads it.
    :raises OSError: something cannot be read.
    """
    table = Table(Path(folder), rows)
    for note in table.notes:
        warnings.warn(note, stacklevel=2)
    return iter(table)


def _names(line: TaskLine) -> dict[str, None]:
    """A task's outputs, and the files that it has left and that no output is called like."""
    return dict.fromkeys((*line.outputs, *line.files))


def _is_json(name: str, made: OutputFile) -> bool:
    # What is larger is data, and no summary.
    return PurePosixPath(name).suffix.lower() == ".json" and made.size <= _LARGEST_JSON


def _listed(indices: list[int]) -> str:
    shown = ", ".join(map(str, indices[:_SHOWN_TASKS]))
    return shown + ", ..." * (len(indices) > _SHOWN_TASKS)


def _is_tabular(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in _TABULAR


class _Csv:
    """:raises TableError: it is not CSV."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def columns(self) -> list[str]:
        names = next(self._read(), (0, []))[1]
        for name in names:
            if names.count(name) > 1:
                raise TableError(f"{self._path} is not a table: two columns are called {name}")
        return names

    def codes(self) -> set[str]:
        """The columns in which a number begins with a zero too many."""
        names = self.columns()
        rows = islice(self._read(), 1, None)
        at = {at for _, row in rows for at, text in enumerate(row) if is_code(text)}
        return {name for number, name in enumerate(names) if number in at}

    def rows(self, codes: frozenset[str]) -> Iterator[dict[str, Scalar]]:
        read = self._read()
        _, names = next(read, (0, []))
        for number, row in read:
            if len(row) > len(names):
                raise TableError(
                    f"{self._path} is not a table: line {number} has {len(row)} values, and the"
                    f" first one names {len(names)} columns"
                )
            if row:
                yield {
                    name: text or None if name in codes else value_of(text)
                    for name, text in zip(names, row, strict=False)
                }

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """The rows, with the numbers of the lines that they end at."""
        try:
            with self._path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.reader(file)
                for row in rows:
                    yield rows.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise TableError(f"{self._path} is not CSV: {error}") from error


class _Arrow:
    """A Parquet file, or one of Arrow's, a batch of rows at a time.

    :raises TableError: pyarrow is not installed, or cannot read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        need_pyarrow(f"{path.name} is read")

    def columns(self) -> list[str]:
        schema = self._guarded(lambda: self._opened()[0])
        names: list[str] = schema.names
        return names

    def codes(self) -> set[str]:
        return set()

    def rows(self, codes: frozenset[str]) -> Iterator[dict[str, Scalar]]:
        _, batches = self._guarded(self._opened)
        while (batch := self._guarded(partial(next, batches, None))) is not None:
            yield from (
                {key: _scalar(one) for key, one in row.items()} for row in batch.to_pylist()
            )

    def _opened(self) -> tuple["pyarrow.Schema", Iterator["pyarrow.RecordBatch"]]:
        import pyarrow.ipc

        if self._path.suffix.lower() == ".parquet":
            import pyarrow.parquet

            file = pyarrow.parquet.ParquetFile(self._path)
            return file.schema_arrow, file.iter_batches()
        mapped = pyarrow.memory_map(str(self._path))
        try:
            reader = pyarrow.ipc.open_file(mapped)
        except pyarrow.ArrowInvalid:
            mapped.seek(0)
            stream = pyarrow.ipc.open_stream(mapped)
            return stream.schema, iter(stream)
        return reader.schema, map(reader.get_batch, range(reader.num_record_batches))

    def _guarded(self, function: Any) -> Any:
        import pyarrow

        try:
            return function()
        except pyarrow.ArrowInvalid as error:
            raise TableError(f"{self._path} cannot be read: {error}") from error


def _reader(path: Path) -> _Csv | _Arrow:
    return _Csv(path) if path.suffix.lower() == ".csv" else _Arrow(path)


def need_pyarrow(what: str) -> None:
    """:raises TableError: it is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise TableError(
            f"{what} by pyarrow, which is not installed beside modelops-runner:"
            " python -m pip install pyarrow"
        ) from error


def _scalar(value: Any) -> Scalar:
    if isinstance(value, str | int | float | bool | None):
        return value
    if isinstance(value, list | dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)  # a date, a decimal
