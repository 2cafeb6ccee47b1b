"""The events of runs in ``logging``, and the example that docs/events.md gives."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner import (
    Diagnosed,
    Event,
    LoggingHandler,
    Note,
    Output,
    Phase,
    PhaseFinished,
    PhaseStarted,
    Stream,
)

DOCUMENT = (Path(__file__).parents[1] / "docs" / "events.md").read_text()


def logged(caplog: pytest.LogCaptureFixture, *events: Event) -> list[tuple[int, str]]:
    handler = LoggingHandler(logging.getLogger("tests.events"))
    with caplog.at_level(logging.DEBUG, "tests.events"):
        for event in events:
            handler(event)
    return [(record.levelno, record.getMessage()) for record in caplog.records]


def test_each_event_has_its_level_and_its_ids(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(
        caplog,
        PhaseStarted(Phase.LOAD, 1.0, run_id="0123456789", task_id=3),
        PhaseFinished(Phase.LOAD, 2.0, 1.0, "failed", run_id="0123456789", task_id=3),
        Note("an environment was rebuilt", 2.0, run_id="0123456789", task_id=3),
        Diagnosed("load-raised", "no\x1b", 2.0, run_id="0123456789"),
    ) == [
        (logging.DEBUG, "[01234567/3] load started"),
        (logging.DEBUG, "[01234567/3] load failed after 1.000 s"),
        (logging.INFO, "[01234567/3] note: an environment was rebuilt"),
        (logging.ERROR, "[01234567] load-raised: no\x1b"),
    ]
    assert [vars(record)["task_id"] for record in caplog.records] == [3, 3, 3, None]
    assert vars(caplog.records[0])["run_id"] == "0123456789"


def test_lines_of_tasks_that_write_at_once_are_kept_apart(caplog: pytest.LogCaptureFixture) -> None:
    def wrote(task_id: int, data: bytes, stream: Stream = Stream.STDOUT) -> Output:
        return Output(stream, data, 0.0, run_id="r", task_id=task_id)

    assert logged(
        caplog,
        wrote(0, b"a\nb"),
        wrote(1, b"x\xc3"),
        wrote(0, b"e\n", Stream.STDERR),
        wrote(1, b"\xb6\n"),
        wrote(0, b"c"),
        PhaseFinished(Phase.EXECUTE, 0.0, 0.0, "ok", run_id="r", task_id=0),
        wrote(2, b"z" * 5000),
    )[:5] == [
        (logging.INFO, "[r/0] stdout | a"),
        (logging.INFO, "[r/0] stderr | e"),
        (logging.INFO, "[r/1] stdout | xö"),
        (logging.INFO, "[r/0] stdout | bc"),
        (logging.DEBUG, "[r/0] execute ok after 0.000 s"),
    ]
    assert [len(record.getMessage()) for record in caplog.records[5:]] == [5000 + 15]


def test_streams_that_nobody_ends_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    handler = LoggingHandler(logging.getLogger("tests.events"))
    with caplog.at_level(logging.INFO, "tests.events"):
        for number in range(1500):
            handler(Output(Stream.STDOUT, b"late", 0.0, run_id="r", task_id=number))
    assert caplog.messages == [f"[r/{number}] stdout | late" for number in range(500)]


def test_the_example_prints_what_the_document_says(tmp_path: Path, cache: Path) -> None:
    [program, wire, printed] = re.findall(r"^```(?:python)?\n(.*?)^```$", DOCUMENT, re.S | re.M)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "requirements.txt").write_text("")
    (tmp_path / "bundle" / "wire.py").write_text(wire)
    program = program.replace("Runner(", f"Runner(cache={str(cache)!r}, ")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr

    def without_id(text: str) -> list[str]:
        return re.sub(r"\[[0-9a-f]{8}/", "[/", text).splitlines()

    lines = [line for line in without_id(done.stdout) if " note: " not in line]
    assert sorted(lines) == sorted(without_id(printed))
