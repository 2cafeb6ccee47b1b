"""Examines this machine: what a worker needs to build environments and to run tasks."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.model import Hint
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.doctor.limits import descriptors, memory, memory_limits, processes, processors
from runner.doctor.observation import Observation, Verdict
from runner.doctor.storage import cache, shared_memory, temporary
from runner.environment.cache_folder import is_trusted
from runner.environment.uv_run import find_uv
from runner.events import Journal
from runner.execution.prepare import choose, locate_environment, read
from runner.execution.worker_info import worker_info
from runner.interpreter.machine import ThisMachine
from runner.interpreter.model import Broken, Interpreter
from runner.process.guardian import guarded_folder
from runner.process.printed import printed_by
from runner.settings import Settings

# uv answers in milliseconds where it can, and tries a dead index for half a minute.
_UV_SECONDS = 10.0


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
    hint = Hint(title="install it again", command="pip install --force-reinstall uv")
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
        title="see which index uv is told to ask, and by which way", command="uv pip compile -v -"
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
    hint = Hint(title="build it", command=f"modelops-runner check --build {shlex.quote(str(path))}")
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
