import json
import pickle
from pathlib import Path

import msgspec
import pytest

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.errors import (
    BundleError,
    ChildStartError,
    EnvironmentBuildError,
    ExecutionError,
    InternalError,
    InterpreterError,
    RunnerError,
    error_for,
)
from runner.diagnosis.own_failures import cancelled, internal_error
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import SCHEMA, Report
from runner.events import Phase

DOCS = Path(__file__).parents[3] / "docs"


def report(phase: Phase = Phase.LOAD, code: Code = Code.LOAD_RAISED) -> Report:
    case = Case()
    with case.journal.phase(Phase.BUNDLE):
        pass
    return case.report(Finding(phase=phase, code=code, summary="it broke"))


def test_the_json_has_the_names_of_the_contract() -> None:
    document = json.loads(msgspec.json.encode(report()))
    assert document["schema"] == SCHEMA
    assert set(document) == {
        *("schema", "id", "created_at", "phase", "code", "summary", "explanation", "retryable"),
        *("hints", "bundle", "worker", "interpreter", "environment", "child", "exception"),
        *("evidence", "timeline"),
    }
    assert document["bundle"] is None
    assert set(document["evidence"]) == {"stderr", "stdout", "wire_noise", "uv"}
    assert document["timeline"][0]["phase"] == "bundle"
    assert document["timeline"][0]["outcome"] == "ok"


def test_an_error_pickles_with_its_report() -> None:
    error = error_for(report())
    assert repr(error) == f"{type(error).__name__}({str(error)!r})"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ChildStartError
    assert again.report == error.report
    assert str(again) == "load-raised: it broke"


@pytest.mark.parametrize(
    ("phase", "kind"),
    [
        (Phase.BUNDLE, BundleError),
        (Phase.INTERPRETER, InterpreterError),
        (Phase.ENVIRONMENT, EnvironmentBuildError),
        (Phase.SPAWN, ChildStartError),
        (Phase.HANDSHAKE, ChildStartError),
        (Phase.LOAD, ChildStartError),
        (Phase.EXECUTE, ExecutionError),
        (Phase.SHUTDOWN, ExecutionError),
    ],
)
def test_each_phase_has_its_error(phase: Phase, kind: type[RunnerError]) -> None:
    assert type(error_for(report(phase))) is kind
    assert type(error_for(report(phase, Code.INTERNAL_ERROR))) is InternalError


def test_only_what_may_pass_by_itself_is_retryable() -> None:
    assert {code for code in Code if code.retryable} == {
        Code.INDEX_UNREACHABLE,
        Code.DISK_FULL,
        Code.ENVIRONMENT_TIMEOUT,
        Code.WORKER_LOST,
    }


def test_a_fault_of_our_own_carries_its_traceback_and_its_cause() -> None:
    case = Case()
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        finding = internal_error(case, error)
    assert finding.exception is not None and finding.exception.cause is not None
    assert finding.exception.traceback[-1].function.startswith("test_a_fault")
    assert finding.exception.cause.type == "KeyError"


def test_a_cancelled_run_says_in_which_phase_it_was() -> None:
    case = Case()
    with pytest.raises(ZeroDivisionError), case.journal.phase(Phase.ENVIRONMENT):
        raise ZeroDivisionError
    finding = cancelled(case, "SIGINT")
    assert (finding.phase, finding.code) == (Phase.ENVIRONMENT, Code.CANCELLED)
    assert finding.summary == "SIGINT ended the run while the environment was built"
