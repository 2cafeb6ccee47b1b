"""Writes a study's table as Parquet, some rows at a time."""

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.stored_files import whole_file
from runner.study.columns import Scalar, text_of
from runner.study.table import Table, need_pyarrow

if TYPE_CHECKING:
    import pyarrow

_BATCH_ROWS = 10_000
_INT64, _UINT64 = (-(2**63), 2**63 - 1), (0, 2**64 - 1)


class _Kinds:
    """The kinds of values that a column has."""

    def __init__(self) -> None:
        self.kinds: set[type] = set()
        self.least = self.most = 0

    def see(self, value: Scalar) -> None:
        if value is None:
            return
        self.kinds.add(type(value))
        if type(value) is int:
            self.least, self.most = min(self.least, value), max(self.most, value)

    def type(self) -> "pyarrow.DataType":
        import pyarrow

        if self.kinds == {bool}:
            return pyarrow.bool_()
        if self.kinds == {int} and _INT64[0] <= self.least and self.most <= _INT64[1]:
            return pyarrow.int64()
        if self.kinds == {int} and _UINT64[0] <= self.least and self.most <= _UINT64[1]:
            return pyarrow.uint64()
        # Integers beyond 2**53 would be others as floats.
        exact = abs(self.least) <= 2**53 and self.most <= 2**53
        if self.kinds and self.kinds <= {int, float} and exact:
            return pyarrow.float64()
        return pyarrow.string()


def write_parquet(table: Table, path: Path) -> None:
    """Write a table; it is gone through twice, the first time for the types of its columns.

    :raises TableError: pyarrow is not installed.
    :raises OSError: it could not be written.
    """
    need_pyarrow("Parquet is written")
    import pyarrow
    import pyarrow.parquet

    kinds = {name: _Kinds() for name in table.columns}
    for row in table:
        for name, value in row.items():
            kinds[name].see(value)
    schema = pyarrow.schema([(text_of(name), kind.type()) for name, kind in kinds.items()])
    with whole_file(path) as file, pyarrow.parquet.ParquetWriter(file, schema) as writer:
        rows = iter(table)
        while batch := list(islice(rows, _BATCH_ROWS)):
            writer.write_table(pyarrow.Table.from_arrays(_arrays(batch, schema), schema=schema))


def _arrays(rows: Iterable[Mapping[str, Scalar]], schema: "pyarrow.Schema") -> list[Any]:
    import pyarrow

    listed = list(rows)
    arrays = []
    for name, field in zip(listed[0], schema, strict=True):
        values: list[Any] = [row[name] for row in listed]
        if field.type == pyarrow.string():
            values = [None if one is None else text_of(one) for one in values]
        elif field.type == pyarrow.float64():
            values = [None if one is None else float(one) for one in values]
        arrays.append(pyarrow.array(values, field.type))
    return arrays
