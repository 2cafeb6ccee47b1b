"""What a run shows while it happens, in a log and on a terminal."""

import io

import pytest

from runner.cli import live as module
from runner.cli.live import Live
from runner.events import Note, Output, Phase, PhaseFinished, PhaseStarted, Stream


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def shown(file: io.StringIO) -> list[str]:
    """What a terminal shows in the end, line by line."""
    return [line.rpartition("\r\x1b[K")[2] for line in file.getvalue().split("\n")]


def test_a_status_says_what_is_being_done_for_how_long_and_what_uv_said(clock: Clock) -> None:
    file = io.StringIO()
    live = Live(file)
    live(PhaseStarted(Phase.ENVIRONMENT, 100.0))
    live.tick()
    assert file.getvalue() == ""
    live(Output(Stream.UV, b"Resolved 31 packages in 2ms\n", 101.0))
    clock.now = 112.4
    live.tick()
    assert shown(file) == [
        "  uv | Resolved 31 packages in 2ms",
        "making the environment, 12 s · uv: Resolved 31 packages in 2ms",
    ]
    live(PhaseFinished(Phase.ENVIRONMENT, 113.0, 13.0, "ok"))
    assert shown(file)[-1] == ""
    live.tick()
    assert shown(file)[-1] == ""


def test_lines_and_notes_do_not_mix_with_the_status(clock: Clock) -> None:
    file = io.StringIO()
    live = Live(file)
    live(PhaseStarted(Phase.EXECUTE, 100.0))
    clock.now = 105
    live.tick()
    live(Output(Stream.STDOUT, b"half a ", 105.0))
    live.tick()
    live(Output(Stream.STDOUT, b"line\n", 105.0))
    live.tick()
    live(Note("a note", 105.0))
    live.close_line()
    assert shown(file) == [" out | half a line", "note: a note", ""]


def test_a_long_or_hostile_line_of_uv_stays_one_line(clock: Clock) -> None:
    file = io.StringIO()
    live = Live(file)
    live(PhaseStarted(Phase.ENVIRONMENT, 100.0))
    live(Output(Stream.UV, b"x" * 500 + b"\x1b[2J\n", 100.0))
    clock.now = 105
    live.tick()
    assert len(shown(file)[-1]) <= 80
    assert "\x1b[2J" not in file.getvalue()
