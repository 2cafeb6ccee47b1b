"""A reason that all tasks of a study have in common is no line of a log for each."""

import logging
from types import SimpleNamespace

import pytest

pytest.importorskip("distributed")

from runner.dask.failures import lost, report_of
from runner.dask.throttled_log import ThrottledLog
from runner.dask.worker.output_log import OutputLog


def test_a_reason_is_logged_once_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    log = ThrottledLog(logging.getLogger("modelops-test"))
    for number in range(250):
        log.say(logging.WARNING, "full", "task-%d: the disk is full", number)
    log.say(logging.WARNING, "another", "task-%d: something else", 0)
    often = " (so far {} times, of which most are not shown)"
    assert caplog.messages == [
        "task-0: the disk is full",
        "task-9: the disk is full" + often.format(10),
        "task-99: the disk is full" + often.format(100),
        "task-0: something else",
    ]


@pytest.mark.parametrize("retryable", [True, False])
def test_a_worker_logs_each_tasks_own_failure_and_its_own_once(
    retryable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    events: list[object] = []
    worker = SimpleNamespace(log_event=lambda _topic, said: events.append(said["key"]))
    summary = f"a disk is full, in a test where that is {retryable}"
    for number in range(5):
        log = OutputLog(f"key-{number}", worker)  # type: ignore[arg-type]
        log.failed(report_of(lost(summary, retryable=retryable)))
    assert len([line for line in caplog.messages if summary in line]) == (1 if retryable else 5)
    assert len(events) == 5
