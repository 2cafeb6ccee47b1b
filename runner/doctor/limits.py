"""Reads the limits that the system sets: memory, processors, descriptors, processes."""

import resource

import psutil

from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import size_text
from runner.doctor.observation import Observation, Verdict
from runner.process.cgroups import group_files, read
from runner.process.memory_cgroup import memory_group
from runner.process.post_mortem import group_processes
from runner.process.processors import usable_processors

_LITTLE_MEMORY_BYTES = 512 << 20

# A child takes about ten descriptors of its worker's, and a few processes and threads.
_FEW_DESCRIPTORS = 256
_FEW_PROCESSES = 200


def memory() -> Observation:
    """Return what is left of the machine's memory, or of the control group's."""
    machine = psutil.virtual_memory()
    total, left, whose = machine.total, machine.available, "this machine"
    for limit, used in zip(
        group_files("memory", "memory.max", "memory.limit_in_bytes"),
        group_files("memory", "memory.current", "memory.usage_in_bytes"),
        strict=True,
    ):
        most, now = read(limit).strip(), read(used).strip()
        if most.isdigit() and now.isdigit() and int(most) < total:
            total, whose = int(most), "this control group (a container's, say)"
            left = min(left, max(0, total - int(now)))
    text = f"{size_text(left)} of {size_text(total)} left in {whose}"
    little = left < _LITTLE_MEMORY_BYTES
    return Observation("memory", Verdict.WARNING if little else Verdict.OK, text)


async def memory_limits() -> Observation:
    """By whom a task's memory limit would be kept."""
    async with memory_group(1 << 30, whole=False) as group:
        kept = group is not None
    text = "the kernel keeps them (cgroup v2)" if kept else (
        "the runner keeps them, by looking ten times a second: there is no control group for it"
    )  # fmt: skip
    return Observation("memory limits", Verdict.OK, text)


def processors() -> Observation:
    return Observation("processors", Verdict.OK, f"{usable_processors()} for the tasks")


def descriptors() -> Observation:
    """How many files and pipes this process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{_count(soft)} ({_count(hard)} at most)"
    if 0 <= soft < _FEW_DESCRIPTORS:
        hint = Hint(title="allow more", command="ulimit -n 4096")
        text += ": too few for many children at a time"
        return Observation("open files", Verdict.WARNING, text, [hint])
    return Observation("open files", Verdict.OK, text)


def processes() -> Observation:
    """How many processes and threads this user, or this control group, may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    limits = [one for one in (soft, group_processes()) if one is not None and one >= 0]
    most = min(limits, default=resource.RLIM_INFINITY)
    if 0 <= most < _FEW_PROCESSES:
        text = f"{most}: numerical libraries start a thread for each processor, and may fail"
        return Observation("processes", Verdict.WARNING, text)
    return Observation("processes", Verdict.OK, _count(most))


def _count(limit: int) -> str:
    return "no limit" if limit < 0 else str(limit)
