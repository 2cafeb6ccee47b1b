"""docs/hints.md: the first hint of each failure, and what came of following it."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from failures import SCENARIOS
from failures.follow import first_hint, is_for_a_machine
from failures.scenario import ROOT
from runner.diagnosis.report.model import Hint

HINTS = ROOT / "docs" / "hints.md"

_HEAD = """\
# Hints, followed

The first hint of each recorded failure, and what came of doing what it says: `scripts/follow_hints`
makes the failure happen, makes the edit or runs the command, and runs again. What a *machine* can
follow brings another outcome than the failure that it is for. What a *person* has to follow is a
command that only shows something, or leaves something to fill in, to decide or to allow; *words*
have neither a command nor an edit.
"""
# Here a scenario's code only says what a library would, which is not there: nothing that is set
# makes it say another thing.
PLAYED = {
    "child-crashed-display",
    "load-raised-openblas",
    "task-raised-display",
    "task-raised-proxy",
}
_NOT_SHOWN = "not shown: what the library says is only played"
_COLUMNS = "| failure | hint | followed by | what is done | outcome |\n|---|---|---|---|---|"


class Row(NamedTuple):
    """A line of the table, with the text of its cells."""

    name: str
    title: str
    by: str
    done: str
    outcome: str


def row_of(name: str, hint: Hint, outcome: str = "") -> Row:
    by = "machine" if is_for_a_machine(hint) else "words"
    done = [hint.command] if hint.command else []
    if hint.edit is not None:
        done.append(f"{hint.edit.file}: {hint.edit.before or ''} -> {hint.edit.after}")
    if by != "machine" and done:
        by = "person"
    return Row(name, _cell(hint.title), by, _cell("; ".join(done)), _cell(outcome))


def outcome_of(name: str, outcome: str, *, is_another: bool) -> str | None:
    """The table's word for a hint that was followed; ``None`` where it changed nothing."""
    if is_another:
        return outcome
    return _NOT_SHOWN if name in PLAYED else None


def _cell(text: str) -> str:
    text = re.sub(r"modelops-f\w+-\w{8}\b", "modelops-failures-recorded", text)
    return re.sub(r"\s+", " ", text).replace("|", "/").replace("\\", "/").strip()


def kept_rows() -> dict[str, Row]:
    """The rows that are there, by the failure's name."""
    if not HINTS.exists():
        return {}
    found = {}
    for line in HINTS.read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("| ").split(" | ")]
        if line.startswith("| `") and len(line.split(" | ")) in (4, 5):
            cells += [""] * (5 - len(cells))
            found[cells[0]] = Row(*("" if cell == "-" else cell for cell in cells))
    return found


def page(rows: Mapping[str, Row]) -> str:
    kept = [rows[one.name] for one in SCENARIOS if one.name in rows]
    lines = [" | ".join(_shown(row)) for row in kept]
    return "\n".join([_HEAD, counts(), "", _COLUMNS, *(f"| {line} |" for line in lines), ""])


def _shown(row: Row) -> tuple[str, ...]:
    return (
        f"`{row.name}`",
        row.title,
        row.by,
        f"`{row.done}`" if row.done else "-",
        row.outcome or "-",
    )


def counts() -> str:
    """How many hints are followed by whom, in a sentence."""
    kinds = [row_of(one.name, first_hint(one.name)).by for one in SCENARIOS]
    by = {kind: kinds.count(kind) for kind in ("machine", "person", "words")}
    return (
        f"{len(kinds)} first hints: a machine can follow {by['machine']}, a person has to follow"
        f" {by['person']}, and {by['words']} are words."
    )
