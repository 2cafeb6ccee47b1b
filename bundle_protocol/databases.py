"""Tells which files a task opens by libraries of their own: of SQLite, HDF5, Parquet and others."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import MethodType, ModuleType

from bundle_protocol.first_import import on_first_import
from bundle_protocol.stand_in import StandIn

TYPE_CHECKING = False  # Importing typing takes 2 ms.
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Protocol

    class Opens(Protocol):
        def __call__(self, path: str, frame: FrameType, *, anew: bool, writes: bool) -> None: ...


# By the module whose import brings them: functions, methods, and classes of C.
_OPENING = {
    "sqlite3": "connect dbapi2.connect",
    "duckdb": "connect read_csv read_json read_parquet from_csv_auto from_parquet",
    "h5py": "h5f.open h5f.create",
    "tables": "File.__init__",
    "netCDF4": "Dataset MFDataset.__init__",
    "pyarrow": "memory_map",
    "pyarrow.csv": "read_csv open_csv",
    "pyarrow.dataset": "dataset",
    "pyarrow.feather": "read_table read_feather",
    "pyarrow.json": "read_json",
    "pyarrow.orc": "read_table ORCFile.__init__",
    "pyarrow.parquet": "read_table write_table ParquetFile.__init__",
    "torch": "save",
    "xarray": "open_dataset load_dataset open_dataarray load_dataarray open_mfdataset",
    "polars": "read_csv scan_csv read_parquet scan_parquet read_ipc scan_ipc read_ndjson"
    " scan_ndjson read_json read_excel read_avro",
    "geopandas": "read_file read_parquet read_feather",
    "pyogrio": "read_dataframe read_arrow open_arrow",
    "fiona": "open",
    "rasterio": "open",
    "osgeo.gdal": "Open OpenEx",
    "osgeo.ogr": "Open",
    "lxml.etree": "parse",
    "pyreadstat": "read_dta read_sas7bdat read_sav read_xport",
}
_MOST = 1000
"""So many of a list are looked at, which may be data."""
_LONGEST_PATH = 4096
_ANEW = "create", "write_table", "save"
_READING = "read_", "scan_", "load_", "open_d", "open_mf", "from_", "dataset", "parse"
"""How the names of those begin that write nothing."""


def tell_opened(opens: Opens) -> None:
    """Have what is opened told before, with the frame of who opens it."""

    def imported(module: ModuleType) -> None:
        for name in _OPENING[module.__name__].split():
            with suppress(AttributeError):  # It is another version, or the bundle's own.
                owner: Any = module
                *inner, function = name.split(".")
                for part in inner:
                    owner = getattr(owner, part)
                plain = getattr(owner, function)
                told: Any = _Opening(owner, function, opens)
                setattr(owner, function, _told_class(plain, opens) if type(plain) is type else told)

    on_first_import(dict.fromkeys(_OPENING, imported))


def _told_class(kind: type, opens: Opens) -> type:
    """Make a class in place of one that is compiled, which cannot be changed.

    What the library makes of its own class counts as an instance.
    """

    class Meta(type):
        def __instancecheck__(cls, one: object) -> bool:
            return isinstance(one, kind) if cls is told else super().__instancecheck__(one)

        def __subclasscheck__(cls, one: type) -> bool:
            return issubclass(one, kind) if cls is told else super().__subclasscheck__(one)

    members = {name: getattr(kind, name) for name in ("__module__", "__qualname__", "__doc__")}
    # Without slots it would have a __dict__, and netCDF4's is the file's attributes.
    members.update(__slots__=(), __init__=_Opening(kind, "__init__", opens))
    told = Meta(kind.__name__, (kind,), members)
    setattr(sys.modules[kind.__module__], kind.__name__, told)  # where pickles look for it
    return told


class _Opening(StandIn):
    def __init__(self, owner: Any, name: str, opens: Opens) -> None:
        super().__init__(owner, name)
        self.__doc__ = self.__wrapped__.__doc__
        self._opens, self._of_class = opens, not isinstance(owner, ModuleType)
        self._anew, self._writes = name in _ANEW, not name.startswith(_READING)

    def __get__(self, instance: object, owner: object = None) -> Any:
        return MethodType(self, instance) if self._of_class and instance is not None else self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        for given in (*arguments, *options.values()):
            for one in given[:_MOST] if isinstance(given, (list, tuple)) else (given,):
                with suppress(TypeError, ValueError, OSError):  # It is no path, but an open file.
                    is_data = isinstance(one, bytes) and len(one) > _LONGEST_PATH
                    path = "" if is_data else os.fsdecode(one)
                    if path.startswith("file:"):  # sqlite3's
                        path = path[len("file:") :].partition("?")[0]
                    if path.startswith(os.sep) or os.path.isfile(path):  # It may be ":memory:".
                        path = os.path.join(os.getcwd(), path)
                        self._opens(path, sys._getframe(1), anew=self._anew, writes=self._writes)
        return self.__wrapped__(*arguments, **options)
