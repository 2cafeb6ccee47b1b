"""Which interpreter a bundle gets, out of those found.

Pure: a recorded list gives the same choice.
"""

from collections.abc import Sequence

from runner.diagnosis.report.model import FoundInterpreter
from runner.interpreter.model import OLDEST_FOR_TASKS, Broken, Interpreter, Requirement


def best(requirement: Requirement, found: Sequence[Interpreter]) -> Interpreter | None:
    """The newest that the bundle accepts and that can run tasks.

    A final release comes before a pre-release, and CPython before others of its version.
    """
    return next(iter(accepted(requirement, found)), None)


def accepted(requirement: Requirement, found: Sequence[Interpreter | Broken]) -> list[Interpreter]:
    """Those that the bundle accepts and that can run tasks, the best first."""
    fitting = [
        one
        for one in found
        if isinstance(one, Interpreter)
        and requirement.accepts(one)
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
    requirement: Requirement, found: Sequence[Interpreter | Broken]
) -> list[FoundInterpreter]:
    """The interpreters as the report lists them: newest first, what cannot run last."""
    working = sorted(
        (one for one in found if isinstance(one, Interpreter)), key=_rank, reverse=True
    )
    return [_working(requirement, one) for one in working] + [
        FoundInterpreter(path=str(one.path), version=None, usable=False, reason=one.reason)
        for one in found
        if isinstance(one, Broken)
    ]


def _working(requirement: Requirement, interpreter: Interpreter) -> FoundInterpreter:
    reason = None
    if not requirement.accepts(interpreter):
        reason = f"not {requirement.text}"
    elif interpreter.parsed_version < OLDEST_FOR_TASKS:
        reason = "too old to run tasks"
    return FoundInterpreter(
        path=str(interpreter.path),
        version=interpreter.version,
        usable=reason is None,
        reason=reason,
    )
