"""A line of a model that fails, with tables as pandas has them, and what it raises."""

import importlib.util
import linecache
from pathlib import Path
from types import ModuleType

import pytest

from bundle_protocol.failing_line import FailingLine

# As pandas does it: a class in a module of its own, under site-packages.
TABLES = """
class Index(list):
    def get_loc(self, key):
        if key not in self:
            raise KeyError(key)

class Table:
    def __init__(self, index, columns):
        self.index, self.columns = Index(index), Index(columns)

    def __getitem__(self, key):
        self.columns.get_loc(key)

    def row(self, key):
        self.index.get_loc(key)

    def drop(self, columns):
        raise KeyError(f"{columns} not found in axis")

    def query(self, text):
        raise RuntimeError("name 'gama' is not defined")

class Series:
    def __init__(self, index):
        self.index = Index(index)

    def __getitem__(self, key):
        self.index.get_loc(key)

class Group(dict):
    def get(self, key):
        raise KeyError(f"Unable to open object (object {key!r} doesn't exist)")

class Fields(dict):
    def __getattr__(self, name):
        raise AttributeError(name)

rates = {"internal": 1}
def internal(key):
    return rates[key]
"""
MODEL = """
import configparser
import statistics
import numpy

place, nested = "x", {"a": {"x": {"gamma": 1}}}

def rate(): return 1
def table(): return tables.Table(["north", "south"], ["beta", "gamma"])
"""


def load(file: Path, text: str, **given: object) -> ModuleType:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    linecache.checkcache(str(file))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module).update(given)
    spec.loader.exec_module(module)
    return module


def failing(folder: Path, line: str) -> FailingLine:
    return failing_with(folder, line)


def failing_with(folder: Path, line: str, **given: object) -> FailingLine:
    """:param given: further modules that the line has."""
    tables = load(folder / "site-packages" / "tables.py", TABLES)
    text = (
        f"{MODEL}\ndef wire(entrypoint, params, seed):\n    df = table()\n"
        "    group = tables.Group(gamma=1)\n    group.fields = tables.Fields(gamma=1)\n"
        "    ini = configparser.ConfigParser()\n"
        "    ini.read_string('[rates]\\ngamma = 1')\n    by_year = {2020: 1, 2030: 2}\n"
        "    array = numpy.zeros(2, dtype=[('beta', 'f8'), ('gamma', 'f8')])\n"
        f"    {line}\n"
    )
    model = load(folder / "model.py", text, tables=tables, **given)
    with pytest.raises(Exception) as caught:
        model.wire("", {}, 0)
    traceback = caught.value.__traceback__
    assert traceback is not None
    return FailingLine(caught.value.with_traceback(traceback.tb_next))
