"""The display of the tasks that run: on a terminal, and in a log."""

import io

import pytest

from runner.cli.display import progress as module
from runner.cli.display.progress import Totals, shown_progress
from runner.cli.display.running import PrintedLines, Running
from runner.events import Output, Phase, PhaseFinished, PhaseStarted, Stream


def name(number: int) -> str:
    return f"task {number}"


def started(phase: Phase, task: int | None, at: float) -> PhaseStarted:
    return PhaseStarted(phase, at, task_id=task)


def said(data: bytes, task: int, stream: Stream = Stream.STDERR) -> Output:
    return Output(stream, data, 0.0, task_id=task)


def test_each_task_has_a_line_with_its_phase_its_time_and_the_last_that_it_printed() -> None:
    running = Running(name, ["correct horse"])
    running.listen(started(Phase.ENVIRONMENT, None, 0.0))
    running.listen(started(Phase.LOAD, 1, 10.0))
    running.listen(started(Phase.EXECUTE, 2, 5.0))
    running.listen(said(b"first\nhalf of it\r 10%|#  |\r", 2))
    running.listen(said(b" 50%|###  |", 2))
    running.listen(started(Phase.EXECUTE, 3, 70.0))
    running.listen(said(b"a correct horse\n\n", 3))
    assert running.lines(75.0, 9) == [
        "making the environment, 1:15",
        "task 2, 1:10: 50%|### |",
        "task 1, loading the bundle, 1:05",
        "task 3, 0:05: a ****",
    ]
    assert running.lines(75.0, 2) == ["making the environment, 1:15", "and 3 more"]
    assert running.lines(75.0, 0) == []
    running.listen(PhaseFinished(Phase.EXECUTE, 76.0, 71.0, "ok", task_id=2))
    running.listen(PhaseFinished(Phase.ENVIRONMENT, 76.0, 76.0, "ok"))
    assert [line.partition(",")[0] for line in running.lines(76.0, 9)] == ["task 1", "task 3"]


def test_no_part_of_a_secret_is_shown_of_a_long_line() -> None:
    running = Running(name, ["correct horse"])
    running.listen(started(Phase.EXECUTE, 0, 0.0))
    running.listen(said(b"correct horse" + b"." * 2040, 0))
    assert running.lines(1.0, 1) == ["task 0, 0:01"]
    running.listen(said(b"\nnext correct hor", 0))
    assert running.lines(1.0, 1) == ["task 0, 0:01: next"]
    running.listen(said(b"\x1b[2Jse is\n", 0))
    assert "\x1b" not in running.lines(1.0, 1)[0]


def test_a_log_says_what_runs_also_where_no_task_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    running, log = Running(name), io.StringIO()
    for number in range(3):
        running.listen(started(Phase.EXECUTE, number, module.time.monotonic() - 65))
    with shown_progress(Totals(3, 0), log, running) as progress:
        progress.refresh()
        assert log.getvalue() == "", "not before its time"
    monkeypatch.setattr(module, "LOG_SECONDS", 0.0)
    with shown_progress(Totals(3, 0), log, running) as progress:
        progress.refresh()
    assert log.getvalue() == "0 of 3 done, 0 failed; task 0, 1:05; and 2 more\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_no_more_lines_than_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in (("LINES", "6"), ("COLUMNS", "40"), ("TERM", "xterm")):
        monkeypatch.setenv(variable, value)
    running, terminal = Running(name), Terminal()
    for number in range(20):
        running.listen(started(Phase.EXECUTE, number, module.time.monotonic() - 65 + number))
        running.listen(said(b"x" * 200, number))
    totals = Totals(20, 0)
    with shown_progress(totals, terminal, running) as progress:
        totals.done = 1
        progress.refresh()
        progress.say("a line [of text]")
        shown = terminal.getvalue()
    drawn = shown.rpartition("done, 0 failed")[2].splitlines()[1:]
    assert [line.split(",")[0].strip() for line in drawn] == [
        *("task 0", "task 1", "task 2", "and 17 more")
    ]
    assert all(len(line) <= 40 for line in drawn)
    assert "a line [of text]" in shown and "1 of 20 done, 0 failed" in shown


def test_where_only_what_fails_is_said_the_rest_is_not() -> None:
    file = io.StringIO()
    with shown_progress(Totals(3, 0), file, quiet=True) as progress:
        progress.say("a note")
        progress.fail("task 1: no")
        progress.refresh()
    assert file.getvalue() == "task 1: no\n"


def test_printed_lines_have_the_name_of_their_task() -> None:
    printed = PrintedLines(name)
    assert printed.lines(said(b"one\nhalf ", 1, Stream.STDOUT)) == ["task 1 out | one"]
    assert printed.lines(said(b"other\n", 2)) == ["task 2 err | other"]
    assert printed.lines(Output(Stream.UV, b"no task's\n", 0.0)) == []
    ended = PhaseFinished(Phase.EXECUTE, 1.0, 1.0, "ok", task_id=1)
    assert printed.lines(ended) == ["task 1 out | half "]
    assert printed.lines(ended) == []
