"""Tells which files a task opens by libraries of their own: of SQLite, HDF5, Parquet and others."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from bundle_protocol.first_import import on_first_import
from bundle_protocol.stand_in import StandIn

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from types import FrameType, ModuleType
    from typing import Any, Protocol

    class Opens(Protocol):
        def __call__(self, path: str, frame: FrameType, *, anew: bool, writes: bool) -> None: ...


# By the module whose import brings them: where each function is, and which argument is the path.
_OPENING = {
    "sqlite3": (("sqlite3", "connect", 0), ("sqlite3.dbapi2", "connect", 0)),
    "duckdb": (("duckdb", "connect", 0),),
    "h5py": (("h5py.h5f", "open", 0), ("h5py.h5f", "create", 0)),
    "tables": (("tables", "open_file", 0),),
    "pyarrow.parquet": (
        ("pyarrow.parquet", "read_table", 0),
        ("pyarrow.parquet", "write_table", 1),
    ),
    "torch": (("torch", "save", 1),),
    "xarray": tuple(
        ("xarray", name, 0)
        for name in ("open_dataset", "load_dataset", "open_dataarray", "open_mfdataset")
    ),
    "polars": tuple(
        ("polars", name, 0) for name in ("read_csv", "scan_csv", "read_parquet", "scan_parquet")
    ),
    "geopandas": (("geopandas", "read_file", 0),),
    "rasterio": (("rasterio", "open", 0),),
}
_ANEW = "create", "write_table", "save"
_READING = "read_", "scan_", "load_", "open_d", "open_mf"
"""How the names of those begin that write nothing."""


def tell_opened(opens: Opens) -> None:
    """Have what is opened told before, with the frame of who opens it."""

    def imported(module: ModuleType) -> None:
        for name, function, position in _OPENING[module.__name__]:
            with suppress(KeyError, AttributeError):  # It is another version, or the bundle's own.
                owner: Any = sys.modules[name]
                setattr(owner, function, _Opening(owner, function, position, opens))

    on_first_import(dict.fromkeys(_OPENING, imported))


class _Opening(StandIn):
    def __init__(self, module: ModuleType, name: str, position: int, opens: Opens) -> None:
        super().__init__(module, name)
        self.__doc__ = self.__wrapped__.__doc__
        self._position, self._opens = position, opens
        self._anew, self._writes = name in _ANEW, not name.startswith(_READING)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        given = arguments[self._position] if len(arguments) > self._position else None
        for one in given if isinstance(given, (list, tuple)) else (given,):
            with suppress(TypeError, ValueError, OSError):  # It is no path, but an open file.
                path = os.fsdecode(one)
                if path.startswith(os.sep) or os.path.isfile(path):  # It may be ":memory:".
                    path = os.path.join(os.getcwd(), path)
                    self._opens(path, sys._getframe(1), anew=self._anew, writes=self._writes)
        return self.__wrapped__(*arguments, **options)
