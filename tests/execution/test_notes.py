"""Notes of a child on a result: they come with the result, bounded and harmless."""

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import write_bundle
from forked_command import run_command

from runner import Runner, Task

# What the child notes is the runner's own to say: here a bundle does, for all that it might.
WIRE = """
import sys
def wire(entrypoint, params, seed):
    session = sys._getframe(1).f_locals["self"]
    for note in params.get("notes", []):
        session.note(note)
    return {"done": b"1"}
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


@pytest.mark.parametrize("isolation", ["warm", "fork", "fresh"])
def test_a_result_has_the_notes_of_its_own_task(bundle: Path, cache: Path, isolation: str) -> None:
    tasks = [Task(params={"notes": ["wet", "wet", "dry"]}), Task(), Task(params={"notes": ["x"]})]
    with Runner(cache=cache, isolation=isolation, children=1) as runner:
        notes = [result.notes for result in runner.map(bundle, tasks)]
    assert notes == [("wet", "dry"), (), ("x",)]


def test_notes_are_bounded_and_cannot_steer_a_terminal(bundle: Path, cache: Path) -> None:
    many = [f"{number} \x1b]0;title\x07\n{'x' * 400}" for number in range(30)]
    with Runner(cache=cache, isolation="warm", children=1) as runner:
        notes = runner.execute(bundle, params={"notes": many}).notes
    assert len(notes) == 20
    assert notes[3].startswith("3 \\x1b]0;title\\x07 xxx")
    assert all(len(note) <= 300 and note.isprintable() for note in notes)


@pytest.mark.parametrize("extra", [[], ["--json"]])
def test_the_command_says_the_notes_and_keeps_them(
    bundle: Path, cache: Path, tmp_path: Path, extra: list[str]
) -> None:
    command = [sys.executable, "-m", "runner", "exec", str(bundle), *extra]
    environ = {**os.environ, "MODELOPS_CACHE_DIR": str(cache)}
    one = run_command(
        [*command, "--params", "-"], stdin='{"notes": ["mind the gap"]}', env=environ, timeout=60
    )
    assert one.stderr.splitlines().count("note: mind the gap") == 1
    if extra:
        assert json.loads(one.stdout)["notes"] == ["mind the gap"]
    many = run_command(
        [*command, "--tasks", "-", "--output", str(tmp_path / "out")],
        stdin='{"params": {"notes": ["mind the gap"]}}\n' * 3 + "{}\n",
        env=environ,
        timeout=60,
    )
    assert many.stderr.splitlines().count("note: mind the gap") == 1
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line).get("notes") for line in lines].count(["mind the gap"]) == 3
