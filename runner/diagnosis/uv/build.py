"""Why a build failed: the telling lines of what its backend wrote (PEP 517).

A build backend writes whatever its tools write. Only what has one known cause is named; else the
exception, or the first error, speaks for itself.
"""

import re
import shlex

from packaging.utils import canonicalize_name

from runner.diagnosis.case import Finding
from runner.diagnosis.knowledge.distribution_names import distribution_meant_by, same_distribution
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.report.text import one_line
from runner.diagnosis.uv.build_advice import advice
from runner.diagnosis.uv.error import FailedUv, UvError, UvFailure, without_drawing
from runner.diagnosis.uv.not_shipped import not_to_be_built
from runner.diagnosis.uv.python import minors_of, own_python_finding, python_conflict, python_hints
from runner.diagnosis.uv.requirement_edits import renamed, requirement_for, wheel_edit
from runner.events import Phase
from runner.version import minor_version

_FAILED = re.compile(
    r"^Failed to (?:download and )?build:? `([A-Za-z0-9][\w.-]*)((?:==([\w.+!]+))?)", re.MULTILINE
)
_ABOUT_A_BUILD = re.compile(r"build|metadata|pyproject\.toml|setup\.py|wheel", re.IGNORECASE)
_TRACEBACK = "Traceback (most recent call last):"
# The exception only says that a command failed; what the command wrote says why.
_COMMAND_FAILED = re.compile(r"CalledProcessError|CompileError|LinkError|BackendUnavailable")
# Below what says that something was not found, a tool goes on about what it did then.
_NOT_FOUND = re.compile(
    r"was not found in the pkg-config search path|Could not find (?:the compiler|a package config)"
    r"|has Fortran sources but no Fortran compiler|Compatibility with CMake"
    r"|Could NOT find |No CMAKE_\w+_COMPILER could be found"
)
_COMPILER_ERROR = re.compile(
    r":\d+:(?:\d+:)? (?:fatal )?error: |: ERROR: |^CMake Error|cannot find -l|undefined reference"
    r"|^\S+\.pyx:\d+:\d+: "
)
_ERROR_LINE = re.compile(r"error: (?!command )|^\s*Caused by: ", re.IGNORECASE)
# As numba and llvmlite guard their setup.py: "only versions >=3.8,<3.12 are supported"; or in the
# words of each author: "needs Python 3.13 or newer", "Python version >= 3.13 required".
_GUARDS = [
    re.compile(r"only versions (?P<spec>[<>=!~\d.,* ]+?) are supported"),
    re.compile(
        r"(?:requires?|needs?) (?:at least )?(?:a )?python(?: version)? *"
        r"(?P<spec>[<>=]{0,2} ?3\.\d+)",
        re.IGNORECASE,
    ),
    re.compile(
        r"python(?: version)? *(?P<spec>[<>=]{0,2} ?3\.\d+)(?:\.\d+)?"
        r"(?: or (?:newer|later|higher|above|greater)|\+)? (?:is )?(?:required|needed)",
        re.IGNORECASE,
    ),
]
# What is not the reason in the line that has it: that it is an error; what hatchling adds.
_NO_REASON = re.compile(r"^(?:error|Caused by): | using the following heuristics: \S+$")
_SIGNAL = re.compile(r"failed \(signal: \d+ \((SIG\w+)\)\)")
# As uv says it, and those who keep a name so that nobody else takes it.
_MEANT = re.compile(
    r"(?:Did you mean to install|[Pp]lease install(?: the)?|[Pp]lease use(?: the)?"
    r"|package named for \w+ is) [`'\"]([A-Za-z0-9][\w.-]{1,80})[`'\"]"
)
_FORMER = {"tensorflow-gpu": "tensorflow", "tensorflow-cpu-aws": "tensorflow"}
_MISNAMED = re.compile(r"metadata name `([\w.-]+)` does not match given name `([\w.-]+)`")
_NO_PROJECT = re.compile(r"`([^`]+)` does not appear to be a Python project")
# An exception's line, not indented and not a part of a wrapped frame.
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
_ITSELF = re.compile(r"(?:(?:-e|--editable)[ =]*)?\./?(?:\[[\w,-]+\])?")
_REASON_LINES = 6
_LAST_LINES = 15


def build_finding(uv: FailedUv) -> Finding | None:
    """The finding where a build failed: the bundle's own, or a dependency's."""
    if folder := _NO_PROJECT.search(uv.error.said):
        return _no_project(uv, folder.group(1))
    failed = _FAILED.search(uv.error.said)
    # Of what a pyproject.toml leaves to its backend (`dynamic`), uv asks it before the build.
    itself = uv.failure.step == "bundle" and _ABOUT_A_BUILD.search(uv.error.said)
    if failed is None and not itself and not uv.error.said.startswith("The build backend returned"):
        return None
    if misnamed := _MISNAMED.search(uv.error.said):
        return _misnamed(uv, *misnamed.groups())
    name = failed.group(1) if failed else uv.failure.bundle_name
    version = failed.group(3) if failed else None
    # What has a requirements.txt only is never built, however its folder is called.
    own = uv.failure.step == "bundle" or (
        uv.failure.file == "pyproject.toml" and same_distribution(name, uv.failure.bundle_name)
    )
    reason = _reason(uv.error)
    included = [hint for hint in uv.error.hints if " was included because " in hint]
    if not own and (asking := requirement_for(uv.failure, name)) is not None:
        included.append(f"{uv.failure.file} of {uv.failure.bundle_name} asks for {asking}.")
    explanation = "\n".join([*included, *(reason or uv.error.messages)])
    package = f"{name} {version}" if version else name
    if (accepted := _guard(uv.failure, " ".join(reason))) is not None:
        if own:
            return own_python_finding(uv, accepted, explanation)
        return python_conflict(
            uv,
            name,
            f"{package} supports Python {accepted}, and this is Python {uv.failure.python_version}",
            explanation,
            minors_of(accepted),
            requirement_for(uv.failure, name),
        )
    retryable = None
    if killed := _SIGNAL.search(uv.error.said):
        retryable = killed.group(1) == "SIGKILL"
        reason = reason or [f"{killed.group(1)} ended its build"]
    meant = None if own else _meant(uv, name)
    why = f"{meant} is meant by it" if meant else _summary_of(reason or uv.error.messages[-1:])
    what = "the bundle's own build failed" if own else f"{package} could not be built from source"
    hints = [] if own else _older_python(uv)
    if meant:
        hints = [_rename_hint(uv, name, meant)]
    hints += advice(uv, name, own, "\n".join(reason or uv.error.messages), uv.error.said)
    if retryable:
        hints.append(
            by_hand(
                "see whether memory ran out: the kernel ends what takes too much",
                "dmesg | grep -i 'out of memory'",
            )
        )
    if not own and not meant and uv.case.wheel is not None:
        # Before what only a person can do.
        first = not hints or hints[0].by == "person" or not (hints[0].edit or hints[0].command)
        hints.insert(0 if first else len(hints), _with_wheel(uv, name, uv.case.wheel))
    if not hints and not own:
        wanted = f"{name}=={version}" if version else name
        hints.append(
            by_hand(
                "build it by hand, and see what it says",
                f"uv pip install --target /tmp/by-hand {shlex.quote(wanted)}",
            )
        )
    elif not hints:
        hints = not_to_be_built(uv.case)
        hints.append(
            by_hand(
                f"{'or ' if hints else ''}build it by hand, and see what the backend says",
                f"uv build --wheel -o /tmp {shlex.quote(uv.failure.bundle_path)}",
            )
        )
    return Finding.of(
        Code.BUNDLE_BUILD_FAILED if own else Code.DEPENDENCY_BUILD_FAILED,
        f"{what}: {why}",
        explanation,
        *hints,
        phase=Phase.ENVIRONMENT,
        retryable=retryable,
    )


def _meant(uv: FailedUv, name: str) -> str | None:
    """The package that is meant by the name of one that only says so, or is no more."""
    named = _MEANT.search(" ".join([*uv.error.hints, *uv.error.output]))
    meant = distribution_meant_by(name) or (named and named[1]) or _FORMER.get(name.lower())
    # psycopg2 only recommends psycopg2-binary, where it lacks what its own build needs.
    same = canonicalize_name(meant or "").startswith(canonicalize_name(name))
    return None if not meant or same else meant


def _rename_hint(uv: FailedUv, name: str, meant: str) -> Hint:
    title = f"ask for {meant}, which is what {name} stands for"
    written = requirement_for(uv.failure, name)
    if written is None:
        return Hint(title)
    return Hint(title, edit=uv.case.replaced_requirement(written, renamed(written, meant)))


def _with_wheel(uv: FailedUv, name: str, version: str) -> Hint:
    """Take a version that need not be built: uv has found it."""
    this = minor_version(uv.failure.python_version)
    return Hint(
        f"take {name} {version}, which has a wheel for Python {this}: then it is not built",
        edit=wheel_edit(uv, name, version),
    )


def _older_python(uv: FailedUv) -> list[Hint]:
    """Advise the Python on which nothing has to be built, where one was found."""
    if uv.case.older_wheels is None:
        return []
    return python_hints(uv, [uv.case.older_wheels])


def _misnamed(uv: FailedUv, called: str, name: str) -> Finding:
    """A path or URL leads to another project than the bundle says."""
    written = requirement_for(uv.failure, name)
    edit = None
    if written and "@" in written:  # else its source is named elsewhere too
        edit = uv.case.replaced_requirement(written, written.replace(name, called, 1))
    return Finding.of(
        Code.DEPENDENCY_BUILD_FAILED,
        f"{uv.failure.file} asks for {name}, and the project at that place calls itself {called}",
        "\n".join([*([written] if written else []), *uv.error.messages]),
        Hint(f"ask for it by its own name, {called}", edit=edit),
    )


def _no_project(uv: FailedUv, folder: str) -> Finding:
    """A folder that was to be built has nothing that says how."""
    name = folder.removeprefix(uv.failure.bundle_path).strip("/") or "the bundle itself"
    table = f'[project]\nname = "{name.rpartition("/")[2]}"\nversion = "0.1.0"'
    hints = [
        Hint(
            f"add a pyproject.toml to {name}, with a [project] table (PEP 621)",
            edit=Edit(file=f"{name}/pyproject.toml", after=table),
        )
    ]
    if name == "the bundle itself":
        asking = [one for one in uv.failure.dependencies if _ITSELF.fullmatch(one)]
        in_lines = uv.failure.file == "requirements.txt" and len(asking) == 1
        hints = [
            Hint(f"take the line that asks for it out of {uv.failure.file}: a task runs in the"
                 " bundle's folder, and its modules are found there",
                 edit=Edit(file=uv.failure.file, before=asking[0], after="") if in_lines else None)
        ]  # fmt: skip
    elif "/git-v" in folder:
        name = "what was fetched from git"
        hints = [Hint("name the folder of the project: #subdirectory=FOLDER after the URL")]
    return Finding.of(
        Code.DEPENDENCY_BUILD_FAILED,
        f"{name} is not a Python project: it has neither pyproject.toml nor setup.py",
        f"{uv.failure.requirements_from} asks for it to be installed.\n{uv.error.said}",
        *hints,
    )


def _summary_of(reason: list[str]) -> str:
    """The line that is enough by itself, without what only says that it is an error."""
    first, *more = reason or ["it said nothing"]
    if first.endswith(":") and more:
        first += f" {more[0].strip()}"
    return one_line(_NO_REASON.sub("", first.strip()), 140)


def _guard(failure: UvFailure, words: str) -> str | None:
    """The Pythons that a build says it takes, where this is none of them."""
    for pattern in _GUARDS:
        if guard := pattern.search(words):
            spec = guard.group("spec").replace(" ", "")
            spec = spec if spec[0] in "<>=!~" else f">={spec}"
            this = minor_version(failure.python_version)
            accepted = minors_of(spec)
            if accepted and this not in accepted:
                return spec
    return None


def _reason(error: UvError) -> list[str]:
    """The lines that say why, the first being enough by itself; empty where no line says it."""
    lines = [line for line in error.output if line.strip()]
    raised = _exception(lines)
    if raised and not _COMMAND_FAILED.search(raised[0]):
        return raised
    for pattern in (_NOT_FOUND, _COMPILER_ERROR, _ERROR_LINE):
        for position, line in enumerate(lines):
            if pattern.search(line):
                found = lines[position : position + _REASON_LINES]
                return found[: found.index(_TRACEBACK)] if _TRACEBACK in found else found
    if not raised and error.messages and "TOML parse error" in error.messages[-1]:
        return [without_drawing(error.messages[-1])]
    if not raised and lines:
        # A build that ends by itself says why last.
        return [lines[-1].strip(), *lines[-_LAST_LINES:-1]]
    return raised


def _exception(lines: list[str]) -> list[str]:
    """The last traceback's exception: its line, and those that go on after it."""
    if _TRACEBACK not in lines:
        return []
    last = len(lines) - 1 - lines[::-1].index(_TRACEBACK)
    for position in range(last + 1, len(lines)):
        if _EXCEPTION.match(lines[position]):
            return lines[position : position + _REASON_LINES]
    return []
