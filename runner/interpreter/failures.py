"""Failures of the phase ``interpreter``."""

import re
import shlex
from collections.abc import Sequence

from runner.diagnosis.case import Case, Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.interpreter.model import NEWEST_RELEASED, OLDEST_FOR_TASKS, Broken, Interpreter
from runner.interpreter.request import FORMS
from runner.python_requirement import PythonRequirement
from runner.version import lowest_minor, minor_version


def unsatisfied(
    requirement: PythonRequirement,
    worker: Interpreter,
    found: Sequence[object],
    download: str | None,
) -> Failure:
    """No interpreter here is one that the bundle accepts.

    :param download: why uv could not download one; ``None`` where it was not tried.
    """
    count = "the only interpreter found is not" if len(found) == 1 else (
        f"none of the {len(found)} interpreters found is"
    )  # fmt: skip
    # An interpreter that it accepts may well be there, and of no use.
    reason = f"this worker runs {worker.version}, and {count} accepted"
    if _lowest_version(requirement) is None:
        reason = f"tasks need Python {OLDEST_FOR_TASKS} or newer"
    why = f"uv could not download one: {download}" if download else "uv may not download one."
    return Failure.of(
        Code.PYTHON_UNSATISFIED,
        f"{_wants(requirement)}; {reason}",
        f"Nothing was built. {why}",
        *(
            _nearest(requirement, found)
            or _install_or_widen(requirement, worker, can_download=download is None)
        ),
    )


def _nearest(requirement: PythonRequirement, found: Sequence[object]) -> list[Hint]:
    """The hint to take the next Python that runs tasks, where those before it alone are accepted.

    For it, the dependencies of that time have wheels more often than for the newest.
    """
    older = range(OLDEST_FOR_TASKS.minor)
    before = (f"3.{minor}.{patch}" for minor in older for patch in range(20))
    able = [
        one
        for one in found
        if isinstance(one, Interpreter) and one.parsed_version >= OLDEST_FOR_TASKS
    ]
    if lowest_minor(requirement.specifier) is not None or not able:
        return []
    if not any(map(requirement.specifier.contains, before)):
        return []  # Python 2: what is rewritten may run on any.
    nearest = min(able, key=lambda one: one.parsed_version)
    return _widen(requirement, nearest, first=True, exactly=True)


def policy_conflict(
    case: Case,
    requirement: PythonRequirement,
    insisted: Interpreter,
    request: str,
    other: Interpreter | None,
) -> Failure:
    """The interpreter insisted on is not one that the bundle accepts.

    :param other: one that is installed, and accepted.
    """
    whose = "This worker" if request == "worker" else str(insisted.path)
    if other is not None:
        why = f"{other.version} is installed at {other.path}"
        hints = [_leave_out(case, why), *_widen(requirement, insisted)]
    else:
        hints = _install_or_widen(requirement, insisted)
    return Failure.of(
        Code.PYTHON_POLICY_CONFLICT,
        f"{_wants(requirement)}; --python {request} insists on {insisted.version}",
        f"{whose} runs {insisted.implementation} {insisted.version}, which the bundle does not"
        " accept. Nothing was built.",
        *hints,
    )


def not_found(
    case: Case,
    requirement: PythonRequirement,
    request: str,
    found: Sequence[object],
    download: str | None,
) -> Failure:
    """The interpreter asked for does not exist here."""
    hints = [_leave_out(case, f"what {requirement.bundle} accepts decides")]
    if "/" not in request and _is_released(request):
        # uv takes the same requests, but for specifiers in a shell's own characters.
        install = f"uv python install {shlex.quote(request)}"
        hints.insert(0, Hint("install it", command=install))
    return Failure.of(
        Code.PYTHON_NOT_FOUND,
        f"--python {request}: there is no such interpreter among the {len(found)} here",
        f"uv could not download it: {download}" if download else "",
        *hints,
    )


def nonsense(case: Case, request: str) -> Failure:
    """The request is of no known form."""
    return Failure.of(
        Code.PYTHON_NOT_FOUND,
        f"--python {request!r} names no interpreter",
        f"It takes {FORMS}.",
        _leave_out(case, "what the bundle accepts decides", "name a version, or "),
    )


def broken(case: Case, request: str, interpreter: Broken) -> Failure:
    """The interpreter asked for exists and cannot run."""
    return Failure.of(
        Code.PYTHON_BROKEN,
        f"{interpreter.path} {interpreter.reason}",
        f"--python {request} names it, and it does not run as a Python.",
        _leave_out(case, "what the bundle accepts decides"),
        by_hand(
            "or reinstall it; see it fail by hand",
            f"{shlex.quote(str(interpreter.path))} -c 'print(1)'",
        ),
    )


def _leave_out(case: Case, why: str, instead: str = "") -> Hint:
    command = f"modelops-runner exec {case.bundle_argument()}"
    return Hint(f"{instead}leave --python out: {why}", command=command)


def _is_released(request: str) -> bool:
    """Tell whether uv may know how to install it; of what is not a plain version, it may."""
    version = re.match(r"(\d+)\.(\d+)", request)
    if version is None:
        return True
    oldest = OLDEST_FOR_TASKS.release[:2]  # Those before it, uv does not know.
    return oldest <= (int(version[1]), int(version[2])) <= (3, NEWEST_RELEASED)


def _wants(requirement: PythonRequirement) -> str:
    at = f" ({requirement.at})" if requirement.at else ""
    return f"{requirement.bundle} wants Python {requirement.text or 'of any version'}{at}"


def _install_or_widen(
    requirement: PythonRequirement, insisted: Interpreter, *, can_download: bool = True
) -> list[Hint]:
    version = _lowest_version(requirement)
    exact = re.fullmatch(r"==\s*(3\.\d+)", requirement.text or "")
    if exact and requirement.line is not None:
        edit = Edit(
            file=(requirement.at or "pyproject.toml").partition(":")[0],
            before=requirement.line,
            after=requirement.line.replace(exact[0], f"{exact[0]}.*"),
        )
        title = f"if any {exact[1]} will do, say so: {exact[0]} is {exact[1]}.0 and no other"
        return [Hint(title, edit=edit)]
    if version is None or not _is_released(version):
        return _widen(requirement, insisted, first=True)
    command = f"uv python install {version}"
    install = Hint("install one that it accepts", command=command)
    if not can_download:  # The same command fails here as uv's own attempt did.
        title = "install one that it accepts, by a way that this machine has"
        install = by_hand(title, command)
    return [install, *_widen(requirement, insisted)]


def _widen(
    requirement: PythonRequirement,
    insisted: Interpreter,
    *,
    first: bool = False,
    exactly: bool = False,
) -> list[Hint]:
    if requirement.text is None or requirement.line is None:
        return []
    if insisted.parsed_version < OLDEST_FOR_TASKS:
        return []
    series = minor_version(insisted.version)
    file = (requirement.at or "pyproject.toml").partition(":")[0]
    wanted = f"=={series}.*" if exactly else f">={series}"
    after = requirement.line.replace(requirement.text, wanted)
    if file.startswith(".python-version"):
        after = series
    return [
        Hint(
            f"{'' if first else 'or, '}if the code runs on {series} too, say so",
            edit=Edit(file=file, before=requirement.line, after=after),
        )
    ]


def _lowest_version(requirement: PythonRequirement) -> str | None:
    """The oldest minor version from 3.8 on that it accepts, or the exact one that it asks for."""
    exact = (clause.version for clause in requirement.specifier if clause.operator == "==")
    return lowest_minor(requirement.specifier) or next(exact, None)
