"""Measures what equal tasks have in common in each isolation, and what is a task's own.

Run by itself, it writes the table into docs/execution.md; a test sees that it is still true.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from runner import Runner, Task

DOCS = Path(__file__).parent.parent / "docs" / "execution.md"
BEGIN, END = "<!-- scripts/isolation_table.py -->\n", "<!-- until here -->\n"

ISOLATIONS = ("fork", "warm", "fresh")
WIRE = """
import json, os, random
import numpy as np
NAMES = {"ann", "bob", "cem", "dan", "eve", "fay", "gus"}
LEFT = []
from_system, given = np.random.default_rng(), np.random.default_rng(7)

def wire(entrypoint, params, seed):
    return {"seen": json.dumps(globals()[entrypoint](seed)).encode()}

def draw(seed):
    return {
        "the order of a set of strings": list(NAMES),
        "`random`": random.random(),
        "`numpy.random`": np.random.random(),
        "`default_rng(seed)`, made in the task": np.random.default_rng(seed).random(),
        "`default_rng()`, made in the task": np.random.default_rng().random(),
        "`default_rng(7)`, made at import": given.random(),
        "`default_rng()`, made at import": from_system.random(),
    }

def leave(seed):
    there = {
        "an environment variable": "LEFT" in os.environ,
        "a global": bool(LEFT),
        "another working directory (`os.chdir`)": os.getcwd() == "/",
    }
    os.environ["LEFT"] = "1"
    LEFT.append(seed)
    os.chdir("/")
    return there

def write(seed):
    there = {"a file in the working directory": os.path.exists("left")}
    open("left", "w").close()
    return there
"""
# One bundle more: what seeds a global generator does so for all of a bundle's code.
SEEDED = WIRE.replace("NAMES =", "random.seed(7); np.random.seed(7)\nNAMES =")
ROWS_OF_SEEDED = {
    "`random`": "`random`, after `random.seed(7)` at import",
    "`numpy.random`": "`numpy.random`, after `numpy.random.seed(7)` at import",
}


def table(cache: Path) -> str:
    """The table as it is on this machine, in Markdown."""
    columns = [_column(isolation, cache) for isolation in ISOLATIONS]
    lines = ["| | " + " | ".join(f"`{isolation}`" for isolation in ISOLATIONS) + " |"]
    lines.append("|---" * (len(ISOLATIONS) + 1) + "|")
    lines += [f"| {row} | " + " | ".join(one[row] for one in columns) + " |" for row in columns[0]]
    return "\n".join(lines) + "\n"


def _column(isolation: str, cache: Path) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        plain = _bundle(Path(name) / "plain", WIRE)
        seeded = _bundle(Path(name) / "seeded", SEEDED)
        drawing = [Task("draw", seed=seed) for seed in (1, 2, 1)]
        leaving = [Task(name, seed=seed) for name in ("leave", "write") for seed in (1, 2)]
        *drawn, _, left, _, written = _tasks(plain, [*drawing, *leaving], isolation, cache)
        column = _words(drawn, *_tasks(plain, drawing[:1], isolation, cache))
        of_seeded = _words(
            _tasks(seeded, drawing, isolation, cache),
            *_tasks(seeded, drawing[:1], isolation, cache),
        )
        column |= {text: of_seeded[row] for row, text in ROWS_OF_SEEDED.items()}
        return column | {
            f"{what} that a task leaves": "later tasks find it" if found else "the task's own"
            for what, found in (left | written).items()
        }


def _words(drawn: list[dict[str, Any]], elsewhere: dict[str, Any]) -> dict[str, str]:
    """Each row's word, from three tasks of a child and one of another child."""
    first, other, again = drawn
    return {row: _word(first[row], other[row], again[row], elsewhere[row]) for row in first}


def _word(first: Any, other: Any, again: Any, elsewhere: Any) -> str:
    """:param other: what a task with another seed has; the rest have the same one."""
    if first == again == elsewhere:
        return "the same for each task" if first == other else "follows from the task's seed"
    if first == other == again:
        return "**the same for each task of a child**"
    if first == elsewhere:
        return "goes on from task to task"
    return "**another each time**"


def _tasks(bundle: Path, tasks: list[Task], isolation: str, cache: Path) -> list[dict[str, Any]]:
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        results = list(runner.map(bundle, tasks))
    assert {result.isolation for result in results} == {isolation}
    return [json.loads(result["seen"]) for result in results]


def _bundle(folder: Path, wire: str) -> Path:
    folder.mkdir()
    (folder / "requirements.txt").write_text("numpy\n")
    (folder / "wire.py").write_text(wire)
    return folder


def main() -> None:
    before, _, rest = DOCS.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    with tempfile.TemporaryDirectory() as cache:
        DOCS.write_text(before + BEGIN + table(Path(cache)) + END + after)


if __name__ == "__main__":
    main()
