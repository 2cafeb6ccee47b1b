"""Which calls are shown, and what of a stream is told already."""

from html import unescape
from pathlib import Path

import pytest
from recordings import replayed
from shown_report import report_text

from runner.diagnosis.report.frames import is_standard_library, shown_frames, without_told
from runner.diagnosis.report.model import ExceptionInfo, Frame, Report

FAILURES = Path(__file__).parents[3] / "fixtures" / "failures"
OWN = [Frame(f"/b/model_{n}.py", n, "step") for n in range(5)]
LIBRARY = [Frame(f"/e/lib/python3.12/site-packages/lib/x{n}.py", n, "f") for n in range(40)]


def report_of(name: str) -> Report:
    report = replayed(FAILURES / name)
    assert report is not None
    return report


def test_a_traceback_never_loses_the_users_own_calls() -> None:
    exception = ExceptionInfo("ValueError", "", traceback=[*OWN, *LIBRARY], frames_omitted=7)
    shown, after = shown_frames(exception, 6)
    assert [frame for _, frame in shown] == [*OWN, *LIBRARY[-6:]]
    assert sum(left_out for left_out, _ in shown) + after == 34 + 7
    exception = ExceptionInfo("ValueError", "", traceback=[*LIBRARY, OWN[0]])
    assert shown_frames(exception, 6)[0][0].frame == LIBRARY[-5]


@pytest.mark.parametrize(
    ("file", "standard"),
    [
        ("/root/.pyenv/versions/3.11.7/lib/python3.11/threading.py", True),
        ("/usr/lib/python3.12/json/decoder.py", True),
        ("<frozen importlib._bootstrap>", True),
        ("/v/lib/python3.11/site-packages/numpy/core.py", False),
        ("/home/me/lib/model.py", False),
    ],
)
def test_the_standard_library_is_known_by_its_place(file: str, standard: bool) -> None:
    assert is_standard_library(file) == standard


def test_the_stack_of_a_time_out_is_told_once_and_without_the_runner() -> None:
    report = report_of("child-hung-task")
    text = report_text(report, width=100)
    assert "bundle_protocol" not in text and text.count("wire.py:7 in wire") == 1
    assert 'wire.py", line 7 in wire' not in text and "Thread 0x" not in text


def test_other_threads_stay() -> None:
    stack = (
        "said before\nThread 0x1 (most recent call first):\n"
        '  File "/b/other.py", line 3 in work\n\n'
        "Current thread 0x2 (most recent call first):\n"
        '  File "/b/wire.py", line 7 in wire\n  File "/x/bundle_protocol/server.py", line 9 in a\n'
    )
    told = without_told(
        stack, ExceptionInfo("Fatal", "x", traceback=[Frame("/b/wire.py", 7, "wire")])
    )
    assert told.split("\n")[:3] == stack.split("\n")[:3]
    assert "Current thread" not in told and "bundle_protocol" not in told


def test_a_long_path_is_broken_at_a_slash() -> None:
    report = report_of("child-hung-task")
    assert report.exception is not None
    text = report_text(report, width=60)
    (begin,) = [line for line in text.splitlines() if line.strip().startswith("/root/.pyenv")][:1]
    assert len(begin) <= 60 and begin.endswith("/")


def test_a_notebook_shows_a_report_that_can_do_nothing_to_it() -> None:
    report = report_of("child-hung-task")
    report.summary = "<script>alert(1)</script>"
    shown = report._repr_html_()
    assert shown.startswith('<iframe srcdoc="') and ' sandbox=""' in shown
    assert "<script" not in shown and "<script" not in unescape(shown)
    assert "prefers-color-scheme: dark" in shown
