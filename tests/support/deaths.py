"""Shared by the tests of deaths: the kernel's account of one, and what is found out of it."""

import sys
from collections.abc import Callable

import pytest

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.deaths.child_deaths import death
from runner.diagnosis.deaths.exit import Exit
from runner.diagnosis.report.model import Report
from runner.events import Phase

DieAtWork = Callable[..., Report]
linux = pytest.mark.skipif(sys.platform != "linux", reason="the words are those of Linux and glibc")


def ended(signal_name: str, **facts: object) -> Exit:
    known = {"max_rss_bytes": None, "cpu_seconds": 3.0, "lifetime_seconds": 60.0, **facts}
    return Exit(code=None, signal=None, signal_name=signal_name, **known)  # type: ignore[arg-type]


def finding_of(exit_: Exit, stderr: str = "") -> Finding:
    return death(Case(), Phase.EXECUTE, exit_, stderr=stderr, noise="")
