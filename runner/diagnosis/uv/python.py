"""A dependency that does not take the interpreter: what can be done about it."""

import re
import shlex
from collections.abc import Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.diagnosis.uv.error import FailedUv
from runner.diagnosis.uv.requirement_edits import requirement_for
from runner.events import Phase

_MINORS = [f"3.{minor}" for minor in range(7, 30)]
_SYS_PLATFORMS = {"win": "win32", "win32": "win32", "macosx": "darwin", "manylinux": "linux"}
_OF_WINDOWS = {"comtypes", "pypiwin32", "pywin32", "pywinpty", "windows-curses", "wmi"}
_WHEEL_TAG = re.compile(r"`cp(\d)(\d+)\w*`")


def minors_of(specifier: str) -> list[str]:
    """The minor versions of Python of which a specifier accepts a patch; empty if it is invalid."""
    try:
        accepted = SpecifierSet(specifier)
    except InvalidSpecifier:  # what uv or a build quotes; what a `.python-version` says
        return []
    return [
        minor
        for minor in _MINORS
        if any(accepted.contains(f"{minor}.{patch}") for patch in range(30))
    ]


def minors_of_wheels(hints: Sequence[str]) -> list[str]:
    """The minor versions that uv names when it found wheels for other Pythons only."""
    tags = " ".join(hint.rpartition("with the following Python")[2] for hint in hints)
    found = {f"{major}.{minor}" for major, minor in _WHEEL_TAG.findall(tags)}
    return sorted(found, key=Version)


def python_conflict(
    uv: FailedUv,
    name: str,
    summary: str,
    explanation: str,
    minors: Sequence[str],
    written: str | None = None,
) -> Finding:
    """The finding, with hints that name a Python that would do.

    :param name: the dependency.
    :param minors: what it takes; empty where that is not known.
    :param written: the bundle's requirement for it, as written, where it is the bundle's own.
    """
    current = Version(uv.failure.python_version)
    hints = python_hints(uv, minors)
    newer = not minors or Version(minors[-1]) < current
    hints.append(
        Hint(
            f"{'or a' if hints else 'a'}sk for {'a newer' if newer else 'an older'} version"
            f" of {name}, one that takes Python {current.major}.{current.minor}",
            edit=_other_version(uv, written, newer),
        )
    )
    asked = hints[0].edit
    if minors and asked is not None and asked.after in uv.case.refused:
        # There is no such version, and the bundle accepts no Python that this one takes.
        other = min(minors, key=lambda minor: abs(Version(minor).minor - current.minor))
        edit: Edit | None = uv.case.pin_edit(other)
        if uv.failure.file != "requirements.txt":
            edit = uv.case.pyproject_text().setting("project", "requires-python", f">={other}")
        title = f"or, if the bundle's own code runs on Python {other}, let it"
        hints.append(Hint(title, edit=edit))
    return Finding.of(Code.DEPENDENCY_PYTHON_CONFLICT, summary, explanation, *hints)


def own_python_finding(uv: FailedUv, wanted: str, explanation: str = "") -> Finding:
    """It is the bundle's own build, not its readable metadata, that asks for another Python.

    :param wanted: the Pythons that the build takes, as a specifier.
    """
    requested = uv.case.interpreter.requested if uv.case.interpreter else None
    minors = minors_of(wanted)
    accepted = minors_of(uv.case.bundle.requires_python or "" if uv.case.bundle else "")
    hints = python_hints(uv, minors)[:1]
    if not hints and minors and not set(minors) & set(accepted):
        hints = [Hint("requires-python and the build exclude each other: correct one")]
    hints.append(
        Hint(
            "say it where it can be read, and every worker chooses by it",
            edit=uv.case.pyproject_text().setting("project", "requires-python", wanted),
        )
    )
    return Finding.of(
        Code.PYTHON_POLICY_CONFLICT if requested else Code.PYTHON_UNSATISFIED,
        f"{uv.failure.bundle_name} itself needs Python {wanted}, and the interpreter chosen is"
        f" Python {uv.failure.python_version}",
        "Interpreters are chosen by [project] requires-python in pyproject.toml, before"
        " anything is built. What setup.py or a build backend says is known too late."
        + (f"\n{explanation}" if explanation else ""),
        *hints,
        phase=Phase.INTERPRETER,
    )


def python_hints(uv: FailedUv, minors: Sequence[str], *, first: bool = True) -> list[Hint]:
    """How to run on another Python, one of ``minors`` that the bundle accepts too, if there is one.

    :param first: whether no other hint comes before these.
    """
    target = _nearest(minors, Version(uv.failure.python_version), uv.case)
    if target is None:
        return []
    return [
        Hint(
            f"{'' if first else 'or '}run it on Python {target}",
            command=f"modelops-runner exec {shlex.quote(uv.failure.bundle_path)} --python {target}",
        ),
        Hint("or say so in the bundle, for every worker", edit=_edit(uv, target)),
    ]


def wheel_platforms(uv_hints: Sequence[str]) -> list[str]:
    """The platforms (``sys.platform``) that there are wheels for, as uv says it."""
    has = " ".join(re.findall(r"following platforms?: ?([^;]*)", " ".join(uv_hints)))
    tags = re.findall(r"`([a-z]\w+?)(?:_\w+|\d+)?`", has)
    return sorted({_SYS_PLATFORMS[tag] for tag in tags if tag in _SYS_PLATFORMS})


def is_of_windows(name: str, uv_hints: Sequence[str]) -> bool:
    """Tell whether a distribution has wheels for Windows alone; uv may name other tags of them."""
    return canonicalize_name(name) in _OF_WINDOWS or wheel_platforms(uv_hints) == ["win32"]


def platform_conflict(uv: FailedUv, name: str, summary: str, uv_hints: Sequence[str]) -> Finding:
    """The finding where a dependency has wheels, and none for this machine.

    :param name: the dependency.
    """
    of_windows = is_of_windows(name, uv_hints)
    written = requirement_for(uv.failure, name)
    platforms = ["win32"] if of_windows else wheel_platforms(uv_hints)
    return Finding.of(
        Code.DEPENDENCY_PYTHON_CONFLICT,
        summary,
        "\n".join(
            [f"{uv.failure.file} asks for it, or something that it asks for does.", *uv_hints]
        ),
        Hint(
            "if the bundle works without it here, say where it is needed",
            edit=uv.case.replaced_requirement(
                written, f"{written}; sys_platform == '{platforms[0]}'"
            )
            if len(platforms) == 1 and written is not None and ";" not in written
            else None,
        ),
        Hint("or run the bundle on a platform that it has wheels for"),
    )


def _nearest(minors: Sequence[str], current: Version, case: Case) -> str | None:
    """The minor version nearest to the current one that the bundle accepts too."""
    accepted = minors_of(case.bundle.requires_python or "" if case.bundle else "")
    suitable = [minor for minor in minors if minor in accepted]
    return min(suitable, key=lambda minor: abs(Version(minor).minor - current.minor), default=None)


def _edit(uv: FailedUv, target: str) -> Edit | None:
    if uv.failure.file == "requirements.txt":
        return uv.case.pin_edit(target)
    written = uv.case.bundle.requires_python if uv.case.bundle else None
    clauses = [clause.strip() for clause in (written or "").split(",") if clause.strip()]
    if Version(target) > Version(uv.failure.python_version):
        kept = [clause for clause in clauses if clause[0] in "<!"]
        clauses = [f">={target}", *kept]
    else:
        clauses = [
            *(clause for clause in clauses if clause[0] != "<"),
            f"<3.{Version(target).minor + 1}",
        ]
    there = uv.case.pyproject_text()
    return there.setting("project", "requires-python", ",".join(clauses))


def _other_version(uv: FailedUv, written: str | None, newer: bool) -> Edit | None:
    """How to let uv choose another version, where exactly one was asked for."""
    pinned = re.fullmatch(r"([\w.\[\],-]+?)\s*==\s*([\w.]+)", written or "")
    if pinned is None:
        return None
    name, version = pinned.groups()
    assert written is not None
    other = f"{name}>{version}" if newer else f"{name}<{version}"
    return uv.case.replaced_requirement(written, other)
