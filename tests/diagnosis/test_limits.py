"""Limits of the system are named where a refusal comes of them."""

from runner.diagnosis.case import Case
from runner.diagnosis.deaths.exit import Limits
from runner.diagnosis.limits import out_of_memory
from runner.diagnosis.machine import Machine
from runner.diagnosis.report.model import ExceptionInfo


def test_a_limit_on_the_address_space_is_named_and_raised_first() -> None:
    case = Case()
    exception = ExceptionInfo("MemoryError", "")
    plain = out_of_memory(case, exception)
    assert "RLIMIT_AS" not in plain.summary and plain.hints[0].command is None
    case.machine = Machine(Limits(memory_bytes=3 << 30))
    limited = out_of_memory(case, exception)
    assert limited.summary.endswith("GiB (RLIMIT_AS)") or "RLIMIT_AS" in limited.summary
    assert limited.hints[0].command == "ulimit -v unlimited"
