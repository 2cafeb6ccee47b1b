"""Edits of a pyproject.toml say what is meant, however the table is written there."""

import pytest

from runner.diagnosis.pyproject_edits import PyprojectText
from runner.toml import tomllib

WRITTEN = {
    "no table": "",
    "a table": '[tool.hatch.version]\nsource = "vcs"\n',
    "a table and a comment": '[tool.hatch.version] # of git\nsource = "vcs"\n',
    "dotted keys of a table": '[tool.hatch]\nversion.source = "vcs"\nenvs.x.y = 1\n',
    "dotted keys of the table above": '[tool]\nhatch.version.source = "vcs"\n',
    "the key": '[tool.hatch.version]\nsource = "vcs"\nfallback-version = "9"\n',
    "the key, dotted": '[tool.hatch]\nversion.fallback-version = "9"\n',
}


@pytest.mark.parametrize("how", WRITTEN)
def test_a_setting_is_added_to_the_table_that_is_there(how: str) -> None:
    text = '[project]\nname = "x"\n\n' + WRITTEN[how]
    edit = PyprojectText.of(text).setting("tool.hatch.version", "fallback-version", "0.1.0")
    assert edit is not None
    before, after = tomllib.loads(text), tomllib.loads(edit.apply(text))
    version = after["tool"]["hatch"]["version"]
    assert version.pop("fallback-version") == "0.1.0"
    before.get("tool", {}).get("hatch", {}).get("version", {}).pop("fallback-version", None)
    assert version == before.get("tool", {}).get("hatch", {}).get("version", {})
    assert after["project"] == before["project"]
