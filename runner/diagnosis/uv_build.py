"""Why a build failed: the telling lines of what its backend wrote (PEP 517).

A build backend writes whatever its tools write. Only what has one known cause is named; else the
exception, or the first error, speaks for itself.
"""

import re
import shlex

from packaging.utils import canonicalize_name

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.distribution_names import distribution_of
from runner.diagnosis.report import Edit, Hint
from runner.diagnosis.text import one_line
from runner.diagnosis.uv_error import UvError, UvFailure
from runner.diagnosis.uv_python import minors_of, python_conflict
from runner.events import Phase

_FAILED = re.compile(
    r"^Failed to (?:download and )?build:? `([A-Za-z0-9][\w.-]*)((?:==([\w.+!]+))?)", re.MULTILINE
)
_ABOUT_A_BUILD = re.compile(r"build|metadata|pyproject\.toml|setup\.py", re.IGNORECASE)
_TRACEBACK = "Traceback (most recent call last):"
# The exception only says that a command failed; what the command wrote says why.
_COMMAND_FAILED = re.compile(r"CalledProcessError|CompileError|LinkError|BackendUnavailable")
_COMPILER_ERROR = re.compile(
    r":\d+:(?:\d+:)? (?:fatal )?error: |: ERROR: |^CMake Error|cannot find -l|undefined reference"
)
_ERROR_LINE = re.compile(r"error: (?!Command ')", re.IGNORECASE)
# As numba and llvmlite guard their setup.py: "only versions >=3.8,<3.12 are supported".
_GUARD = re.compile(r"only versions ([<>=!~\d.,* ]+?) are supported")

_TOOL_MISSING = re.compile(
    r"No such file or directory: '(?:[^']*/)?([\w.+-]+)'$"
    r"|command '(\S+)' failed: No such file"
    r"|Unknown compiler\(s\)"
    r"|\b(CMake|ninja|cargo|rustc?|swig)\b (?:is )?(?:not found|must be installed)",
    re.MULTILINE | re.IGNORECASE,
)
# An exception's line, not indented and not a part of a wrapped frame.
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
_REASON_LINES = 6
_LAST_LINES = 15


def build_finding(case: Case, failure: UvFailure, error: UvError) -> Finding | None:
    """The finding where a build failed: the bundle's own, or a dependency's."""
    failed = _FAILED.search(error.said)
    if failed is None and not (failure.step == "bundle" and _ABOUT_A_BUILD.search(error.said)):
        return None
    name = failed.group(1) if failed else failure.bundle_name
    version = failed.group(3) if failed else None
    own = failure.step == "bundle" or canonicalize_name(name) == canonicalize_name(
        failure.bundle_name
    )
    reason = _reason(error)
    words = reason or [line for line in error.output if line.strip()][-_LAST_LINES:]
    included = [hint for hint in error.hints if " was included because " in hint]
    explanation = "\n".join([*included, *(words or error.messages)])
    package = f"{name} {version}" if version else name
    if (guard := _GUARD.search(" ".join(reason))) and not own:
        return python_conflict(
            case,
            failure,
            name,
            f"{package} supports Python {guard.group(1)}, and this is Python"
            f" {failure.python_version}",
            explanation,
            minors_of(guard.group(1)),
            f"{name}=={version}" if _is_direct(failure, f"{name}=={version}") else None,
        )
    what = "the bundle's own build failed" if own else f"{package} could not be built from source"
    advice = _layout(case, "\n".join(words)) if own else None
    advice = advice or _advice(failure, name, own, "\n".join(words))
    hints = [] if advice is None else [advice]
    hints += [Hint(title=one_line(hint)) for hint in error.hints if "Did you mean" in hint]
    if not own:
        minor = ".".join(failure.python_version.split(".")[:2])
        hints.append(
            Hint(title=f"{'or a' if hints else 'a'}sk for a version of {name} that has a wheel for"
                 f" Python {minor}: then nothing is built")
        )  # fmt: skip
    elif not hints:
        hints.append(
            Hint(
                title="build it by hand, and see what the backend says",
                command=f"uv build --wheel -o /tmp {shlex.quote(failure.bundle_path)}",
            )
        )
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.BUNDLE_BUILD_FAILED if own else Code.DEPENDENCY_BUILD_FAILED,
        summary=f"{what}: {one_line(reason[0], 140)}" if reason else what,
        explanation=explanation,
        hints=hints,
    )


def _is_direct(failure: UvFailure, requirement: str) -> bool:
    return requirement in (text.replace(" ", "") for text in failure.dependencies)


def _reason(error: UvError) -> list[str]:
    """The lines that say why, the first being enough by itself; empty if there are none such."""
    lines = [line for line in error.output if line.strip()]
    raised = _exception(lines)
    if raised and not _COMMAND_FAILED.search(raised[0]):
        return raised
    for pattern in (_COMPILER_ERROR, _ERROR_LINE):
        for position, line in enumerate(lines):
            if pattern.search(line):
                return lines[position : position + _REASON_LINES]
    if not raised and error.messages and "TOML parse error" in error.messages[-1]:
        first, *_, last = error.messages[-1].splitlines()
        return [f"{first}: {last.strip()}"]
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


def _layout(case: Case, words: str) -> Hint | None:
    """Which of the bundle's folders its build backend is to be told of."""
    flat = "discovered in a flat-layout" in words
    if not flat and "Unable to determine which files to ship" not in words:
        return None
    files = [name.split("/") for name in case.bundle_files if name.endswith(".py")]
    packages = dict.fromkeys(parts[0] for parts in files if len(parts) > 1)
    sources = [f"src/{parts[1]}" for parts in files if len(parts) > 2 and parts[0] == "src"]
    named = list(dict.fromkeys(sources)) or list(packages) or ["NAME"]
    listed = ", ".join(f'"{name}"' for name in named[:_REASON_LINES])
    table = "tool.setuptools" if flat else "tool.hatch.build.targets.wheel"
    return Hint(
        title="say which folders are the bundle's packages",
        edit=Edit(file="pyproject.toml", after=f"[{table}]\npackages = [{listed}]"),
    )


def _advice(failure: UvFailure, name: str, own: bool, words: str) -> Hint | None:
    """What to do about the causes that many builds share."""
    minor = ".".join(failure.python_version.split(".")[:2])
    in_pyproject = failure.file == "pyproject.toml"
    settings, table = ("pyproject.toml", "tool.uv.") if in_pyproject else ("uv.toml", "")

    if "fatal error: Python.h: No such file" in words:
        return Hint(title=f"install the C headers of Python {minor} (python{minor}-dev on Debian)")
    if header := re.search(r"fatal error: (\S+\.h\w*): No such file", words):
        return Hint(title=f"install the development files of the library of {header.group(1)}")
    if library := re.search(r"cannot find -l([\w.+-]+)", words):
        return Hint(title=f"install the development files of lib{library.group(1)}")
    if tool := _TOOL_MISSING.search(words):
        missing = next(filter(None, tool.groups()), "a C compiler")
        return Hint(title=f"install {missing}, which the build runs, or choose another by CC")
    if "pg_config executable not found" in words:
        return Hint(
            title="ask for psycopg2-binary in place of psycopg2, or install PostgreSQL's"
            " development files"
        )
    if "No module named 'distutils" in words:
        return Hint(
            title="import it from setuptools: distutils left Python in 3.12 (PEP 632)"
            if own
            else f"ask for a newer version of {name}, or run on Python 3.11: distutils left Python"
            " in 3.12 (PEP 632)"
        )
    if "No module named 'pkg_resources" in words:
        edit = (
            Edit(file="pyproject.toml", after='[build-system]\nrequires = ["setuptools<82"]')
            if own
            else Edit(
                file=settings,
                after=("[tool.uv]\n" if in_pyproject else "")
                + 'build-constraint-dependencies = ["setuptools<82"]',
            )
        )
        return Hint(
            title="build with a setuptools that still has pkg_resources",
            edit=edit,
        )
    if module := re.search(r"No module named '(\w+)", words):
        needed = distribution_of(module.group(1)) or module.group(1)
        if own:
            return Hint(
                title=f"name what provides {needed} among what the build needs",
                edit=Edit(file="pyproject.toml", after=f'[build-system]\nrequires = ["{needed}"]'),
            )
        return Hint(
            title=f"{name} does not say that its build needs {needed}: say it in its place",
            edit=Edit(
                file=settings,
                after=f'[{table}extra-build-dependencies]\n{name} = ["{needed}"]',
            ),
        )
    return None
