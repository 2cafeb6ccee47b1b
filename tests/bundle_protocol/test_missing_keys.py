"""The keys that there are where one is missing, of what libraries have in place of a dict."""

import sys
from pathlib import Path

import pytest
from failing_lines import failing, failing_with, load

from bundle_protocol.missing_keys import other_keys

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


@pytest.mark.parametrize("line", ASKED)
def test_what_was_asked_is_found_by_what_it_can_do(line: str, tmp_path: Path) -> None:
    mapping, key, keys, labels = ASKED[line]
    found = other_keys(failing(tmp_path, line))
    assert (found.get("mapping"), found.get("key")) == (mapping, key)
    assert (found.get("keys"), found.get("labels")) == (keys, labels)


def test_a_key_that_yaml_takes_for_a_boolean_is_told(tmp_path: Path) -> None:
    assert other_keys(failing(tmp_path, "{'SE': 1, False: 2}; d = {False: 2}; d['NO']"))["boolean"]
    assert "boolean" not in other_keys(failing(tmp_path, "d = {False: 2, 'a': 1}; d['on']"))


@pytest.mark.parametrize(
    "line", ['tables.internal("beta")', 'raise KeyError("no such model in here, alas")']
)
def test_a_librarys_own_dict_is_not_told_of(line: str, tmp_path: Path) -> None:
    assert other_keys(failing(tmp_path, line)) == {}


def test_of_many_keys_the_nearest_are_told(tmp_path: Path) -> None:
    many = failing(tmp_path, 'tables.Series([f"rate{n}" for n in range(900)])["rate85O"]')
    found = other_keys(many)
    assert str(found["keys"]).split("\n")[0].startswith("rate85")
    assert (len(str(found["keys"]).split("\n")), found["more"]) == (30, 870)
    years = other_keys(failing(tmp_path, "tables.Series(list(range(1900, 2100)))[2150]"))
    assert str(years["keys"]).split("\n")[0] == "2099" and years["more"] == 190


# As they are: compiled, or with keys by another name; and where a line asks each of them.
OTHERS = {
    "netCDF4": ("self.variables = {'tas': 1}", "IndexError('tass not found in /')", ""),
    "zarr": ("self.keys = lambda: iter(['tas'])", "KeyError('tass')", ""),
    "pyarrow": (
        "self.column_names = ['tas']",
        "KeyError('Field \"tass\" does not exist in schema')",
        "column",
    ),
}


@pytest.mark.parametrize("library", OTHERS)
@pytest.mark.parametrize("line", ['data["tass"][:]', 'x = data["tass"]'])
def test_what_is_no_mapping_tells_its_keys(library: str, line: str, tmp_path: Path) -> None:
    made, raised, labels = OTHERS[library]
    text = f"""
class Data:
    def __init__(self):
        {made}
    def __getitem__(self, key):
        raise {raised}
Data.__module__ = {library!r}
"""
    other = load(tmp_path / "site-packages" / "other.py", text)
    found = other_keys(failing_with(tmp_path, f"data = other.Data(); {line}", other=other))
    assert (found["mapping"], found["key"], found["keys"]) == ("data", "tass", "tas")
    assert found.get("labels", "") == labels


def test_a_column_that_is_asked_as_an_attribute_is_told(tmp_path: Path) -> None:
    found = other_keys(failing(tmp_path, "df.population + 1"))
    assert (found["mapping"], found["key"], found["keys"]) == ("df", "population", "beta\ngamma")
    assert not other_keys(failing(tmp_path, "df.population()"))


H5PY = """
class Group:
    def __init__(self, names, is_open=True):
        self.names, self.is_open = names, is_open
    def __bool__(self):
        return self.is_open
    def __enter__(self):
        return self
    def __exit__(self, *raised):
        self.is_open = False
    def visit(self, function):
        assert self.is_open
        return next((told for told in map(function, self.names) if told is not None), None)
    def __getitem__(self, key):
        if key in ("era5",):
            return Group(["tas"])
        raise KeyError("Unable to open object (object 'tass' doesn't exist)")
class File(Group):
    def __init__(self, path, mode="r", is_open=True):
        super().__init__(["era5", "era5/tas"], is_open)
Group.__module__ = File.__module__ = "h5py"
"""


@pytest.mark.parametrize(
    ("line", "key", "keys"),
    [
        ('file = h5py.File(PATH); file["era5/tass"]', "era5/tass", "era5\nera5/tas"),
        # As its `with` leaves it.
        ('file = h5py.File(PATH, "r", False); file["era5/tass"]', "era5/tass", "era5\nera5/tas"),
    ],
)
def test_all_of_an_hdf5_file_is_told_once_it_is_closed(
    line: str, key: str, keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    h5py = load(tmp_path / "site-packages" / "h5py.py", H5PY)
    monkeypatch.setitem(sys.modules, "h5py", h5py)
    (tmp_path / "c.h5").write_bytes(b"\x89HDF\r\n")
    line = line.replace("PATH", repr(str(tmp_path / "c.h5")))
    found = other_keys(failing_with(tmp_path, line, h5py=h5py))
    assert (found["mapping"], found["key"], found["keys"]) == ("file", key, keys)
