"""Where a child stood when its time ran out: its lines, the loops around them, its locks."""

from pathlib import Path

import pytest
from following import follow
from recordings import failure, replayed, same

from runner import Runner
from runner.diagnosis.case import Case
from runner.diagnosis.report.model import BundleInfo, ExceptionInfo, Frame, Report
from runner.diagnosis.stack_lines import StackLine
from runner.diagnosis.standing import endless, integrates

LOOP = """\
def step(x, token="sk-proj-4XbLq8Zr2Vw9Ty6Nc1Md5Kf7"):
    return x * 0.5

def wire(entrypoint, params, seed):
    x = 1.0
    for year in range(3):
        while x > -1:
            x = step(x)
    return {}
"""
LOCK = """\
import threading

class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0

    def add(self, number):
        with self.lock:
            self.count += number

    def add_all(self, numbers):
        with self.lock:
            for number in numbers:
                self.add(number)

def wire(entrypoint, params, seed):
    Store().add_all([1, 2])
    return {"a": b""}
"""


def _hung(folder: Path, cache: Path, code: str, record: Path | None = None) -> Report:
    (folder / "requirements.txt").write_text("")
    (folder / "wire.py").write_text(code)
    with Runner(cache=cache, timeout=1, record=record) as runner:
        return failure(runner, folder)


@pytest.mark.parametrize("isolation", ["fork", "warm"])
def test_a_stack_has_its_lines_and_the_loops_around_them(
    isolation: str, tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(LOOP)
    with Runner(cache=cache, timeout=1, isolation=isolation) as runner:
        report = failure(runner, tmp_path)
    assert report.exception is not None
    assert report.exception.traceback[0].text in ("x = step(x)", "while x > -1:")
    told = (
        "It stood in `for year in range(3):` of wire.py:6 (wire), in `while x > -1:` of wire.py:7"
    )
    assert report.explanation.startswith(told)
    assert report.hints[-1].title.startswith("see what ends `while x > -1:` of wire.py:7 (wire)")


def test_a_recording_has_what_was_read_and_no_secret(tmp_path: Path, cache: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    code = LOOP.replace("    return x * 0.5", "    while True: pass")
    code = code.replace("while True: pass", 'while "sk-proj-4XbLq8Zr2Vw9Ty6Nc1Md5Kf7": pass')
    report = _hung(bundle, cache, code, tmp_path / "recorded")
    recorded = tmp_path / "recorded"
    (bundle / "wire.py").unlink()
    assert same(replayed(recorded)) == same(report)
    assert "4XbLq8Zr2Vw9Ty6Nc1Md5Kf7" not in str(report.exception) + report.explanation
    assert "4XbLq8Zr2Vw9Ty6Nc1Md5Kf7" not in (recorded / "recording.jsonl").read_text()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no states of threads")
@pytest.mark.parametrize("module", ["threading", "multiprocessing"])
def test_a_lock_that_is_taken_twice_becomes_one_that_may_be(
    module: str, tmp_path: Path, cache: Path
) -> None:
    report = _hung(tmp_path, cache, LOCK.replace("threading", module))
    assert report.summary.endswith(
        "and waited there for self.lock, which wire.py:13 (add_all) has taken before"
    )
    follow(report, tmp_path)
    with Runner(cache=cache, timeout=60) as runner:
        runner.execute(tmp_path)


def test_a_crash_has_its_lines(tmp_path: Path, cache: Path) -> None:
    code = "import ctypes\ndef wire(e, p, s):\n    ctypes.string_at(0)\n    return {}\n"
    report = _hung(tmp_path, cache, code)
    assert report.code == "child-crashed" and report.exception is not None
    assert report.exception.traceback[0].text == "ctypes.string_at(0)"


def _standing(
    text: str, package: str, handed: dict[str, str | int] | None = None
) -> tuple[Case, ExceptionInfo]:
    case = Case()
    case.bundle = BundleInfo(path="/b")
    case.stack = (StackLine("/b/wire.py", 3, text, hands_over=handed or {}),)
    inside = Frame(f"/v/lib/python3.12/site-packages/{package}.py", 9, "run")
    frames = [Frame("/b/wire.py", 3, "wire"), inside]
    return case, ExceptionInfo(type="TimedOut", message="", traceback=frames)


def test_what_has_no_end_is_told() -> None:
    case, stack = _standing("env.run()", "simpy/core")
    hint = endless(case, stack)
    assert hint is not None and ".run(until=...); without, it ends with the last" in hint.title
    assert endless(*_standing("env.run(until=9)", "simpy/core")) is None
    solves = "s = solve_ivp(rhs, (0, 1), [1])"
    handed = {"returns_nothing": "rhs", "last_text": "d = [-y[0]]", "last_value": "d"}
    case, stack = _standing(solves, "scipy/integrate/_ivp/rk", {**handed})
    hint = endless(case, stack)
    assert hint is not None and hint.edit is not None
    assert hint.edit.after == "d = [-y[0]]\nreturn d"
    # One rate where there are several would be taken for all of them.
    one = {**handed, "last_text": "dr = gamma * i", "last_value": "dr"}
    hint = endless(*_standing(solves, "scipy/integrate/_ivp/rk", one))
    assert hint is not None and hint.edit is None
    case, stack = _standing(solves, "scipy/integrate/_ivp/rk")
    assert endless(case, stack) is None
    hint = integrates(case, stack)
    assert hint is not None and "a rate that rhs gives becomes NaN" in hint.title
    assert integrates(*_standing("minimize(cost, [1])", "scipy/optimize/a")) is None
