"""Which workers run a bundle, from what came of its tasks."""

import pytest

pytest.importorskip("distributed")

from runner.dask.answer import Answer
from runner.dask.client.eligibility import Eligibility, Pinned, Placement
from runner.dask.failures import report_of, unfit
from runner.diagnosis.case import Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Report
from runner.events import Phase

ONE, TWO, THREE = (f"tcp://10.0.0.{number}:4000" for number in (1, 2, 3))


def report(code: Code, phase: Phase) -> Report:
    return report_of(Finding(phase=phase, code=code, summary="it failed"))


def test_where_all_can_run_it_those_to_come_may_as_well() -> None:
    assert Eligibility("", [ONE, TWO], {}, "model").among([ONE, TWO]) is None


def test_one_that_joins_is_asked_first() -> None:
    eligibility = Eligibility("", [ONE], {}, "model")
    assert eligibility.among([ONE, TWO]) == [ONE] and eligibility.unknown([ONE, TWO]) == [TWO]
    eligibility.welcome(TWO)
    assert eligibility.among([ONE, TWO]) is None and not eligibility.unknown([ONE, TWO])


@pytest.mark.parametrize("leaves", [False, True])
def test_where_one_could_not_none_gets_tasks_unasked(leaves: bool) -> None:
    eligibility = Eligibility("", [ONE], {}, "model")
    if leaves:
        eligibility.left(TWO)
    else:
        eligibility.refuse(TWO, report_of(unfit("no")))
    assert eligibility.among([ONE]) == [ONE]
    eligibility.welcome(TWO)
    assert eligibility.among([ONE, TWO]) == [ONE, TWO]


def test_one_that_cannot_is_left_out() -> None:
    eligibility = Eligibility("", [ONE, THREE], {TWO: report_of(unfit("no"))}, "model")
    assert eligibility.among([ONE, TWO, THREE]) == [ONE, THREE]
    assert eligibility.among([TWO]) == []


def test_a_worker_that_refuses_is_the_one_at_fault() -> None:
    eligibility = Eligibility("", [ONE, TWO], {}, "model")
    assert eligibility.learn(Answer(report=report_of(unfit("no")), worker=TWO))
    assert eligibility.among([ONE, TWO]) == [ONE]


def test_what_fails_before_the_load_is_the_fault_of_a_worker_that_was_not_tried() -> None:
    answer = report(Code.PYTHON_UNSATISFIED, Phase.INTERPRETER)
    eligibility = Eligibility("", [ONE], {}, "model")
    assert not eligibility.learn(Answer(report=answer, worker=ONE))
    assert eligibility.learn(Answer(report=answer, worker=TWO))
    assert eligibility.among([ONE, TWO]) == [ONE]


def test_one_that_has_run_a_task_is_tried() -> None:
    eligibility = Eligibility("", [ONE], {}, "model")
    assert not eligibility.learn(Answer(worker=TWO))
    failed = report(Code.DISK_FULL, Phase.ENVIRONMENT)
    assert not eligibility.learn(Answer(report=failed, worker=TWO))


@pytest.mark.parametrize("phase", [Phase.LOAD, Phase.EXECUTE])
def test_what_fails_later_is_the_bundles_own(phase: Phase) -> None:
    eligibility = Eligibility("", [], {}, "model")
    assert not eligibility.learn(Answer(report=report(Code.CHILD_EXITED, phase), worker=ONE))


def test_what_is_for_some_workers_goes_to_no_other() -> None:
    pinned = Pinned("", [ONE])
    assert not pinned.learn(Answer(report=report_of(unfit("no")), worker=ONE))
    assert pinned.among([ONE, TWO]) == [ONE] and pinned.final


@pytest.mark.parametrize(
    ("option", "value"), [("retries", -1), ("retries", "3"), ("retries", 1.5), ("priority", "high")]
)
def test_a_number_that_is_none_is_refused_before_anything_is_sent(
    option: str, value: object
) -> None:
    with pytest.raises(ValueError, match=f"{option} must be an integer"):
        Placement.of(**{option: value})
