"""How many processors this process may use, and each of its children's share of them."""

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from runner.process import cgroups

# The libraries that start a thread for each processor of the machine, whoever else is at work on
# them, unless one of these says how many.
_THREADS = ("OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS")
# These take OMP_NUM_THREADS where their own is not set.
_FOLLOW_OMP = ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLIS_NUM_THREADS")
# A bundle's code may ask numba for as many threads as this says, and no more: it is told only where
# somebody has said how many there are to be.
_FIXED = (*_THREADS, *_FOLLOW_OMP, "NUMBA_NUM_THREADS")


def usable_processors() -> int:
    """How many processors this process may use, by its affinity and its control group's quota."""
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    quota = _quota()
    # A part of a processor is one that waits at times.
    return processors if quota is None else max(1, min(processors, math.ceil(quota)))


def with_thread_counts(
    environ: Mapping[str, str], children: int, threads: int | None = None
) -> dict[str, str]:
    """A worker's variables, and how many threads numerical libraries are to start in a child.

    What the worker has set itself stays, unless their number is fixed.

    :param children: how many there are to be at a time, which share the processors.
    :param threads: how many the caller or the bundle wants, whatever there is.
    """
    if threads is not None:
        return {**environ, **dict.fromkeys(_FIXED, str(threads))}
    share = str(max(1, usable_processors() // children))
    names = _THREADS if "OMP_NUM_THREADS" in environ else _THREADS + _FOLLOW_OMP
    return {**dict.fromkeys(names, share), **environ}


def thread_count(environ: Mapping[str, str]) -> int | None:
    """How many threads numerical libraries start by a child's variables, where these say one."""
    count = environ.get("OMP_NUM_THREADS", "")
    return int(count) if re.fullmatch("[1-9][0-9]{0,5}", count) else None


def _quota() -> float | None:
    """The processors' time that the control group may use, in processors.

    A group has no more than those it is in.
    """
    found = []
    for file in cgroups.group_files("cpu", "cpu.max", "cpu.cfs_quota_us"):
        for folder in (file.parent, *file.parent.parents):
            if not folder.is_relative_to(cgroups.CGROUPS):
                break
            quota = _quota_in(folder, file.name)
            if quota is not None:
                found.append(quota)
    return min(found, default=None)


def _quota_in(folder: Path, name: str) -> float | None:
    quota, _, period = cgroups.read(folder / name).strip().partition(" ")
    if name == "cpu.cfs_quota_us":  # v1
        period = cgroups.read(folder / "cpu.cfs_period_us").strip()
    # Without a limit, the quota is `max` in v2, and -1 in v1.
    known = quota.isdigit() and period.isdigit() and int(period) > 0
    return int(quota) / int(period) if known else None
