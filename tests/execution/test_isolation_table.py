"""The table of what equal tasks have in common, in docs/execution.md, is still true."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from isolation_table import BEGIN, DOCS, END, table


def test_the_documented_table_of_the_isolations_is_what_is_measured(cache: Path) -> None:
    written = DOCS.read_text().partition(BEGIN)[2].partition(END)[0]
    assert written == table(cache), "docs/execution.md is stale: run scripts/isolation_table.py"
