"""Chooses the interpreter: looks no further than it must."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio
import anyio.to_thread

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report import InterpreterInfo, UvRun
from runner.diagnosis.text import Capture, one_line, printable
from runner.interpreter import findings
from runner.interpreter.choice import best, listed, newest
from runner.interpreter.discovery import candidates, probe, probe_all
from runner.interpreter.model import Broken, Interpreter, Requirement, worker_interpreter
from runner.interpreter.request import ByPath, ByVersion, Worker, parse_request
from runner.process import spawn

# uv's download of a Python takes seconds on a good line, and a minute on a poor one.
DOWNLOAD_SECONDS = 120.0


async def choose_interpreter(
    requirement: Requirement,
    request: str | None,
    *,
    case: Case,
    uv: Path,
    environ: Mapping[str, str] = os.environ,
) -> Interpreter:
    """The interpreter for a bundle.

    What the bundle accepts decides. The worker's own version comes first, without looking for
    others; then the newest accepted one installed; then uv's download, where uv is configured to.

    :param request: what ``--python`` asks for; ``None``: nothing.
    :param uv: the uv that may download one.
    :param environ: the worker's variables.
    :raises Failure: ``python-unsatisfied``, ``python-policy-conflict``, ``python-not-found`` or
        ``python-broken``.
    """
    worker = worker_interpreter()
    info = InterpreterInfo(
        requested=request,
        accepted=requirement.text,
        found=listed(requirement, [worker]),
    )
    case.interpreter = info
    if request is not None:
        chosen = await _requested(requirement, request, worker, info, case, uv, environ)
    elif best(requirement, [worker]) is not None:
        chosen = worker
    else:
        found = await _discover(requirement, worker, info)
        fitting = best(requirement, _working(found))
        if fitting is None:
            fitting, why = await _download(requirement.text or "", case, uv, environ)
            if fitting is None or not requirement.accepts(fitting):
                raise Failure(findings.unsatisfied(requirement, worker, found, why))
        chosen = fitting
    info.chosen = f"{chosen.implementation} {chosen.version} ({chosen.path})"
    return chosen


async def _requested(
    requirement: Requirement,
    request: str,
    worker: Interpreter,
    info: InterpreterInfo,
    case: Case,
    uv: Path,
    environ: Mapping[str, str],
) -> Interpreter:
    try:
        asked = parse_request(request)
    except ValueError:
        if not (request and _exists(Path(request))):
            raise Failure(findings.nonsense(request)) from None
        asked = ByPath(Path(request).absolute())
    if isinstance(asked, Worker):
        insisted = await _of_workers_minor(requirement, worker, info)
    elif isinstance(asked, ByPath):
        insisted = await _at_path(requirement, request, asked.path, worker, info)
    elif asked.matches(worker) and requirement.accepts(worker):
        insisted = worker
    else:
        insisted = await _of_version(requirement, request, asked, worker, info, case, uv, environ)
    if not requirement.accepts(insisted):
        # Said with everything that was found: one of them may be what the bundle wants.
        found = await _discover(requirement, worker, info, insisted)
        other = best(requirement, _working(found))
        raise Failure(findings.policy_conflict(requirement, insisted, request, other))
    return insisted


async def _of_workers_minor(
    requirement: Requirement, worker: Interpreter, info: InterpreterInfo
) -> Interpreter:
    """The worker's own, or another of its minor version where only that is accepted."""
    if requirement.accepts(worker):
        return worker
    minor = worker.parsed_version.release[:2]
    same = [
        one
        for one in _working(await _discover(requirement, worker, info))
        if one.parsed_version.release[:2] == minor and one.implementation == worker.implementation
    ]
    return best(requirement, same) or worker


async def _at_path(
    requirement: Requirement, request: str, path: Path, worker: Interpreter, info: InterpreterInfo
) -> Interpreter:
    if _exists(path) and path.is_dir():
        path = path / "bin" / "python"
        if not path.exists():
            path = path.with_name("python3")
    if not _exists(path):
        found = await _discover(requirement, worker, info)
        raise Failure(findings.not_found(requirement, request, found, None))
    answer = await probe(path)
    if isinstance(answer, Broken):
        info.found = listed(requirement, [answer])
        raise Failure(findings.broken(request, answer))
    return answer


async def _of_version(
    requirement: Requirement,
    request: str,
    asked: ByVersion,
    worker: Interpreter,
    info: InterpreterInfo,
    case: Case,
    uv: Path,
    environ: Mapping[str, str],
) -> Interpreter:
    found = await _discover(requirement, worker, info)
    matching = [one for one in _working(found) if asked.matches(one)]
    accepted = [one for one in matching if requirement.accepts(one)]
    if (chosen := newest(accepted or matching)) is not None:
        return chosen
    downloaded, why = await _download(request, case, uv, environ)
    if downloaded is None:
        raise Failure(findings.not_found(requirement, request, found, why))
    return downloaded


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # its name is too long, or a folder on the way may not be looked into
        return False


def _working(found: Sequence[Interpreter | Broken]) -> list[Interpreter]:
    return [one for one in found if isinstance(one, Interpreter)]


async def _discover(
    requirement: Requirement,
    worker: Interpreter,
    info: InterpreterInfo,
    insisted: Interpreter | None = None,
) -> list[Interpreter | Broken]:
    known = [worker] if insisted is None or insisted == worker else [worker, insisted]
    paths = {one.path.resolve() for one in known}
    others = await probe_all(
        path for path in await anyio.to_thread.run_sync(candidates) if path.resolve() not in paths
    )
    found = [*known, *(one for one in others if one.path.resolve() not in paths)]
    info.found = listed(requirement, found)
    return found


async def _download(
    request: str, case: Case, uv: Path, environ: Mapping[str, str]
) -> tuple[Interpreter | None, str | None]:
    """Let uv download a Python, where its configuration allows it.

    ``uv python find`` never downloads and ``uv python install`` does so also where the
    configuration says ``manual``; making a venv follows the configuration.

    :returns: what it downloaded, or why it did not.
    """
    with tempfile.TemporaryDirectory(prefix="modelops-runner-") as folder:
        argv = [str(uv), "venv", "--no-project", "--color", "never", "--no-progress"]
        argv += ["--python", request, str(Path(folder) / "venv")]
        said = Capture()
        exit_code = None
        # uv runs what PATH has before it downloads, and a shim may do anything, or hang.
        folders = environ.get("PATH", "").split(os.pathsep)
        path = os.pathsep.join(one for one in folders if Path(one).name != "shims")
        try:
            async with spawn(
                argv,
                # Without a network, uv's three retries take ten seconds.
                env={"UV_HTTP_RETRIES": "0", **environ, "PATH": path},
                cwd=Path(folder),
                stdout=said.feed,
                stderr=said.feed,
                grace=1.0,
            ) as process:
                with anyio.move_on_after(DOWNLOAD_SECONDS):
                    exit_code = (await process.wait()).code
        except OSError as error:
            return None, f"{uv} cannot be started: {error.strerror}"
        if exit_code == 0:
            answer = await probe(Path(folder) / "venv" / "bin" / "python")
            if isinstance(answer, Interpreter):
                return answer, None
            return None, f"{answer.path} {answer.reason}"
        text = said.excerpt().text
        case.evidence.uv = UvRun(argv=argv, exit_code=exit_code, stderr=text)
        if exit_code is None:
            return None, f"it took longer than {DOWNLOAD_SECONDS:g} s"
        return None, _telling_line(text)


def _telling_line(text: str) -> str:
    """What uv advises, else the last cause that it names, else its first line."""
    lines = [line.strip() for line in printable(text).splitlines() if line.strip()]
    for mark, chosen in (("hint:", 0), ("cause:", -1), ("error:", 0)):
        marked = [line.partition(mark)[2] for line in lines if mark in line]
        if marked:
            return one_line(marked[chosen], 200)
    return one_line(lines[0], 200) if lines else "it said nothing"
