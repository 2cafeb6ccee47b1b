"""The keys that there are where one is missing, of what libraries have in place of a dict."""

import importlib.util
import linecache
from pathlib import Path
from types import ModuleType

import pytest

from bundle_protocol.missing_keys import other_keys, text_number

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
import numpy

place, nested = "x", {"a": {"x": {"gamma": 1}}}

def table(): return tables.Table(["north", "south"], ["beta", "gamma"])
"""
ASKED = {
    'df["gama"]': ("df", "gama", "beta\ngamma", "column"),
    'x = tables.Series(["a"]); y = df["gama"]': ("df", "gama", "beta\ngamma", "column"),
    'df.row("nort")': ("df", "nort", "north\nsouth", "row"),
    'df.drop(["gama", "beta"])': ("df", "gama", "beta\ngamma", "column"),
    'df.query("gama > 1")': ("df", "gama", "beta\ngamma", "column"),
    'table()["gama"]': ("the Table", "gama", "beta\ngamma", "column"),
    'tables.Series(["a", "b"])["c"]': ("the Series", "c", "a\nb", "label"),
    'group.get("gama")': ("group", "gama", "gamma", None),
    'ini["rate"]': ("ini", "rate", "DEFAULT\nrates", None),
    'ini["rates"]["gama"]': ("the SectionProxy", "gama", "gamma", None),
    'array["gama"]': ("array", "gama", "beta\ngamma", "column"),
    'nested["a"][place]["gama"]': ('nested["a"][place]', "gama", "gamma", None),
    'nested["b"]["gama"]': ("nested", "b", "a", None),
    "group.fields.gama": ("group.fields", "gama", "gamma", None),
    'by_year[2031]': ("by_year", 2031, "2020\n2030", None),
}  # fmt: skip


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


def raised(folder: Path, line: str) -> BaseException:
    tables = load(folder / "site-packages" / "tables.py", TABLES)
    text = (
        f"{MODEL}\ndef wire(entrypoint, params, seed):\n    df = table()\n"
        "    group = tables.Group(gamma=1)\n    group.fields = tables.Fields(gamma=1)\n"
        "    ini = configparser.ConfigParser()\n"
        "    ini.read_string('[rates]\\ngamma = 1')\n    by_year = {2020: 1, 2030: 2}\n"
        "    array = numpy.zeros(2, dtype=[('beta', 'f8'), ('gamma', 'f8')])\n"
        f"    {line}\n"
    )
    model = load(folder / "model.py", text, tables=tables)
    with pytest.raises(Exception) as caught:
        model.wire("", {}, 0)
    traceback = caught.value.__traceback__
    assert traceback is not None
    return caught.value.with_traceback(traceback.tb_next)


@pytest.mark.parametrize("line", ASKED)
def test_what_was_asked_is_found_by_what_it_can_do(line: str, tmp_path: Path) -> None:
    mapping, key, keys, labels = ASKED[line]
    found = other_keys(raised(tmp_path, line))
    assert (found.get("mapping"), found.get("key")) == (mapping, key)
    assert (found.get("keys"), found.get("labels")) == (keys, labels)


def test_a_key_that_yaml_takes_for_a_boolean_is_told(tmp_path: Path) -> None:
    assert other_keys(raised(tmp_path, "{'SE': 1, False: 2}; d = {False: 2}; d['NO']"))["boolean"]
    assert "boolean" not in other_keys(raised(tmp_path, "d = {False: 2, 'a': 1}; d['on']"))


@pytest.mark.parametrize(
    ("line", "name", "text"),
    [
        ("c = {'n': '1e5', 'm': 2}; c['n'] * 0.5", "c['n']", "1e5"),
        ("ini['rates']['gamma'] / 2", "ini['rates']['gamma']", "1"),
        ("n = '1e5'; x = numpy.zeros(3)[int(n)]", "n", "1e5"),
        ("rows = [['a', '3']]; range(rows[0][1])", "rows[0][1]", "3"),
        ("n = '3'; m = '4'; n * m", None, None),
        ("n = 'x'; n * 0.5", None, None),
    ],
)
def test_a_text_that_is_written_as_a_number_is_told(
    line: str, name: str | None, text: str | None, tmp_path: Path
) -> None:
    found = text_number(raised(tmp_path, line))
    assert (found.get("text_of"), found.get("text")) == (name, text)


@pytest.mark.parametrize(
    "line", ['tables.internal("beta")', 'raise KeyError("no such model in here, alas")']
)
def test_a_librarys_own_dict_is_not_told_of(line: str, tmp_path: Path) -> None:
    assert other_keys(raised(tmp_path, line)) == {}


def test_of_many_keys_the_nearest_are_told(tmp_path: Path) -> None:
    many = raised(tmp_path, 'tables.Series([f"rate{n}" for n in range(900)])["rate85O"]')
    found = other_keys(many)
    assert str(found["keys"]).split("\n")[0].startswith("rate85")
    assert (len(str(found["keys"]).split("\n")), found["more"]) == (30, 870)
    years = other_keys(raised(tmp_path, "tables.Series(list(range(1900, 2100)))[2150]"))
    assert str(years["keys"]).split("\n")[0] == "2099" and years["more"] == 190
