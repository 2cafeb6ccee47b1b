"""Shared by the tests of recordings."""

from pathlib import Path

import msgspec

from runner import Runner, RunnerError
from runner.diagnosis.report.model import Report
from runner.recording.format import FILE, Entry, read_recording
from runner.recording.replay import replay


def same(report: Report | None) -> bytes:
    """A report without what differs from one making of it to the next."""
    assert report is not None
    return msgspec.json.encode(msgspec.structs.replace(report, id="", created_at=""))


def failure(runner: Runner, bundle: Path, *, check: bool = False) -> Report:
    """The report of a run that fails."""
    try:
        if check:
            runner.check(bundle, build=True)
        else:
            runner.execute(bundle)
    except RunnerError as error:
        return error.report
    raise AssertionError("it went well")


def replayed(folder: Path) -> Report | None:
    return replay(read_recording(folder))


def entries(folder: Path, source: str) -> list[Entry]:
    return [entry for entry in read_recording(folder).entries if entry.source == source]


def text(folder: Path) -> str:
    return (folder / FILE).read_text("utf-8")
