"""Chooses the interpreter for a bundle, or says what is wrong with those there are."""

from collections.abc import Sequence
from pathlib import Path

from runner.diagnosis.case import Case
from runner.diagnosis.report.model import FoundInterpreter, InterpreterInfo
from runner.diagnosis.report.text import one_line, printable
from runner.interpreter import failures
from runner.interpreter.machine import DOWNLOAD_SECONDS, Download, Machine
from runner.interpreter.model import OLDEST_FOR_TASKS, Broken, Interpreter
from runner.interpreter.request import ByPath, ByVersion, Worker, parse_request
from runner.python_requirement import PythonRequirement


async def choose_interpreter(
    requirement: PythonRequirement, request: str | None, *, case: Case, machine: Machine
) -> Interpreter:
    """The interpreter for a bundle.

    What the bundle accepts decides. The worker's own version comes first, without looking for
    others; then the newest accepted one installed; then uv's download, where uv is configured to.

    :param request: what ``--python`` asks for; ``None``: nothing.
    :raises Failure: ``python-unsatisfied``, ``python-policy-conflict``, ``python-not-found`` or
        ``python-broken``.
    """
    case.interpreter = InterpreterInfo(
        requested=request, accepted=requirement.text, found=listed(requirement, [machine.worker])
    )
    choosing = _Choosing(requirement, case, case.interpreter, machine)
    chosen = await (choosing.fitting() if request is None else choosing.requested(request))
    case.interpreter.chosen = f"{chosen.implementation} {chosen.version} ({chosen.path})"
    return chosen


class _Choosing:
    """One choice under way."""

    def __init__(
        self, requirement: PythonRequirement, case: Case, info: InterpreterInfo, machine: Machine
    ) -> None:
        self._requirement = requirement
        self._case = case
        self._info = info
        self._machine = machine
        self._worker = machine.worker

    async def fitting(self) -> Interpreter:
        """Return what the bundle accepts."""
        requirement, worker = self._requirement, self._worker
        if best(requirement, [worker]) is not None:
            return worker
        found = await self._discover()
        if (chosen := best(requirement, _working(found))) is not None:
            return chosen
        downloaded, why = await self._download(requirement.text or "")
        if downloaded is None or not requirement.accepts(downloaded.version):
            raise failures.unsatisfied(requirement, worker, found, why)
        return downloaded

    async def requested(self, request: str) -> Interpreter:
        """Return what ``--python`` asks for, where the bundle accepts it."""
        requirement = self._requirement
        try:
            asked = parse_request(request)
        except ValueError:
            there = await self._machine.at(Path(request).absolute()) if request else None
            if there is None:
                raise failures.nonsense(self._case, request) from None
            insisted = self._running(request, there)
        else:
            if isinstance(asked, Worker):
                insisted = await self._of_workers_minor()
            elif isinstance(asked, ByPath):
                insisted = await self._at_path(request, asked.path)
            elif asked.matches(self._worker) and requirement.accepts(self._worker.version):
                insisted = self._worker
            else:
                insisted = await self._of_version(request, asked)
        if not requirement.accepts(insisted.version):
            # Said with everything that was found: one of them may be what the bundle wants.
            found = await self._discover(insisted)
            other = best(requirement, _working(found))
            raise failures.policy_conflict(self._case, requirement, insisted, request, other)
        return insisted

    async def _of_workers_minor(self) -> Interpreter:
        """The worker's own, or another of its minor version where only that is accepted."""
        worker = self._worker
        if self._requirement.accepts(worker.version):
            return worker
        minor = worker.parsed_version.release[:2]
        same = [
            one
            for one in _working(await self._discover())
            if one.parsed_version.release[:2] == minor
            and one.implementation == worker.implementation
        ]
        return best(self._requirement, same) or worker

    async def _at_path(self, request: str, path: Path) -> Interpreter:
        there = await self._machine.at(path)
        if there is None:
            found = await self._discover()
            raise failures.not_found(self._case, self._requirement, request, found, None)
        return self._running(request, there)

    def _running(self, request: str, there: Interpreter | Broken) -> Interpreter:
        if isinstance(there, Broken):
            self._info.found = listed(self._requirement, [there])
            raise failures.broken(self._case, request, there)
        return there

    async def _of_version(self, request: str, asked: ByVersion) -> Interpreter:
        found = await self._discover()
        matching = [one for one in _working(found) if asked.matches(one)]
        accepted = [one for one in matching if self._requirement.accepts(one.version)]
        if (chosen := newest(accepted or matching)) is not None:
            return chosen
        downloaded, why = await self._download(request)
        if downloaded is None:
            raise failures.not_found(self._case, self._requirement, request, found, why)
        return downloaded

    async def _discover(self, insisted: Interpreter | None = None) -> list[Interpreter | Broken]:
        known = [self._worker]
        if insisted is not None and insisted != self._worker:
            known.append(insisted)
        found = [*known, *await self._machine.others(known)]
        self._info.found = listed(self._requirement, found)
        return found

    async def _download(self, request: str) -> tuple[Interpreter | None, str | None]:
        """Return what uv downloaded, or why it did not."""
        download = await self._machine.download(request)
        if isinstance(download.interpreter, Interpreter):
            return download.interpreter, None
        if download.said is not None:
            self._case.evidence.uv = download.said
        return None, _why_not(download)


def _working(found: Sequence[Interpreter | Broken]) -> list[Interpreter]:
    return [one for one in found if isinstance(one, Interpreter)]


def _why_not(download: Download) -> str | None:
    if isinstance(download.interpreter, Broken):
        return f"{download.interpreter.path} {download.interpreter.reason}"
    if download.said is None:
        return download.not_started
    if download.said.exit_code is None:
        return f"it took longer than {DOWNLOAD_SECONDS:g} s"
    return _telling_line(download.said.stderr)


def _telling_line(text: str) -> str:
    """Return what uv advises, else the last cause that it names, else its first line."""
    lines = [line.strip() for line in printable(text).splitlines() if line.strip()]
    for mark, chosen in (("hint:", 0), ("cause:", -1), ("error:", 0)):
        marked = [line.partition(mark)[2] for line in lines if mark in line]
        if marked:
            return one_line(marked[chosen], 200)
    return one_line(lines[0], 200) if lines else "it said nothing"


def best(requirement: PythonRequirement, found: Sequence[Interpreter]) -> Interpreter | None:
    """The newest that the bundle accepts and that can run tasks.

    A final release comes before a pre-release, and CPython before others of its version.
    """
    return next(iter(accepted(requirement, found)), None)


def accepted(
    requirement: PythonRequirement, found: Sequence[Interpreter | Broken]
) -> list[Interpreter]:
    """Those that the bundle accepts and that can run tasks, the best first."""
    fitting = [
        one
        for one in found
        if isinstance(one, Interpreter)
        and requirement.accepts(one.version)
        and one.parsed_version >= OLDEST_FOR_TASKS
    ]
    return sorted(fitting, key=_rank, reverse=True)


def newest(found: Sequence[Interpreter]) -> Interpreter | None:
    """The newest of these."""
    return max(found, key=_rank, default=None)


def _rank(interpreter: Interpreter) -> tuple[bool, object, bool]:
    version = interpreter.parsed_version
    return not version.is_prerelease, version, interpreter.implementation == "CPython"


def listed(
    requirement: PythonRequirement, found: Sequence[Interpreter | Broken]
) -> list[FoundInterpreter]:
    """The interpreters as the report lists them: newest first, what cannot run last."""
    working = sorted(
        (one for one in found if isinstance(one, Interpreter)), key=_rank, reverse=True
    )
    return [_as_found(requirement, one) for one in working] + [
        FoundInterpreter(path=str(one.path), version=None, usable=False, reason=one.reason)
        for one in found
        if isinstance(one, Broken)
    ]


def _as_found(requirement: PythonRequirement, interpreter: Interpreter) -> FoundInterpreter:
    reason = None
    if not requirement.accepts(interpreter.version):
        reason = f"not {requirement.text}"
    elif interpreter.parsed_version < OLDEST_FOR_TASKS:
        reason = "too old to run tasks"
    return FoundInterpreter(
        path=str(interpreter.path),
        version=interpreter.version,
        usable=reason is None,
        reason=reason,
    )
