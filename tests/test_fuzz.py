"""A short run of scripts/fuzz.py, which makes the long one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
from fuzz import fuzz


def test_nothing_that_a_child_says_breaks_the_wire_or_a_report() -> None:
    said: list[str] = []
    fuzz(4000, seed=7, say=said.append)
    assert said[-1].startswith("4,000 cases in ")
