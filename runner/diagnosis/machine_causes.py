"""The causes of an exception that lie in the machine around a child, and when to look there."""

from collections.abc import Callable

from runner.diagnosis.broken_pools import broken_pool, is_broken_pool
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.deaths.native_words import interrupted_by_native_code
from runner.diagnosis.limits import concerns_limits, limit_reached
from runner.diagnosis.noexec import file_not_executable, not_executable
from runner.diagnosis.report.model import ExceptionInfo, chain
from runner.diagnosis.surroundings import what_is_lacking

MACHINE_CAUSES: list[Callable[[Case, ExceptionInfo], Finding | None]] = [
    limit_reached,
    not_executable,
    what_is_lacking,
    broken_pool,
    interrupted_by_native_code,
]


def concerns_machine(exception: ExceptionInfo) -> bool:
    """Tell whether the machine's limits and mounts may say more of it."""
    return any(
        concerns_limits(link)
        or file_not_executable(link)
        or is_broken_pool(link)
        or link.type == "KeyboardInterrupt"
        for link in chain(exception)
    )


def is_of_pool(exception: ExceptionInfo) -> bool:
    """Tell whether a process that the bundle's code had started has died."""
    return any(is_broken_pool(link) for link in chain(exception))
