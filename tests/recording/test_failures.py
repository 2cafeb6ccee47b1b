"""The failures of fixtures/failures, which scripts/record_failures made happen, replayed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase
from runner.recording.format import FILE, read_recording
from runner.recording.replay import replay

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from failures import NOT_RECORDABLE, SCENARIOS  # noqa: E402
from failures.recorded import EXPECTED, FAILURES, MAX_RECORDING_BYTES, report_text  # noqa: E402

FOLDERS = sorted(folder.name for folder in FAILURES.iterdir() if folder.is_dir())


def report_of(name: str) -> Report:
    report = replay(read_recording(FAILURES / name))
    assert report is not None
    return report


@pytest.mark.parametrize("name", FOLDERS)
def test_a_replay_gives_the_report_of_the_live_run_which_says_the_cause_and_what_to_do(
    name: str,
) -> None:
    report = report_of(name)
    assert report_text(report) == (FAILURES / name / EXPECTED).read_text()
    assert report.summary and "\n" not in report.summary
    assert report.hints and all(hint.title for hint in report.hints)
    assert report.phase in report.code.phases or not report.code.phases


def test_every_recording_is_of_a_scenario_and_has_its_code() -> None:
    assert sorted(scenario.name for scenario in SCENARIOS) == FOLDERS
    for scenario in SCENARIOS:
        expected = json.loads((FAILURES / scenario.name / EXPECTED).read_text())
        assert expected["code"] == scenario.code.value


def test_every_code_is_recorded_or_cannot_be() -> None:
    recorded = {scenario.code.value for scenario in SCENARIOS}
    assert recorded.isdisjoint(NOT_RECORDABLE)
    assert recorded | set(NOT_RECORDABLE) == {code.value for code in Code}


def test_no_cause_ends_as_a_fault_of_the_runner() -> None:
    for scenario in SCENARIOS:
        assert (scenario.code is Code.INTERNAL_ERROR) == scenario.name.startswith("internal-error")


def test_recordings_are_small_and_have_nothing_of_the_machine_in_them() -> None:
    sizes = {name: (FAILURES / name / FILE).stat().st_size for name in FOLDERS}
    assert max(sizes.values()) <= MAX_RECORDING_BYTES
    assert sum(sizes.values()) < len(sizes) * (8 << 10)
    hosts = re.compile(r"\b(?:https?|ssh|git)://(?:[^/\s@\"]*@)?([^/\s\"'`\\)]+)")
    allowed = re.compile(
        r"127\.0\.0\.1|localhost|.*\.example|.*\.invalid|docs\.astral\.sh|git-lfs\.github\.com"
        r"|download\.pytorch\.org"
    )
    for name in FOLDERS:
        for file in (FILE, EXPECTED):
            text = (FAILURES / name / file).read_text()
            assert not [host for host in hosts.findall(text) if not allowed.match(host)], name
            temporary = set(re.findall(r"modelops-failures-(\w+)", text))
            assert temporary <= {"recorded"}, name


# Whatever starts a process or reaches out: these events come before it happens (PEP 578).
LONELY = """
import sys
sys.dont_write_bytecode = True

REFUSED = {
    "subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn",
    "os.system", "socket.connect", "socket.bind", "socket.getaddrinfo",
}

def refuse(event, arguments):
    if event in REFUSED:
        print(f"refused: {event} {arguments}", file=sys.stderr)
        raise SystemExit(99)

sys.addaudithook(refuse)
from runner.recording.format import read_recording
from runner.recording.replay import replay
from pathlib import Path

for folder in sorted(Path(sys.argv[1]).iterdir()):
    assert replay(read_recording(folder)) is not None
    print(folder.name)
"""


def test_a_replay_starts_no_process_and_needs_no_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LONELY, str(FAILURES)],
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == FOLDERS


@pytest.mark.parametrize("phase", [Phase.INTERPRETER, Phase.ENVIRONMENT, Phase.LOAD])
def test_the_command_replays_one_of_each_kind(phase: Phase, tmp_path: Path) -> None:
    name = next(name for name in FOLDERS if report_of(name).phase is phase)
    file = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "runner", "replay", str(FAILURES / name), "--report", str(file)],
        env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = json.loads((FAILURES / name / EXPECTED).read_text())
    report = json.loads(file.read_text())
    assert expected.items() <= report.items()
    assert report.keys() - expected.keys() == {"id", "created_at"}
    assert expected["code"] in done.stdout


# One of each kind, so that on every machine a live run is compared with its replay.
AGAIN = ["bundle-invalid-toml", "dependency-not-found", "load-raised", "child-crashed-task"]


def test_failures_can_be_made_to_happen_again() -> None:
    before = {name: (FAILURES / name / FILE).read_bytes() for name in AGAIN}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "record_failures.py"), "--check", *AGAIN],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    results = re.findall(r"^(\w+) +([a-z-]+)$", done.stdout, re.MULTILINE)
    assert [name for _, name in results] == AGAIN, done.stdout + done.stderr
    # Another machine has another Python, say; what it reports replays all the same.
    assert {result for result, _ in results} <= {"unchanged", "changed"}, done.stdout
    assert {name: (FAILURES / name / FILE).read_bytes() for name in AGAIN} == before
