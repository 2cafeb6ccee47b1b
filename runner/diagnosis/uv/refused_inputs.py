"""Recognises requirements, files and settings that uv does not take as they are."""

import re
import shlex
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET

from runner.diagnosis.case import Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.report.text import one_line
from runner.diagnosis.uv.error import FailedUv, UvFailure
from runner.diagnosis.uv.requirement_edits import requirement_for
from runner.events import Phase

WHEEL = re.compile(r"/([A-Za-z0-9_.]{1,100})-(\d[\w.!+]{0,60})(?:-[\w.]{1,100}){3}\.whl")
# Those of pip's that uv takes in a file.
_OPTION = re.compile(
    r"-(?:[rceif]|-(?:requirement|constraint|editable|(?:extra-)?index-url|no-index|find-links"
    r"|(?:no|only)-binary))\b"
)
_OF_CONDA = re.compile(r"/feedstock_root/|/conda-bld/|/croot/")
_HASHES = re.compile(r"Expected:\s+sha256:(\w{64})\s+Computed:\s+sha256:(\w{64})\s*$")


class _Refused(NamedTuple):
    """A refusal of uv's, as its finding has it."""

    summary: str
    hints: list[Hint]
    code: Code = Code.ENVIRONMENT_FAILED


_Recogniser: TypeAlias = Callable[[FailedUv, re.Match[str]], _Refused]
_REFUSALS: list[tuple[re.Pattern[str], _Recogniser]] = []
"""uv's words, and what is found of them; the first that is there tells."""


def _refusal(words: str) -> Callable[[_Recogniser], _Recogniser]:
    """Have a function asked where uv says these words."""

    def enter(recogniser: _Recogniser) -> _Recogniser:
        _REFUSALS.append((re.compile(words), recogniser))
        return recogniser

    return enter


def input_finding(uv: FailedUv) -> Finding | None:
    """uv does not take what the bundle's files say."""
    for words, refused in _REFUSALS:
        if found := words.search(uv.error.said):
            summary, hints, code = refused(uv, found)
            return Finding.of(code, summary, uv.error.said, *hints, phase=Phase.ENVIRONMENT)
    return None


@_refusal(r"uv\.lock[\s\S]*needs to be updated")
def _lock_outdated(uv: FailedUv, _: re.Match[str]) -> _Refused:
    hint = Hint("lock it anew", command=_relock(uv.failure))
    return _Refused(f"uv.lock does not match {uv.failure.file}", [hint], Code.LOCK_OUTDATED)


@_refusal("unsupported schema version")
def _lock_too_new(uv: FailedUv, _: re.Match[str]) -> _Refused:
    command = "python -m pip install -U uv"
    hint = by_hand("upgrade uv beside the runner", command)
    return _Refused("uv.lock was written by a newer uv than this one", [hint])


@_refusal("Failed to parse `uv.lock`")
def _lock_broken(uv: FailedUv, _: re.Match[str]) -> _Refused:
    lock = shlex.quote(f"{uv.failure.bundle_path}/uv.lock")
    hint = Hint("remove it and lock anew", command=f"rm {lock} && {_relock(uv.failure)}")
    return _Refused(f"uv.lock is broken: {uv.error.last}", [hint])


@_refusal("Hash mismatch")
def _other_hash(uv: FailedUv, _: re.Match[str]) -> _Refused:
    file, recorded = uv.failure.requirements_from, _HASHES.search(uv.error.said)
    edit = Edit(file=file, before=recorded[1], after=recorded[2]) if recorded else None
    title = f"find out why it changed; if it may, record its hash anew in {file}"
    hint = Hint(title, edit=edit, by="person" if edit else UNSET)
    return _Refused(f"{uv.error.last}: what the index has is not what was recorded", [hint])


@_refusal(r"Couldn't parse requirement in `([^`]+)`")
def _no_requirement(uv: FailedUv, found: re.Match[str]) -> _Refused:
    file = found[1]
    reason, *quoted = uv.error.messages[-1].splitlines()
    what = f": {quoted[0].strip()}" if quoted else ""
    summary = f"{file} has a line that is not a requirement{what}: {reason}"
    return _Refused(summary, [Hint(f"correct it in {file} (PEP 508)")])


@_refusal(
    r"Failed to parse: (\S*\.toml)\s+TOML parse error at line (\d+)[^\n]*"
    r"(?:\n[^\n]*\|[^\n]*)*\n(.+)"
)
def _no_setting(uv: FailedUv, found: re.Match[str]) -> _Refused:
    toml, line, reason = found.groups()
    summary = f"{toml}:{line} is not what uv takes: {one_line(reason, 120)}"
    return _Refused(summary, [Hint(f"correct line {line} of {toml}")])


@_refusal(r"expected '-c', '-e', '-r' or the start of a requirement: (\S+?):(\d+):")
def _no_option(uv: FailedUv, found: re.Match[str]) -> _Refused:
    file, line = found.groups()
    title = f"correct line {line} of {file}, or leave it out"
    summary = f"{file}:{line} is neither a requirement nor an option that uv knows"
    return _Refused(summary, [Hint(title, edit=_left_out(uv.failure, file))])


@_refusal(r'Expected `--hash`, found `"?(--[\w-]+)"?`: (\S+?):(\d+):')
def _option_behind(uv: FailedUv, found: re.Match[str]) -> _Refused:
    option, file, number = found.groups()
    lines = [line for line in uv.failure.dependencies if line.endswith(option)]
    edit = None
    if len(lines) == 1:
        edit = Edit(file=file, before=lines[0], after=lines[0].removesuffix(option).rstrip())
    hint = Hint(f"take {option} out: it is none of a single requirement", edit=edit)
    return _Refused(f"{file}:{number} has {option} behind a requirement", [hint])


# As `pip freeze` writes what was installed from a repository.
@_refusal(r"editable requirement in `([^`]+)`[^`]*`(git\+[^`#]+)#egg=([\w.-]+)`:?\s+Git sources")
def _editable(uv: FailedUv, found: re.Match[str]) -> _Refused:
    file, url, name = found.groups()
    edit = Edit(file=file, before=f"-e {url}#egg={name}", after=f"{name} @ {url}")
    hint = Hint(f"ask for {name} by its name, without -e", edit=edit)
    return _Refused(f"{file} asks for {url} with -e, which uv takes of a folder alone", [hint])


@_refusal("`--require-hashes`")
def _no_hashes(uv: FailedUv, _: re.Match[str]) -> _Refused:
    file = shlex.quote(f"{uv.failure.bundle_path}/{uv.failure.file}")
    command = f"uv pip compile --generate-hashes {file} -o {file}"
    hint = Hint("write each requirement with its version and hashes", command=command)
    return _Refused(one_line(uv.error.said, 200), [hint])


@_refusal(
    r"Failed to read `--find-links` directory: (\S+)"
    r"|Invalid URL in `[^`]+` at position \d+: (/[^\s:]+)(?:: |\n.*)relative URL without a"
    r" base"
)
def _no_folder(uv: FailedUv, found: re.Match[str]) -> _Refused:
    path = found[1] or found[2]
    hint = _wheels_elsewhere(uv, path)
    own = "\n".join([uv.case.pyproject, *uv.failure.dependencies])
    named = "find-links" in own or "\n-f" in own or "uv.toml" in uv.case.bundle_files
    if found[1] and not named:
        hint = Hint("correct UV_FIND_LINKS, or unset it", command="unset UV_FIND_LINKS")
    summary = f"packages are to be found in {path}, which does not exist"
    return _Refused(summary, [hint], Code.DEPENDENCY_NOT_FOUND)


@_refusal(r"included file in `([^`]+)`[^`]*failed to read from file `([^`]+)`: No such file")
def _not_included(uv: FailedUv, found: re.Match[str]) -> _Refused:
    including, path = found.groups()
    name = path.removeprefix(f"{uv.failure.bundle_path}/")
    title = f"add {name} to the bundle, or remove the line that includes it"
    hint = _without_line(uv.failure, including, name, title)
    summary = f"{including} includes {name}, which does not exist"
    return _Refused(summary, [hint], Code.DEPENDENCY_NOT_FOUND)


@_refusal(r"(?:File not found|Distribution not found at): `?([^`\n]+)`?")
def _no_file(uv: FailedUv, found: re.Match[str]) -> _Refused:
    path = found[1].removeprefix(f"file://{uv.failure.bundle_path}/")
    title = f"add {path} to the bundle, or remove what refers to it"
    hints = [_without_line(uv.failure, uv.failure.requirements_from, path, title)]
    wheel = WHEEL.search(path)
    if wheel and path.startswith("file:"):
        hints = _wheel_elsewhere(uv, path, wheel)
    elif _OF_CONDA.search(path):
        title = "ask for it by its version: pip freeze writes where conda once built it"
        hints = [by_hand(title, "python -m pip list --format=freeze")]
    summary = f"{uv.failure.requirements_from} refers to {path}, which does not exist"
    return _Refused(summary, hints, Code.DEPENDENCY_NOT_FOUND)


def _relock(failure: UvFailure) -> str:
    return f"uv lock --project {shlex.quote(failure.bundle_path)}"


def _wheels_elsewhere(uv: FailedUv, path: str) -> Hint:
    """The hint for a folder of archives that only the author's machine has."""
    wheels = [file for file in uv.case.bundle_files if file.endswith(".whl")]
    if wheels and uv.failure.file == "requirements.txt":
        folder = f"./{PurePosixPath(wheels[0]).parent.as_posix()}"
        edit = Edit(file=uv.failure.file, before=path, after=folder)
        return Hint(f"name the bundle's own folder of archives, {folder}", edit=edit)
    return Hint(
        "copy the archives that it has into the bundle, and name that folder: find-links"
        " ./wheels; or, where an index has them all, take find-links out"
    )


def _without_line(failure: UvFailure, file: str, path: str, title: str) -> Hint:
    """Take out the line that names a file; whether it is needed, somebody has to decide."""
    named = re.compile(rf"(?<![\w/]){re.escape(path)}$")
    lines = [line for line in failure.dependencies if named.search(line.replace("./", ""))]
    if file != "requirements.txt" or len(lines) != 1:
        return Hint(title)
    return Hint(title, edit=Edit(file=file, before=lines[0], after=""), by="person")


def _left_out(failure: UvFailure, file: str) -> Edit | None:
    """The edit that makes a comment of the one option that uv does not know."""
    lines = [line for line in failure.dependencies if line.startswith("-")]
    lines = [line for line in lines if not _OPTION.match(line)]
    return Edit(file=file, before=lines[0], after=f"# {lines[0]}") if len(lines) == 1 else None


def by_version(uv: FailedUv, wheel: re.Match[str]) -> Hint:
    """Ask an index for what is asked for by a file, or by its URL."""
    name, version = wheel[1].replace("_", "-"), wheel[2]
    written = requirement_for(uv.failure, name)
    edit = uv.case.replaced_requirement(written, f"{name}=={version}") if written else None
    title = f"if an index has it, ask for it by its version: {name}=={version}"
    return Hint(title, edit=edit)


def _wheel_elsewhere(uv: FailedUv, path: str, wheel: re.Match[str]) -> list[Hint]:
    """A wheel that only the author's machine has, or that conda has built."""
    asked = by_version(uv, wheel)
    there = [file for file in uv.case.bundle_files if f"/{file}".endswith(path[wheel.start() :])]
    if _OF_CONDA.search(path):
        title = asked.title.removeprefix("if an index has it, ")
        title += "; pip freeze writes where conda once built it"
        return [msgspec.structs.replace(asked, title=title)]
    if there and uv.failure.file == "requirements.txt":
        own = Edit(file=uv.failure.file, before=path, after=f"./{there[0]}")
        return [Hint(f"name the one that is in the bundle, {there[0]}", edit=own)]
    return [
        Hint(
            "copy it into the bundle from the machine that has it, and name it there, by a"
            " path that begins in the bundle"
        ),
        msgspec.structs.replace(asked, title=f"or, {asked.title}"),
    ]
