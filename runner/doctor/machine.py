"""Examines this machine: what a worker needs to build environments and to run tasks."""

import errno
import os
import resource
import shlex
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.noexec import elsewhere
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable, size_text
from runner.doctor.observation import Observation, Verdict
from runner.environment.cache_folder import SHARED, is_trusted, stranger
from runner.environment.uv_run import find_uv
from runner.events import Journal
from runner.execution.prepare import choose, locate_environment, read
from runner.execution.worker_info import worker_info
from runner.interpreter.machine import ThisMachine
from runner.interpreter.model import Broken, Interpreter
from runner.process import cgroups
from runner.process.guardian import guarded_folder
from runner.process.memory_cgroup import memory_group
from runner.process.mounts import find_noexec
from runner.process.post_mortem import group_processes
from runner.process.printed import printed_by
from runner.process.processors import usable_processors
from runner.settings import Settings

# uv answers in milliseconds where it can, and tries a dead index for half a minute.
_UV_SECONDS = 10.0

_LITTLE_MEMORY_BYTES = 512 << 20

# A child takes about ten descriptors of its worker's, and a few processes and threads.
_FEW_DESCRIPTORS = 256
_FEW_PROCESSES = 200

# Less than this, and an environment with numpy and pandas has no room.
_LITTLE_BYTES = 1 << 30
_TOO_LITTLE_BYTES = 64 << 20


async def examine_machine(bundles: Sequence[Path], settings: Settings) -> list[Observation]:
    """Look at this machine.

    :param bundles: folders; whether each can be run here is looked at.
    :param settings: ``python`` and ``offline`` are as for a run.
    """
    worker = worker_info()
    who = f"{worker.implementation} {worker.python}, {worker.platform}, {worker.hostname}"
    seen = [Observation("worker", Verdict.OK, who)]
    try:
        uv = find_uv()
    except Failure as failure:
        seen.append(_problem("uv", failure))
    else:
        seen.append(await _uv(uv, settings))
        seen.append(await _interpreters(uv, settings))
        uv_cache, _ = await _said(uv, ["cache", "dir"], settings)
        seen.append(_cache(settings, Path(uv_cache.strip()) if uv_cache else None))
        if not settings.offline:
            seen.append(await _index(uv, settings))
    seen += [temporary(), shared_memory(), memory(), await memory_limits(), processors()]
    seen += [descriptors(), processes()]
    return seen + [await _bundle(path, settings) for path in bundles]


def _cache(settings: Settings, uv_cache: Path | None) -> Observation:
    try:
        return cache(settings.cache_folder(), uv_cache, trusted=is_trusted(settings.environ()))
    except Failure as failure:
        return _problem("cache", failure)


def _problem(subject: str, failure: Failure) -> Observation:
    return Observation(subject, Verdict.PROBLEM, failure.finding.summary, failure.finding.hints)


async def _uv(uv: Path, settings: Settings) -> Observation:
    said, failed = await _said(uv, ["--version"], settings)
    if failed is None:
        return Observation("uv", Verdict.OK, f"{said.strip()}: {uv}")
    hint = Hint("install it again", command="pip install --force-reinstall uv")
    return Observation("uv", Verdict.PROBLEM, f"{uv} does not run: {failed}", [hint])


async def _interpreters(uv: Path, settings: Settings) -> Observation:
    machine = ThisMachine(Journal(), uv, settings.environ())
    found = [machine.worker, *await machine.others([machine.worker])]
    usable = [one for one in found if isinstance(one, Interpreter)]
    usable.sort(key=lambda one: one.parsed_version, reverse=True)
    listed = ", ".join(f"{one.implementation} {one.version} ({one.path})" for one in usable)
    broken = [one for one in found if isinstance(one, Broken)]
    if broken:
        said = "; ".join(f"{one.path} {one.reason}" for one in broken)
        return Observation("interpreters", Verdict.WARNING, f"{listed}. Not usable: {said}")
    return Observation("interpreters", Verdict.OK, listed)


async def _index(uv: Path, settings: Settings) -> Observation:
    """Tell whether uv can ask its package index, in its own configuration."""
    with guarded_folder() as folder:
        file = folder / "requirements.txt"
        file.write_text("packaging\n")
        command = ["pip", "compile", "--quiet", "--no-deps", "--no-cache", "--no-header", str(file)]
        said, failed = await _said(uv, command, settings)
    if failed is None:
        return Observation("package index", Verdict.OK, f"it answers: {' '.join(said.split()[:1])}")
    text = f"uv cannot ask it: {failed}. Only environments that are built already can be used"
    hint = Hint(
        "see which index uv is told to ask, and by which way", command="uv pip compile -v -"
    )
    return Observation("package index", Verdict.WARNING, text, [hint])


async def _bundle(path: Path, settings: Settings) -> Observation:
    subject, case = f"bundle {path}", Case()
    try:
        bundle = await read(case, settings, path)
        interpreter = await choose(case, settings, bundle)
        venv = await locate_environment(Case(), settings, path)
    except Failure as failure:
        finding = failure.finding
        text = f"{finding.summary} ({finding.code.value})"
        return Observation(subject, Verdict.PROBLEM, text, finding.hints)
    wants = f"wants Python {bundle.python.text}" if bundle.python.text else (
        "takes any Python"
    )  # fmt: skip
    gets = f"{wants}, gets {interpreter.implementation} {interpreter.version}"
    if venv is not None:
        return Observation(subject, Verdict.OK, f"{gets}; its environment is built: {venv}")
    hint = Hint("build it", command=f"modelops-runner check --build {shlex.quote(str(path))}")
    text = f"{gets}; its environment is not built yet"
    return Observation(subject, Verdict.WARNING if settings.offline else Verdict.OK, text, [hint])


async def _said(uv: Path, arguments: list[str], settings: Settings) -> tuple[str, str | None]:
    """Return what uv prints, and why it failed, if it did."""
    variables = {"UV_HTTP_RETRIES": "0", **settings.environ(), "UV_NO_PROGRESS": "1"}
    try:
        with guarded_folder() as folder:  # where one that is ended leaves what it has begun
            env = {**variables, "TMPDIR": str(folder)}
            argv = [str(uv), *arguments]
            ran = await printed_by(argv, env=env, cwd=Path("/"), seconds=_UV_SECONDS)
    except OSError as error:
        return "", error.strerror or str(error)
    if ran.exit is None:
        return "", f"it took longer than {_UV_SECONDS:.0f} s"
    if ran.exit.code != 0:
        said = last_lines(printable(ran.stderr), 3)
        return "", one_line(" ".join(said)) or f"exit status {ran.exit.code}"
    return ran.stdout, None


def memory() -> Observation:
    """Return what is left of the machine's memory, or of the control group's."""
    machine = psutil.virtual_memory()
    total, left, whose = machine.total, machine.available, "this machine"
    for limit, used in zip(
        cgroups.group_files("memory", "memory.max", "memory.limit_in_bytes"),
        cgroups.group_files("memory", "memory.current", "memory.usage_in_bytes"),
        strict=True,
    ):
        most, now = cgroups.read(limit).strip(), cgroups.read(used).strip()
        if most.isdigit() and now.isdigit() and int(most) < total:
            total, whose = int(most), "this control group (a container's, say)"
            left = min(left, max(0, total - int(now)))
    text = f"{size_text(left)} of {size_text(total)} left in {whose}"
    little = left < _LITTLE_MEMORY_BYTES
    return Observation("memory", Verdict.WARNING if little else Verdict.OK, text)


async def memory_limits() -> Observation:
    """By whom a task's memory limit would be kept."""
    async with memory_group(1 << 30, kill_all=False) as group:
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
        hint = Hint("allow more", command="ulimit -n 4096")
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


def cache(folder: Path, uv_cache: Path | None, *, trusted: bool = False) -> Observation:
    """The folder where environments are built."""
    subject = "cache"
    move = by_hand("keep it elsewhere", "export MODELOPS_CACHE_DIR=/a/folder")
    there = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        if (folder / "environments").is_dir():
            text = f"{folder} cannot be written to ({reason}): only what is built there can be used"
            return Observation(subject, Verdict.WARNING, text, [move])
        text = f"{folder} cannot be written to ({reason}), and holds no environment"
        return Observation(subject, Verdict.PROBLEM, text, [move])
    if there == folder and not trusted and (open_to := stranger(folder)) is not None:
        who, closed = open_to
        text = f"{folder} is not used: {who}, and what is in it runs as this user"
        close = Hint("or let nobody else write there", command=closed)
        trust = Hint("or trust them", command=f"export {SHARED}=true")
        return Observation(subject, Verdict.PROBLEM, text, [move, close, trust])
    free = shutil.disk_usage(there).free
    text = f"{folder}, {size_text(free)} free"
    if found := find_noexec([str(there)]):
        text += f": {found.point} is mounted noexec, and compiled packages cannot be loaded from it"
        command = f"export MODELOPS_CACHE_DIR={elsewhere(found)}/modelops-runner"
        return Observation(subject, Verdict.WARNING, text, [Hint(move.title, command)])
    prune = Hint("remove what was not used", command="modelops-runner env prune")
    if free < _LITTLE_BYTES:
        verdict = Verdict.PROBLEM if free < _TOO_LITTLE_BYTES else Verdict.WARNING
        return Observation(subject, verdict, f"{text}: an environment may not fit", [prune, move])
    if uv_cache is not None and there.stat().st_dev != _nearest(uv_cache).stat().st_dev:
        text += f"; uv's own, {uv_cache}, is on another file system: packages are copied, which"
        hint = Hint("put the two on one file system", command="export UV_CACHE_DIR=/a/folder")
        return Observation(subject, Verdict.WARNING, f"{text} takes time and room", [hint])
    return Observation(subject, Verdict.OK, text)


def temporary() -> Observation:
    """The folder for temporary files, where large values go that memory cannot take."""
    subject = "temporary folder"
    hint = Hint(
        "name one that can be written to and executed from", command="export TMPDIR=/a/folder"
    )
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as error:
        return Observation(subject, Verdict.PROBLEM, str(error), [hint])
    free = shutil.disk_usage(folder).free
    text = f"{folder}, {size_text(free)} free"
    if free < _TOO_LITTLE_BYTES:
        return Observation(subject, Verdict.PROBLEM, text, [hint])
    if found := find_noexec([str(folder)]):
        text += (
            f": {found.point} is mounted noexec, and what a task compiles there cannot be loaded"
        )
        command = f"export TMPDIR={elsewhere(found)}"
        return Observation(subject, Verdict.WARNING, text, [Hint(hint.title, command)])
    return Observation(subject, Verdict.WARNING if free < _LITTLE_BYTES else Verdict.OK, text)


def shared_memory() -> Observation:
    """Look at what large values travel in: memfds, and ``/dev/shm`` for the bundle's own use.

    Python's multiprocessing keeps its semaphores in ``/dev/shm``; a container's has 64 MiB.
    """
    subject = "shared memory"
    memfd = "large values travel in memfds"
    try:
        os.close(os.memfd_create("modelops-runner-doctor"))
    except (AttributeError, OSError) as error:
        reason = getattr(error, "strerror", None) or "this system has none"
        memfd = f"there are no memfds ({reason}): large values travel through temporary files"
    folder = Path("/dev/shm")
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        known = error.errno in (errno.ENOENT, errno.ENOSPC, errno.EACCES, errno.EROFS)
        reason = error.strerror if known else str(error)
        text = f"{memfd}; /dev/shm: {reason}: a bundle that uses multiprocessing may fail"
        return Observation(subject, Verdict.WARNING, text)
    return Observation(subject, Verdict.OK, f"{memfd}; /dev/shm has {size_text(free)} free")


def _nearest(folder: Path) -> Path:
    """The folder, or the one above it that is there."""
    return next(one for one in (folder, *folder.parents) if os.path.lexists(one))
