"""Whatever a child says, the report of it is safe: to keep, to send, to print, to open."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shown_report import report_text

from runner.child.dialogue import Dialogue
from runner.child.facts import Launch
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.report.html import report_page
from runner.diagnosis.report.model import ChildInfo, Report
from runner.events import Phase, Stream

SECRET = "correct-horse"
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
HELLO = {
    "protocol_versions": [1],
    "python": {
        "implementation": "CPython", "version": "3.13.0", "executable": "/p", "prefix": "/p",
        "platform": "linux-x86_64", "soabi": None,
    },
    "pid": 7,
}  # fmt: skip
# Parts of what must not come out, and of what it is recognised by.
PARTS = st.sampled_from(
    [
        SECRET, "https://user:", "tok3n-tok3n", "@host", "\x1b[31m", "\x1b]0;title\x07", "\u202e",
        "\ud800", "\x00", "\r", "\n", "</pre>", "<script>", '"', "No module named 'yaml'", "é",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcd\n-----END RSA PRIVATE KEY-----", "free(): ",
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n",
        '  File "wire.py", line 3 in wire\n', "x" * 500,
    ]
)  # fmt: skip
TEXT = st.lists(PARTS | st.text(max_size=10), max_size=6).map("".join)
FRAMES = st.fixed_dictionaries(
    {
        "file": TEXT,
        "line": st.none() | st.integers(0, 9),
        "function": TEXT,
        "text": st.none() | TEXT,
    }
)
TYPES = st.sampled_from(
    ["ImportError", "ModuleNotFoundError", "SyntaxError", "MemoryError", "SystemExit", "OSError"]
)
EXCEPTIONS: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {
            "type": TYPES | TEXT,
            "message": TEXT,
            "notes": st.lists(TEXT, max_size=2),
            "traceback": st.lists(FRAMES, max_size=3),
            "attributes": st.dictionaries(
                st.sampled_from(["name", "path", "lineno", "filename", "text"]) | TEXT,
                st.none() | st.integers(0, 99) | TEXT,
                max_size=3,
            ),
            "cause": st.none() | EXCEPTIONS,
        }
    )
)


def frame(message: dict[str, Any]) -> bytes:
    # As the child's own: what is not UTF-8 is escaped.
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def run(phase: Phase, answer: bytes, stderr: bytes = b"", ended: Exit | None = None) -> Report:
    """The report of a child that says this in that phase."""
    case = Case(environ={"DEPLOY_TOKEN": SECRET})
    case.child = ChildInfo(argv=["python"])
    launch = Launch(Path("/p"), "3.13.0", Path("/b"), None, None, False, [], ())
    dialogue = Dialogue(case, launch)
    dialogue.feed_output(Stream.STDOUT, stderr)
    dialogue.feed_output(Stream.STDERR, stderr)
    if phase is not Phase.HANDSHAKE:
        dialogue.feed(frame({"method": "hello", "params": HELLO}))
        hello = dialogue.take(Phase.HANDSHAKE)
        assert hello is not None
        dialogue.greet(hello)
        dialogue.initialize(Path("/x"))
        dialogue.sending()
        dialogue.sent()
    dialogue.feed(answer)
    dialogue.end(ended or Exit(3, None, None, None, None, 1.0))
    with pytest.raises(Failure) as caught:
        if (message := dialogue.take(phase)) is not None:
            dialogue.loaded(message)
        dialogue.take(phase)
    return case.report(caught.value.finding)


def check(report: Report) -> None:
    encoded = msgspec.json.encode(report)
    assert msgspec.json.decode(encoded, type=Report) == report
    texts: list[str] = []

    def collect(value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                texts.append(key)
                collect(item)
        elif isinstance(value, list):
            for item in value:
                collect(item)
        elif isinstance(value, str):
            texts.append(value)

    collect(msgspec.to_builtins(report))
    shown, page = report_text(report), report_page(report)
    for text in (*texts, shown, page):
        assert SECRET not in text
        assert "MIIEabcd" not in text
        assert "user:tok3n-tok3n@" not in text
        assert not FORBIDDEN.search(text), ascii(FORBIDDEN.findall(text))
    assert "\n" not in report.summary
    assert len(encoded) < 16 << 20
    tags = Tags()
    tags.feed(page)
    assert not tags.seen & {"script", "link", "img", "iframe", "object"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}


@given(EXCEPTIONS, st.sampled_from([-32001, -32002, -32005, -32008, -32603, 7]), TEXT)
def test_the_report_of_any_error_that_a_child_answers_with_is_safe(
    exception: dict[str, Any], code: int, message: str
) -> None:
    error = {"code": code, "message": message, "data": {"exception": exception}}
    report = run(Phase.LOAD, frame({"id": 1, "error": error}))
    # What is not UTF-8 is not a message, and unknown codes are none of the protocol's.
    assert report.exception or code in (-32603, 7) or "\\ud800" in json.dumps(error)
    check(report)


@given(
    st.sampled_from([Phase.HANDSHAKE, Phase.LOAD]),
    TEXT.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=200),
    TEXT.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=200),
    st.sampled_from([None, "SIGSEGV", "SIGABRT", "SIGKILL", "SIGBUS"]),
)
def test_the_report_of_any_death_is_safe(
    phase: Phase, wire: bytes, stderr: bytes, signal_name: str | None
) -> None:
    ended = Exit(None if signal_name else 3, None, signal_name, None, None, 1.0)
    check(run(phase, wire, stderr, ended))


@pytest.mark.parametrize(
    "exception",
    [
        {"message": "x" * (30 << 20)},
        {"notes": ["n"] * 200_000},
        {"notes": ["n" * 200_000] * 20},
        {"traceback": [{"file": "f", "line": 1, "function": "g"}] * 100_000},
        {"attributes": {f"a{number}": "v" for number in range(100_000)}},
        {"attributes": {"a" * (30 << 20): "v"}},
        {"exceptions": [{"type": "E", "message": ""}] * 100_000},
    ],
    ids=lambda exception: next(iter(exception)),
)
def test_the_report_of_an_enormous_error_is_bounded(exception: dict[str, Any]) -> None:
    error = {"code": -32001, "message": "m", "data": {"exception": {
        "type": "ValueError", "message": "m", **exception,
    }}}  # fmt: skip
    check(run(Phase.LOAD, frame({"id": 1, "error": error})))


@pytest.mark.parametrize("cut", [100, 120, 200, 399])
def test_what_is_left_of_a_secret_at_the_end_of_a_cut_summary_is_masked(cut: int) -> None:
    said = "x" * (cut - 60) + "-" * 40 + SECRET * 3 + "y" * 400
    for size in range(30):
        error = {"code": -32008, "message": "z" * size + said}
        report = run(Phase.LOAD, frame({"id": 1, "error": error}))
        assert SECRET[:6] not in report.summary


def test_what_is_left_of_a_secret_at_the_edges_of_a_cut_stream_is_masked() -> None:
    for shift in range(20):
        stderr = b"x" * (16 * 1024 - shift) + SECRET.encode() + b"y" * 100_000
        stderr += SECRET.encode() + b"z" * (48 * 1024 - shift)
        report = run(Phase.LOAD, b"", stderr)
        assert report.evidence.stderr is not None and report.evidence.stderr.truncated
        assert SECRET[:6] not in report.evidence.stderr.text
        assert SECRET[-6:] not in report.evidence.stderr.text
