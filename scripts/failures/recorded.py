"""Making a scenario happen, and what is kept of it."""

import difflib
import json
import re
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from failures.scenario import ROOT, RUN_SECONDS, Place, Scenario, environ_of
from runner.diagnosis.report.model import Report
from runner.recording.format import FILE, RecordingError, read_recording
from runner.recording.replay import replay

FAILURES = ROOT / "fixtures" / "failures"
EXPECTED = "expected.json"

MAX_RECORDING_BYTES = 64 * 1024

# The name that a temporary folder gets in what is kept; of the same length, as frames on the wire
# announce theirs.
_PREFIX, _NEUTRAL = "modelops-failures-", "recorded"
_HOSTNAME = "worker"


class Refused(Exception):
    """The run cannot be kept; the message says why."""


@dataclass(frozen=True)
class Recorded:
    """The part of a run that is kept."""

    recording: str
    expected: str


def record(scenario: Scenario) -> Recorded:
    """Make it happen.

    :raises Unavailable: this machine lacks what it needs.
    :raises Refused: it gave another code, another report when replayed, or too much.
    """
    with ExitStack() as stack:
        temporary = tempfile.mkdtemp(prefix=_PREFIX)
        folder = Path(temporary).resolve()
        # Not a TemporaryDirectory, which would follow into what a scenario has mounted there.
        stack.callback(subprocess.run, ["rm", "-rf", "--one-file-system", str(folder)], check=True)
        place = Place(folder, stack, [], environ_of(folder))
        place.hidden[folder.name] = f"{_PREFIX}{_NEUTRAL}"
        scenario.settle(place)
        said = _run(scenario, place)
        report_file, recording_file = folder / "report.json", folder / "recording" / FILE
        if not report_file.exists():
            raise Refused(f"it did not fail:\n{said}")
        report = _neutral(report_file.read_text(), place)
        recording = _neutral(recording_file.read_text(), place)
        kept = _with_hostname(recording), expected_text(json.loads(report))
    code = json.loads(report)["code"]
    if code != scenario.code.value:
        raise Refused(f"it is {code}: {json.loads(report)['summary']}")
    if len(kept[0]) > MAX_RECORDING_BYTES:
        raise Refused(f"its recording takes {len(kept[0])} bytes")
    replayed = replay_text(kept[0])
    if replayed != kept[1]:
        unlike = difference(kept[1], replayed, ("live", "replayed"))
        raise Refused(f"its replay gives another report:\n{unlike}")
    return Recorded(*kept)


def _run(scenario: Scenario, place: Place) -> str:
    """Run the command to its end; returns what it said."""
    process = place.start(
        "--report", str(place.folder / "report.json"), "--record", str(place.folder / "recording")
    )
    try:
        if scenario.during is not None:
            scenario.during(process, place)
        return process.communicate(timeout=RUN_SECONDS)[1]
    finally:
        process.kill()
        process.wait()


def _neutral(text: str, place: Place) -> str:
    for name, neutral in place.hidden.items():
        text = text.replace(name, neutral)
    return text


def _with_hostname(recording: str) -> str:
    first, rest = recording.split("\n", 1)
    header = json.loads(first)
    if header["worker"] is not None:
        header["worker"]["hostname"] = _HOSTNAME
    return f"{json.dumps(header, separators=(',', ':'))}\n{rest}"


def expected_text(report: dict[str, Any]) -> str:
    """A report as it is expected: without its id and its time, of whatever machine."""
    kept = {name: value for name, value in report.items() if name not in ("id", "created_at")}
    if kept["worker"] is not None:
        kept["worker"]["hostname"] = _HOSTNAME
    return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


def report_text(report: Report) -> str:
    return expected_text(json.loads(msgspec.json.encode(report)))


def replay_text(recording: str) -> str:
    """The report that a recording gives, as it is expected.

    :raises Refused: it gives none.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / FILE).write_text(recording)
        try:
            report = replay(read_recording(Path(folder)))
        except RecordingError as error:
            raise Refused(f"it cannot be replayed: {error}") from error
    if report is None:
        raise Refused("its replay fails in nothing")
    return report_text(report)


def difference(one: str, other: str, names: tuple[str, str]) -> str:
    """A unified diff; empty where there is none."""
    lines = one.splitlines(), other.splitlines()
    return "\n".join(difflib.unified_diff(*lines, *names, lineterm=""))


_MEASURED = "pid|total_bytes|max_rss_bytes|cpu_seconds|lifetime_seconds|started_at|seconds"
# What differs from run to run, or from one checkout or port of an index to another.
_VARYING = [
    (re.compile(rf'"({_MEASURED})": [\d.e+-]+'), r'"\1": 0'),
    (re.compile(r"\b0x[0-9a-f]+\b"), "0x0"),
    (re.compile(r"\b\d+(?:\.\d+)?( ?(?:s|ms|KiB|MiB|GiB))\b"), r"0\1"),
    (re.compile(r"(thread '\S+' )\(\d+\)"), r"\1(0)"),
    (re.compile(r"/archive-v0/[\w-]+/"), "/archive-v0/random/"),
    (re.compile(r"\bat byte \d+"), "at byte 0"),
    (re.compile(r"(modelops-runner-|\.building-|\.tmp)\w{6,8}\b"), r"\1random"),
    (re.compile(r"sha256:[0-9a-f]{64}"), "sha256:digest"),
    # The key of an environment, and of what uv has built.
    (re.compile(r"\b(?:[0-9a-f]{20}|[0-9a-f]{16})\b"), "key"),
    (re.compile(r"/index/key/([^/]+)/([^/]+)/[\w-]+/"), r"/index/key/\1/\2/random/"),
    # The child says it after its hello, which is the end of the run: it may come too late.
    (re.compile(r'"bundle_protocol: tasks run on [^"]*"'), '""'),
    (re.compile(r'[^"\s]+/(?=\.venv/bin/|bundle_protocol/)'), "/checkout/"),
]


def comparable(expected: str) -> str:
    """A report without what differs from run to run."""
    for pattern, neutral in _VARYING:
        expected = pattern.sub(neutral, expected)
    return expected
