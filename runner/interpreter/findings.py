"""Findings of the phase ``interpreter``."""

import shlex
from collections.abc import Sequence

from packaging.version import Version

from runner.diagnosis.case import Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.events import Phase
from runner.interpreter.model import OLDEST_FOR_TASKS, Broken, Interpreter, Requirement
from runner.interpreter.request import FORMS


def unsatisfied(
    requirement: Requirement, worker: Interpreter, found: Sequence[object], download: str | None
) -> Finding:
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
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_UNSATISFIED,
        summary=f"{_wants(requirement)}; {reason}",
        explanation="Nothing was built. "
        + (f"uv could not download one: {download}" if download else "uv may not download one."),
        hints=_install_or_widen(requirement, worker),
    )


def policy_conflict(
    requirement: Requirement, insisted: Interpreter, request: str, other: Interpreter | None
) -> Finding:
    """The interpreter insisted on is not one that the bundle accepts.

    :param other: one that is installed, and accepted.
    """
    whose = "This worker" if request == "worker" else str(insisted.path)
    if other is not None:
        leave = Hint(title=f"leave --python out: {other.version} is installed at {other.path}")
        hints = [leave, *_widen(requirement, insisted)]
    else:
        hints = _install_or_widen(requirement, insisted)
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_POLICY_CONFLICT,
        summary=f"{_wants(requirement)}; --python {request} insists on {insisted.version}",
        explanation=f"{whose} runs {insisted.implementation} {insisted.version}, which the bundle"
        " does not accept. Nothing was built.",
        hints=hints,
    )


def not_found(
    requirement: Requirement, request: str, found: Sequence[object], download: str | None
) -> Finding:
    """The interpreter asked for does not exist here."""
    hints = [Hint(title=f"leave --python out: what {requirement.bundle} accepts decides")]
    if "/" not in request:
        # uv takes the same requests, but for specifiers in a shell's own characters.
        install = f"uv python install {shlex.quote(request)}"
        hints.insert(0, Hint(title="install it", command=install))
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_NOT_FOUND,
        summary=f"--python {request}: there is no such interpreter among the {len(found)} here",
        explanation=f"uv could not download it: {download}" if download else "",
        hints=hints,
    )


def nonsense(request: str) -> Finding:
    """The request is of no known form."""
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_NOT_FOUND,
        summary=f"--python {request!r} names no interpreter",
        explanation=f"It takes {FORMS}.",
        hints=[Hint(title="name a version, as in --python 3.12")],
    )


def broken(request: str, interpreter: Broken) -> Finding:
    """The interpreter asked for exists and cannot run."""
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_BROKEN,
        summary=f"{interpreter.path} {interpreter.reason}",
        explanation=f"--python {request} names it, and it does not run as a Python.",
        hints=[
            Hint(title="see it fail by hand", command=f"{interpreter.path} -c 'print(1)'"),
            Hint(title="reinstall it, or name another with --python"),
        ],
    )


def _wants(requirement: Requirement) -> str:
    at = f" ({requirement.at})" if requirement.at else ""
    return f"{requirement.bundle} wants Python {requirement.text or 'of any version'}{at}"


def _install_or_widen(requirement: Requirement, insisted: Interpreter) -> list[Hint]:
    version = _lowest_version(requirement)
    command = f"uv python install {version}"
    install = Hint(title="install one that it accepts", command=command)
    return [*([install] if version else []), *_widen(requirement, insisted)]


def _widen(requirement: Requirement, insisted: Interpreter) -> list[Hint]:
    if requirement.text is None or requirement.line is None:
        return []
    if insisted.parsed_version < OLDEST_FOR_TASKS:
        return []
    series = ".".join(insisted.version.split(".")[:2])
    file = (requirement.at or "pyproject.toml").partition(":")[0]
    after = requirement.line.replace(requirement.text, f">={series}")
    if file.startswith(".python-version"):
        after = series
    return [
        Hint(
            title=f"or, if the code runs on {series} too, say so",
            edit=Edit(file=file, before=requirement.line, after=after),
        )
    ]


def _lowest_version(requirement: Requirement) -> str | None:
    """The oldest minor version from 3.8 on that it accepts, or the exact one that it asks for."""
    for minor in range(8, 100):
        if any(
            requirement.specifier.contains(Version(f"3.{minor}.{micro}")) for micro in (0, 5, 99)
        ):
            return f"3.{minor}"
    exact = [clause.version for clause in requirement.specifier if clause.operator == "=="]
    return exact[0] if exact else None
