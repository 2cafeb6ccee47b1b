"""Reports of a cluster's faults."""

import time
import uuid

from msgspec.structs import replace

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.errors import RunnerError, error_for
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import BundleInfo, Hint, Report
from runner.events import Phase
from runner.execution.worker_info import worker_info
from runner.task import Task

# How often a failure that may pass by itself is tried again.
RETRIES = 3

# Before the first retry of what may pass by itself; twice as long before each further one.
RETRY_SECONDS = 1.0

# One is made in 5 ms, and as a client closes, or its scheduler is gone, that befalls thousands of
# tasks at once: they have copies of the first one's.
_SAME_SECONDS = 1.0
_latest: tuple[tuple[Finding, BundleInfo | None, Task | None], float, Report] | None = None

# What goes wrong there lies with the machine as much as with the bundle: another one may have the
# Python, the index, the disk.
_BEFORE_LOAD = {Phase.BUNDLE, Phase.INTERPRETER, Phase.ENVIRONMENT, Phase.SPAWN, Phase.HANDSHAKE}


def is_workers_own(report: Report, *, tried: bool) -> bool:
    """Tell whether a task failed by what its worker is, so that another one may run it.

    :param tried: the worker has run the bundle before.
    """
    refused = report.code is Code.CLUSTER_UNFIT
    return refused or (report.phase in _BEFORE_LOAD and not tried)


def report_of(
    finding: Finding, bundle: BundleInfo | None = None, task: Task | None = None
) -> Report:
    """The report of something that this process knows, not a run.

    :param task: the one at fault, where it is one.
    """
    global _latest
    asked, now = (finding, bundle, task), time.monotonic()
    same = _latest if _latest is not None and _latest[0] == asked else None
    if same is not None and now - same[1] < _SAME_SECONDS:
        return replace(same[2], id=str(uuid.uuid4()))
    case = Case()
    case.worker = worker_info()
    case.bundle, case.task = bundle, task
    report = case.report(finding)
    _latest = asked, now, replace(report)
    return report


def error_of(
    finding: Finding, bundle: BundleInfo | None = None, task: Task | None = None
) -> RunnerError:
    return error_for(report_of(finding, bundle, task))


def unfit(summary: str, explanation: str = "", *hints: Hint) -> Finding:
    """The cluster, or one of its workers, cannot run tasks as it is set up."""
    return Finding.of(Code.CLUSTER_UNFIT, summary, explanation, *hints)


def other_environment(address: str, difference: str) -> Finding:
    """A worker has made another environment of a bundle than the study's others."""
    return unfit(
        f"the worker {address} would give other numbers: {difference}",
        "All tasks of a study run in one environment: the same minor version of Python, and the"
        " same versions of packages.",
        Hint(
            "write down which versions are installed, and give them to every worker",
            command="modelops-runner check BUNDLE --lock-to modelops-lock.txt",
        ),
        Hint("or give the bundle a uv.lock", command="uv lock"),
        Hint("or install the study's Python on that worker"),
    )


def lost(summary: str, explanation: str = "", *hints: Hint, retryable: bool = True) -> Finding:
    """The cluster lost what ran a task."""
    code = Code.WORKER_LOST
    return Finding.of(code, summary, explanation, *hints, retryable=retryable, phase=Phase.EXECUTE)
