import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.diagnosis.report.sanitise import sanitise_text
from runner.diagnosis.report.shown_lines import ShownLines
from runner.diagnosis.report.text import Capture, decode, last_lines, one_line, printable

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def test_a_short_stream_is_kept_whole() -> None:
    capture = Capture()
    capture.feed(b"one\n")
    capture.feed(b"two\n")
    excerpt = capture.excerpt()
    assert (excerpt.text, excerpt.total_bytes, excerpt.truncated) == ("one\ntwo\n", 8, False)


def test_a_long_stream_keeps_its_head_and_its_tail_and_says_what_is_missing() -> None:
    capture = Capture(head_bytes=4, tail_bytes=4)
    for _ in range(1000):
        capture.feed(b"abcdefgh")
    excerpt = capture.excerpt()
    assert excerpt.text == "abcd\n[... 7992 bytes left out ...]\nefgh"
    assert excerpt.total_bytes == 8000
    assert excerpt.truncated


@given(st.lists(st.binary(max_size=50)), st.integers(0, 20), st.integers(1, 20))
def test_a_capture_is_bounded_and_loses_nothing_of_either_end(
    pieces: list[bytes], head: int, tail: int
) -> None:
    capture = Capture(head, tail)
    for piece in pieces:
        capture.feed(piece)
    whole = b"".join(pieces)
    excerpt = capture.excerpt()
    assert excerpt.total_bytes == len(whole)
    assert excerpt.truncated == (len(whole) > head + tail)
    if not excerpt.truncated:
        assert excerpt.text == decode(whole)
    else:
        assert excerpt.text.startswith(decode(whole[:head]))
        assert excerpt.text.endswith(decode(whole[-tail:]))


@given(st.text())
def test_printable_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert not FORBIDDEN.search(shown)
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_colours_go_and_other_sequences_are_shown() -> None:
    assert printable("\x1b[1;31mred\x1b[0m") == "red"
    assert printable("\x1b]0;title\x07") == "\\x1b]0;title\\x07"
    assert printable("abc\u202edef") == "abc\\u202edef"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("10%\r20%\r\ndone", "20%\ndone"),
        ("first\n\r 1%\r 2%\r 3%\nlast", "first\n 3%\nlast"),
        ("1%\r2%\r", "2%"),
        ("a\r\nb\r\n", "a\nb\n"),
    ],
)
def test_of_a_line_that_is_rewritten_its_last_state_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x1b")), st.data())
def test_a_stream_cut_anywhere_decodes_to_the_same_text(text: str, data: st.DataObject) -> None:
    whole = text.encode()
    cut = data.draw(st.integers(0, len(whole)))
    lines = ShownLines()
    shown = [*lines.feed(whole[:cut]), *lines.feed(whole[cut:], final=True)]
    assert shown == sanitise_text(text).removesuffix("\n").split("\n") or not text


@pytest.mark.parametrize(
    "lines",
    [
        ["- name: API_TOKEN", "  value: hunter2", "", "next: 1"],
        ["token: |", "  hunter2", "next: 1"],
        ["'password'", "value='hunter2'", "next: 1"],
        ["API_TOKEN", "next: 1"],
    ],
)
def test_a_secret_whose_name_is_in_the_line_before_is_masked(lines: list[str]) -> None:
    shown = ShownLines()
    fed = [line for text in lines for line in shown.feed(f"{text}\n".encode())]
    assert fed == [line.replace("hunter2", "****") for line in lines]
    shown.feed(f"{lines[0]}\n{lines[1]} and so on".encode())
    assert "hunter2" not in shown.begun


def test_the_last_lines_are_those_that_say_something() -> None:
    assert last_lines("a\n\nb\n  \nc\n\n", 2) == ["b", "c"]
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"
