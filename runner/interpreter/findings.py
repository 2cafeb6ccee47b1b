"""What is wrong with the interpreters, as findings of phase ``interpreter``."""

import re
from collections.abc import Sequence

from packaging.version import Version

from runner.diagnosis.case import Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.report import Edit, Hint
from runner.events import Phase
from runner.interpreter.model import Broken, Interpreter, Requirement
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
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_UNSATISFIED,
        summary=f"{_wants(requirement)}; this worker runs {worker.version}, and {count} accepted",
        explanation="Nothing was built. "
        + (f"uv could not download one: {download}" if download else "uv may not download one."),
        hints=_install_or_widen(requirement, worker),
    )


def policy_conflict(
    requirement: Requirement, insisted: Interpreter, request: str, worker: Interpreter
) -> Finding:
    """The interpreter insisted on is not one that the bundle accepts."""
    whose = "this worker" if request == "worker" else str(insisted.path)
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_POLICY_CONFLICT,
        summary=f"{_wants(requirement)}; --python {request} insists on {insisted.version}",
        explanation=f"{whose} runs {insisted.implementation} {insisted.version}, which the bundle"
        " does not accept. Nothing was built.",
        hints=[
            Hint(title="leave --python out, and let the runner find one that the bundle accepts"),
            *_install_or_widen(requirement, insisted),
        ],
    )


def not_found(
    requirement: Requirement, request: str, found: Sequence[object], download: str | None
) -> Finding:
    """The interpreter asked for does not exist here."""
    lowest = re.search(r"\d+(\.\d+)?", request)
    return Finding(
        phase=Phase.INTERPRETER,
        code=Code.PYTHON_NOT_FOUND,
        summary=f"--python {request}: there is no such interpreter here ({len(found)} others are)",
        explanation=f"uv could not download it: {download}" if download else "",
        hints=[
            Hint(
                title="install it",
                command=f"uv python install {lowest.group() if lowest else '3.13'}",
            ),
            Hint(title=f"or leave --python out: {requirement.bundle} decides"),
        ],
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


def _install_or_widen(requirement: Requirement, worker: Interpreter) -> list[Hint]:
    hints = []
    if (minor := _lowest_minor(requirement)) is not None:
        hints.append(
            Hint(title="install one that it accepts", command=f"uv python install {minor}")
        )
    if requirement.text and requirement.at and requirement.at.startswith("pyproject.toml"):
        series = ".".join(worker.version.split(".")[:2])
        hints.append(
            Hint(
                title=f"or, if the code runs on {series} too, say so",
                edit=Edit(
                    file="pyproject.toml",
                    before=f'requires-python = "{requirement.text}"',
                    after=f'requires-python = ">={series}"',
                ),
            )
        )
    return hints


def _lowest_minor(requirement: Requirement) -> str | None:
    """The oldest minor version from 3.8 on of which the bundle accepts some release."""
    for minor in range(8, 100):
        releases = [f"3.{minor}.{micro}" for micro in (0, 5, 99)]
        if any(requirement.specifier.contains(Version(release)) for release in releases):
            return f"3.{minor}"
    return None
