"""Rules of the house that no linter has: how docstrings begin, and how long a module is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SHIPPED = [file for name in ("runner", "bundle_protocol") for file in (ROOT / name).rglob("*.py")]
OTHERS = [file for name in ("scripts", "tests", "examples") for file in (ROOT / name).rglob("*.py")]
MOST_LINES = 400


def test_a_docstring_begins_with_what_it_is_about() -> None:
    clause = re.compile(r'^\s*r?"""(?:As what|It is none|Of|What|Whether)\b.*$', re.MULTILINE)
    assert SHIPPED and OTHERS
    found = {
        str(file.relative_to(ROOT)): clause.findall(file.read_text())
        for file in [*SHIPPED, *OTHERS]
        if file != Path(__file__)
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_a_module_is_short_enough_to_be_read_at_once() -> None:
    lengths = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in SHIPPED}
    assert {name: count for name, count in lengths.items() if count > MOST_LINES} == {}
