"""The keys that there are where one is missing, of what libraries have in place of a dict."""

from pathlib import Path

import pytest
from failing_lines import failing

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
