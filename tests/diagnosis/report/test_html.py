import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from forked_command import run_command
from hypothesis import given
from hypothesis import strategies as st

from runner.cli.show import read_report
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.html import report_page
from runner.diagnosis.report.model import Edit, Evidence, Excerpt, Hint, Report
from runner.events import Phase


def report(stderr: str = "", summary: str = "it broke", command: str = "ls") -> Report:
    case = Case()
    with case.journal.phase(Phase.BUNDLE):
        pass
    case.evidence = Evidence(stderr=Excerpt(stderr, len(stderr), False))
    return case.report(
        Finding(
            phase=Phase.LOAD,
            code=Code.CHILD_EXITED,
            summary=summary,
            explanation="because",
            hints=[Hint(title="do", command=command, edit=Edit("a.toml", "new", "old"))],
        )
    )


class Checker(HTMLParser):
    """Sees that what is opened is closed, and that nothing is fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {name for name, _ in attrs} & {"src", "href", "onclick", "onload"}
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("rect",)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check(page: str) -> None:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert "url(" not in page and "@import" not in page


@given(st.text(), st.text(), st.text())
def test_a_page_is_whole_and_runs_nothing_whatever_the_report_says(
    stderr: str, summary: str, command: str
) -> None:
    check(report_page(report(stderr, summary, command)))
    check(
        report_page(report(f"<script>{stderr}", f"</h1>{summary}", f"</pre><img src=x>{command}"))
    )


def test_the_line_that_the_summary_quotes_is_marked() -> None:
    page = report_page(report("one\nno licence\nthree\n", "exited with 3: no licence"))
    assert re.findall("<mark>(.*?)</mark>", page) == ["no licence"]
    page = report_page(report("one\ntwo\n"))
    assert re.findall("<mark>(.*?)</mark>", page) == ["two"]


def test_a_saved_report_is_read_in_either_form_and_sanitised_again() -> None:
    saved = report()
    encoded = msgspec.json.encode(saved)
    assert read_report(encoded) == saved
    assert read_report(b'{"ok": false, "report": ' + encoded + b"}") == saved
    document = json.loads(encoded) | {"summary": "\x1b[2J evil"}
    assert read_report(json.dumps(document).encode()).summary == "\\x1b[2J evil"


def run(*args: str | Path) -> "subprocess.CompletedProcess[str]":
    return run_command([sys.executable, "-m", "runner", "report", *map(str, args)], timeout=60)


def test_the_command_prints_a_report_again_and_writes_its_page(tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(msgspec.json.encode(report()))
    done = run(file)
    assert done.returncode == 0 and done.stdout.startswith("error[child-exited]: it broke\n")
    page = tmp_path / "report.html"
    assert run(file, "--html", page).returncode == 0
    check(page.read_text())


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"ok": true, "outputs": {}}'])
def test_what_is_no_report_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_bytes(content)
    done = run(file)
    assert done.returncode == 2
    assert "is not a report" in done.stderr
    assert run(tmp_path / "nowhere").returncode == 2
