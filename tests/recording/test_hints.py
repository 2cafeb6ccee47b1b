"""Every hint is well-formed, and docs/hints.md tells what came of following each first one.

`scripts/follow_hints` follows them: it makes each failure happen, which takes minutes.
"""

import ast
import json
import os
import re
import shlex
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from runner.cli.command_line.parser import parse
from runner.diagnosis.report.model import Edit, Hint
from runner.toml import tomllib

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from failures import SCENARIOS  # noqa: E402
from failures import follow as following  # noqa: E402
from failures.follow import NotFollowed, first_hint, follow, is_for_a_machine  # noqa: E402
from failures.hint_table import HINTS, kept_rows, page, row_of  # noqa: E402
from failures.recorded import EXPECTED, FAILURES  # noqa: E402
from failures.scenario import BUNDLES, Place, Scenario, Unavailable  # noqa: E402

NAMES = [scenario.name for scenario in SCENARIOS]

# What a hint may ask a shell for, beside the runner's own command.
TOOLS = {
    *(
        "apt-file",
        "chmod",
        "apt-get",
        "cd",
        "cp",
        "curl",
        "df",
        "echo",
        "dmesg",
        "env",
        "export",
        "make",
        "file",
        "ldd",
        "git",
        "gzip",
        "grep",
        "ls",
    ),
    *("iconv", "lscpu", "mount", "mv", "python", "rm", "ulimit", "unset", "uv", "xvfb-run"),
}
# Folders that are gone once a build has ended, or a run.
GONE = re.compile(r"\.building-|modelops-runner-\w{6,8}\b|/\.tmp")


def hints_of(name: str) -> list[Hint]:
    report = json.loads((FAILURES / name / EXPECTED).read_text())
    return [msgspec.convert(hint, Hint) for hint in report["hints"]]


def parts_of(words: list[str]) -> list[list[str]]:
    """The programs of a pipeline, or of a list, each with its arguments."""
    parts: list[list[str]] = [[]]
    for word in words:
        if word in ("&&", "|"):
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def file_of(scenario: Scenario, name: str) -> str | None:
    """The text of a file that the scenario's bundle has from the start."""
    if scenario.fixture is not None:
        path = BUNDLES / scenario.fixture / name
        return path.read_text() if path.is_file() else None
    content = scenario.files.get(name)
    return content.decode("utf-8", "replace") if isinstance(content, bytes) else content


def test_an_edit_fits_into_its_file_and_what_comes_of_it_can_be_read() -> None:
    hints = [(scenario, hint) for scenario in SCENARIOS for hint in hints_of(scenario.name)]
    for scenario, hint in hints:
        if hint.edit is None:
            continue
        there = file_of(scenario, hint.edit.file)
        if there is None and hint.edit.before is not None:
            # It is made when the scenario is: scripts/follow_hints makes the edit in it.
            assert scenario.prepare, hint
            continue
        check_readable(hint.edit, hint.edit.apply(there or ""))


def check_readable(edit: Edit, text: str) -> None:
    if edit.file.endswith(".toml"):
        tomllib.loads(text)
    elif edit.file.endswith(".py"):
        ast.parse(text)
    elif edit.file.endswith(".json"):
        json.loads(text)


def test_a_command_is_one_that_there_is_and_names_no_folder_that_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for hint in (hint for name in NAMES for hint in hints_of(name)):
        if hint.command is None:
            continue
        assert not GONE.search(hint.command), hint
        for first, *rest in parts_of(shlex.split(hint.command)):
            if first == "modelops-runner":
                for name in re.findall(r"--env (\w+)", hint.command):
                    monkeypatch.setenv(name, "x")  # as where the worker has it
                parse(rest, {})
            else:
                assert first in TOOLS or first.startswith("/"), hint


def test_a_hint_for_nobody_in_particular_is_followed_by_a_machine_and_changes_something() -> None:
    rows = kept_rows()
    for name in NAMES:
        hint = first_hint(name)
        row = rows.get(name)
        assert row is not None, f"scripts/follow_hints {name}"
        assert row == row_of(name, hint, row.outcome), f"scripts/follow_hints {name}"
        assert (row.outcome != "") == is_for_a_machine(hint), name
    assert sorted(rows) == sorted(NAMES)
    assert HINTS.read_text() == page(rows)


def test_most_first_hints_are_for_a_machine_and_a_quarter_at_most_for_a_person() -> None:
    rows = kept_rows().values()
    by = Counter(row.by for row in rows)
    assert by["person"] <= len(rows) / 4
    assert by["words"] <= len(rows) / 5


# One for each kind of rule: a file's own words, an interpreter, a requirement, a setting of uv's, a
# build, an import, a line of the bundle's code.
FOLLOWED = [
    "bundle-invalid-manifest",
    "dependency-not-found-exclude-newer",
    "environment-failed-setting",
    "module-not-found-relative",
]


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_of_each_kind_is_followed(name: str) -> None:
    try:
        followed = follow(SCENARIOS[NAMES.index(name)])
    except Unavailable as error:
        pytest.skip(f"this machine lacks {error}")
    assert followed.second is None, followed.outcome


def test_what_cannot_be_done_is_no_hint_that_was_followed() -> None:
    with pytest.raises(NotFollowed, match="for a person"):
        follow(SCENARIOS[NAMES.index("bundle-not-found-no-folder")])


def test_what_a_hint_starts_and_never_ends_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_FOLLOWED_SECONDS", 0.2)
    place = Place(tmp_path, ExitStack(), [], {"PATH": os.environ["PATH"]})
    began = time.monotonic()
    # What it leaves behind holds the pipe, whether the shell is there or not.
    for command in ("sleep 60", "sleep 60 & exit 0"):
        with pytest.raises(NotFollowed, match="not done within"):
            following._run(place, command)
    assert time.monotonic() - began < 30
