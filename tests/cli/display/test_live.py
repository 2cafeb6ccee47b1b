"""The display of a run while it happens, in a log and on a terminal."""

import io

import pytest

from runner.cli.display import live as module
from runner.cli.display.live import Live
from runner.events import Note, Output, Phase, PhaseFinished, PhaseStarted, Stream


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def shown(file: io.StringIO) -> list[str]:
    """The lines that a terminal shows in the end."""
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
    live.close()
    assert shown(file) == [" out | half a line", "note: a note", ""]


def test_a_note_of_a_result_holds_no_secret_of_the_variables() -> None:
    file = io.StringIO()
    Live(file, ["correct-horse"]).note("output 'correct-horse.csv' was left")
    assert file.getvalue() == "note: output '****.csv' was left\n"


def test_a_long_or_hostile_line_of_uv_stays_one_line(clock: Clock) -> None:
    file = io.StringIO()
    live = Live(file)
    live(PhaseStarted(Phase.ENVIRONMENT, 100.0))
    live(Output(Stream.UV, b"x" * 500 + b"\x1b[2J\n", 100.0))
    clock.now = 105
    live.tick()
    assert len(shown(file)[-1]) <= 80
    assert "\x1b[2J" not in file.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(file: io.StringIO, *pieces: bytes, stream: Stream = Stream.STDERR) -> str:
    live = Live(file, ["correct horse"])
    for piece in pieces:
        live(Output(stream, piece, 0.0))
    live.close()
    return file.getvalue()


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        ([b"from https://u:hunter2@h/x\n"], " err | from https://****@h/x\n"),
        ([b"TOKEN=hun", b"ter2 and\n"], " err | TOKEN=**** and\n"),
        ([b"a correct ", b"horse\n"], " err | a ****\n"),
        ([b"half a ", b"line\n"], " err | half a line\n"),
        ([b"x ghp_" + b"a1" * 9, b"a1" * 9 + b"\n"], " err | x ghp_****\n"),
        (
            [b"-----BEGIN PRIVATE KEY-----\nMIIabc\n", b"MIIdef\n-----END PRIVATE KEY-----\nx\n"],
            " err | -----BEGIN PRIVATE KEY-----****\n"
            " err | ****-----END PRIVATE KEY-----\n err | x\n",
        ),
        ([b"no end"], " err | no end\n"),
        ([b"... ", b".", b".", b"\n"], " err | ... ..\n"),
        # As faulthandler writes a stack.
        (
            [b'  File "', b"/b/w.py", b'", line ', b"3", b" in f\n"],
            ' err |   File "/b/w.py", line 3 in f\n',
        ),
    ],
)
def test_the_live_stream_masks_what_reports_mask(pieces: list[bytes], text: str) -> None:
    assert written(io.StringIO(), *pieces) == text


def test_a_line_that_is_rewritten_is_one_line() -> None:
    bar = [b"\r 10%|#    |", b"\r 50%|###  |", b"\r100%|#####|\n", b"done\n"]
    assert written(io.StringIO(), *bar) == " err | 100%|#####|\n err | done\n"
    on_terminal = written(Terminal(), *bar)
    assert [line.rpartition("\r\x1b[K")[2] for line in on_terminal.split("\n")] == [
        *(" err | 100%|#####|", " err | done", "")
    ]
    assert " err |  50%|" in on_terminal


def test_two_streams_that_write_at_once_do_not_mix_their_lines() -> None:
    file = io.StringIO()
    live = Live(file)
    live(Output(Stream.STDOUT, b"one ", 0.0))
    live(Output(Stream.STDERR, b"other\n", 0.0))
    live(Output(Stream.STDOUT, b"line\n", 0.0))
    live.close()
    assert file.getvalue() == " out | one \n err | other\n out | line\n"
