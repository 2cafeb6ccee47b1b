"""The task that a report says it is about."""

from pathlib import Path

import msgspec
import pytest
from conftest import write_bundle
from recordings import replayed, same, text
from shown_report import report_text

from runner import Runner, RunnerError
from runner.diagnosis.report.asked import masked_params
from runner.diagnosis.report.html import report_page
from runner.diagnosis.report.model import Report, TaskInfo

WIRE = "def wire(entrypoint, params, seed):\n    raise ValueError('beta is negative')\n"
PARAMS = {
    "beta": 0.3,
    "api_token": "hunter2hunter2",
    "contacts": list(range(100_000)),
    "name": "x" * 100_000,
    "deep": {"er": {"and": {"so": {"on": [1]}}}},
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", WIRE)


def failed(runner: Runner, bundle: Path) -> Report:
    with pytest.raises(RunnerError) as caught:
        runner.execute(bundle, "forecast", PARAMS, seed=7)
    return caught.value.report


@pytest.mark.parametrize("isolation", ["fresh", "fork", "warm"])
def test_a_report_says_which_task_it_was(isolation: str, bundle: Path, cache: Path) -> None:
    with Runner(cache=cache, isolation=isolation) as runner:  # type: ignore[arg-type]
        report = failed(runner, bundle)
    task = report.task
    assert isinstance(task, TaskInfo)
    assert (task.entrypoint, task.seed) == ("forecast", 7)
    assert task.params.startswith('{"beta": 0.3, "api_token": "****')
    assert "hunter2" not in task.params and len(task.params) < 1000
    assert "… 99992 more" in task.params
    assert "task forecast, seed 7, params" in report_text(report, width=4000)
    assert "forecast" in report_page(report)
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report).task == task


def test_a_replay_says_it_too(bundle: Path, cache: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    with Runner(cache=cache, record=record) as runner:
        report = failed(runner, bundle)
    assert same(replayed(record)) == same(report)
    assert "hunter2" not in text(record)


def test_the_parameters_of_a_line_are_whole_and_masked() -> None:
    masked = masked_params(
        {**PARAMS, "url": "sqlite://correct-horse", "n_tokens": 3, "text": "\x1b[1m" + "x" * 9999},
        ["correct-horse"],
    )
    assert (masked["beta"], masked["n_tokens"]) == (0.3, 3)
    assert masked["contacts"] == PARAMS["contacts"] and masked["text"] == "\x1b[1m" + "x" * 9999
    assert masked["api_token"] == "****" and masked["url"] == "sqlite://****"
    nested = {"a": [1.5, None, True, {"b": "c"}]}
    assert masked_params(nested) == nested


def test_a_check_has_no_task(bundle: Path, cache: Path) -> None:
    (bundle / "wire.py").write_text("raise ValueError")
    with Runner(cache=cache) as runner, pytest.raises(RunnerError) as caught:
        runner.check(bundle, build=True)
    assert "task" not in msgspec.json.decode(msgspec.json.encode(caught.value.report))
