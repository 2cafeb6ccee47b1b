"""``modelops-runner table``: a study's results on the terminal, as CSV, JSON or Parquet."""

import csv
import io
import json
import math
import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from runner.cli.command_line.commands import Table, UsageError
from runner.cli.writing import not_printed
from runner.diagnosis.report.text import one_line, printable
from runner.stored_files import whole_file
from runner.study.columns import Scalar, text_of
from runner.study.table import Table as Results
from runner.study.table import TableError

_SHOWN_ROWS = 40
"""How many rows a terminal shows."""

_MOST_CHARACTERS = 60


def run(command: Table) -> tuple[int, str]:
    """Show or write the table; returns the exit code.

    :raises UsageError: the folder has no results, or the table cannot be written.
    """
    try:
        results = Results(command.folder, command.rows)
        if command.parquet is not None:
            from runner.study.parquet import write_parquet

            write_parquet(results, command.parquet)
            print(f"written: {printable(str(command.parquet))}", file=sys.stderr)
        elif command.csv is not None and command.csv != "-":
            _to_file(results, Path(command.csv))
            print(f"written: {printable(command.csv)}", file=sys.stderr)
        else:
            _print(results, command)
        for note in results.notes:
            print(f"note: {printable(note)}", file=sys.stderr)
    except TableError as error:
        raise UsageError(printable(str(error))) from error
    except OSError as error:
        if error.filename is None:  # a file that cannot be read has a name
            return not_printed(error, None), ""
        raise UsageError(f"{error.filename}: {error.strerror}") from error
    return 0, ""


def _print(results: Results, command: Table) -> None:
    if command.csv is not None:
        _write_csv(results, sys.stdout)
    elif command.json:
        _write_json(results, sys.stdout)
    else:
        _show(results, sys.stdout)
        if command.rows is None and results.tabular:
            names = [one_line(printable(one), _MOST_CHARACTERS) for one in sorted(results.tabular)]
            rows = f"--rows {names[0]} has a row for each of their rows"
            print(f"its tables: {', '.join(names)} ({rows})", file=sys.stderr)
    sys.stdout.flush()


def _to_file(results: Results, path: Path) -> None:
    with whole_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        _write_csv(results, text)
        text.detach()  # flushes


def _write_csv(results: Results, file: IO[str]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(text_of, results.columns))
    for row in results:
        # JSON's true and false, as --tasks takes them; Python's digits of a number are exact.
        writer.writerow("" if one is None else text_of(one) for one in row.values())


def _write_json(results: Results, file: IO[str]) -> None:
    file.write(f'{{"ok": true, "columns": {json.dumps(results.columns)}, "rows": [')
    before = "\n"
    for row in results:
        # JSON has no nan and no infinity.
        row = {
            name: None if isinstance(one, float) and not math.isfinite(one) else one
            for name, one in row.items()
        }
        file.write(before + json.dumps(row))
        before = ",\n"
    file.write("\n]}\n")


def _show(results: Results, file: IO[str]) -> None:
    """Print aligned columns; a terminal has the first and the last of many rows."""

    def every() -> Iterator[list[str]]:  # read anew each time
        return ([_cell(value) for value in row.values()] for row in results)

    few = _few(every()) if file.isatty() else None
    names = [one_line(printable(name), _MOST_CHARACTERS) for name in results.columns]
    widths = list(map(len, names))
    for cells in filter(None, few or every()):
        widths = [max(width, len(cell)) for width, cell in zip(widths, cells, strict=True)]
    _line(names, widths, file)
    for row in few or every():
        _line(["..."] * len(widths) if row is None else row, widths, file)


def _few(rows: Iterator[list[str]]) -> list[list[str] | None]:
    """The first rows and the last ones, with ``None`` in place of those between."""
    first = list(islice(rows, _SHOWN_ROWS // 2))
    last, others = deque[list[str]](maxlen=_SHOWN_ROWS // 2), 0
    for row in rows:
        last.append(row)
        others += 1
    return [*first, *([None] if others > len(last) else []), *last]


def _cell(value: Scalar) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return one_line(printable(str(value)), _MOST_CHARACTERS)


def _line(cells: list[str], widths: list[int], file: IO[str]) -> None:
    aligned = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    print("  ".join(aligned).rstrip(), file=file)
