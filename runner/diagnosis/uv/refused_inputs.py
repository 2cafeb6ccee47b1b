"""Recognises requirements, files and settings that uv does not take as they are."""

import json
import re
import shlex
from pathlib import PurePosixPath

import msgspec

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.diagnosis.report.text import one_line
from runner.diagnosis.uv.error import UvError, UvFailure
from runner.diagnosis.uv.requirement_edits import requirement_edit, requirement_for
from runner.events import Phase

_INCLUDED_MISSING = re.compile(
    r"included file in `([^`]+)`[^`]*failed to read from file `([^`]+)`: No such file"
)
_FOLDER_MISSING = re.compile(
    r"Failed to read `--find-links` directory: (\S+)"
    r"|Invalid URL in `[^`]+` at position \d+: (/[^\s:]+)(?:: |\n.*)relative URL without a base"
)
WHEEL = re.compile(r"/([A-Za-z0-9_.]{1,100})-(\d[\w.!+]{0,60})(?:-[\w.]{1,100}){3}\.whl")
_NOT_READ = re.compile(r"expected '-c', '-e', '-r' or the start of a requirement: (\S+?):(\d+):")
# Those of pip's that uv takes in a file.
_OPTION = re.compile(
    r"-(?:[rceif]|-(?:requirement|constraint|editable|(?:extra-)?index-url|no-index|find-links"
    r"|(?:no|only)-binary))\b"
)
# As `pip freeze` writes what was installed from a repository.
_EDITABLE = re.compile(
    r"editable requirement in `([^`]+)`[^`]*`(git\+[^`#]+)#egg=([\w.-]+)`:?\s+Git sources"
)
_FILE_MISSING = re.compile(r"(?:File not found|Distribution not found at): `?([^`\n]+)`?")
_UV_TOML = re.compile(
    r"Failed to parse: (\S*\.toml)\s+TOML parse error at line (\d+)[^\n]*"
    r"(?:\n[^\n]*\|[^\n]*)*\n(.+)"
)
_ONE_OF_LIST = re.compile(r'invalid type: string "([^"]*)", expected a sequence')
_OF_CONDA = re.compile(r"/feedstock_root/|/conda-bld/|/croot/")
_REQUIREMENT = re.compile(r"Couldn't parse requirement in `([^`]+)`")


def input_finding(case: Case, failure: UvFailure, error: UvError) -> Finding | None:
    """uv does not take what the bundle's files say."""
    said = error.said
    relock = f"uv lock --project {shlex.quote(failure.bundle_path)}"
    if "uv.lock" in said and "needs to be updated" in said:
        code, summary = Code.LOCK_OUTDATED, f"uv.lock does not match {failure.file}"
        hint = Hint(title="lock it anew", command=relock)
    elif "unsupported schema version" in said:
        code, summary = Code.ENVIRONMENT_FAILED, "uv.lock was written by a newer uv than this one"
        hint = Hint(
            title="upgrade uv beside the runner", command="python -m pip install -U uv", by="person"
        )
    elif "Failed to parse `uv.lock`" in said:
        code, summary = Code.ENVIRONMENT_FAILED, f"uv.lock is broken: {error.last}"
        lock = shlex.quote(f"{failure.bundle_path}/uv.lock")
        hint = Hint(title="remove it and lock anew", command=f"rm {lock} && {relock}")
    elif "Hash mismatch" in said:
        code = Code.ENVIRONMENT_FAILED
        summary = f"{error.last}: what the index has is not what was recorded"
        hint = Hint(
            title="find out why it changed; if it may, record its hash anew"
            f" in {failure.requirements_from}"
        )
    elif requirement := _REQUIREMENT.search(said):
        code = Code.ENVIRONMENT_FAILED
        reason, *quoted = error.messages[-1].splitlines()
        what = f": {quoted[0].strip()}" if quoted else ""
        summary = f"{requirement.group(1)} has a line that is not a requirement{what}: {reason}"
        hint = Hint(title=f"correct it in {requirement.group(1)} (PEP 508)")
    elif settings := _UV_TOML.search(said):
        code = Code.ENVIRONMENT_FAILED
        toml, line, reason = settings.groups()
        summary = f"{toml}:{line} is not what uv takes: {one_line(reason, 120)}"
        hint = Hint(title=f"correct line {line} of {toml}")
        if toml == "pyproject.toml" and (one := _ONE_OF_LIST.match(reason)):
            hint = Hint(title="make a list of it", edit=_listed(case, int(line), one[1]))
    elif option := _NOT_READ.search(said):
        code = Code.ENVIRONMENT_FAILED
        file, line = option.groups()
        summary = f"{file}:{line} is neither a requirement nor an option that uv knows"
        hint = Hint(
            title=f"correct line {line} of {file}, or leave it out",
            edit=_left_out(failure, file),
        )
    elif editable := _EDITABLE.search(said):
        code = Code.ENVIRONMENT_FAILED
        file, url, name = editable.groups()
        summary = f"{file} asks for {url} with -e, which uv takes of a folder alone"
        hint = Hint(
            title=f"ask for {name} by its name, without -e",
            edit=Edit(file=file, before=f"-e {url}#egg={name}", after=f"{name} @ {url}"),
        )
    elif "`--require-hashes`" in said:
        code, summary = Code.ENVIRONMENT_FAILED, one_line(said, 200)
        file = shlex.quote(f"{failure.bundle_path}/{failure.file}")
        hint = Hint(
            title="write each requirement with its version and hashes",
            command=f"uv pip compile --generate-hashes {file} -o {file}",
        )
    elif folder := _FOLDER_MISSING.search(said):
        code = Code.DEPENDENCY_NOT_FOUND
        path = folder.group(1) or folder.group(2)
        summary = f"packages are to be found in {path}, which does not exist"
        hint = _wheels_elsewhere(case, failure, path)
        own = "\n".join([case.pyproject, *failure.dependencies])
        if (
            folder.group(1)
            and "find-links" not in own
            and "\n-f" not in own
            and "uv.toml" not in case.bundle_files
        ):
            hint = Hint(title="correct UV_FIND_LINKS, or unset it", command="unset UV_FIND_LINKS")
    elif included := _INCLUDED_MISSING.search(said):
        including, path = included.groups()
        name = path.removeprefix(f"{failure.bundle_path}/")
        code = Code.DEPENDENCY_NOT_FOUND
        summary = f"{including} includes {name}, which does not exist"
        title = f"add {name} to the bundle, or remove the line that includes it"
        hint = _without_line(failure, including, name, title)
    elif missing := _FILE_MISSING.search(said):
        code = Code.DEPENDENCY_NOT_FOUND
        path = missing.group(1).removeprefix(f"file://{failure.bundle_path}/")
        summary = f"{failure.requirements_from} refers to {path}, which does not exist"
        title = f"add {path} to the bundle, or remove what refers to it"
        hint = _without_line(failure, failure.requirements_from, path, title)
        wheel = WHEEL.search(path)
        if wheel and path.startswith("file:"):
            return _wheel_elsewhere(case, failure, said, path, wheel)
        if _OF_CONDA.search(path):
            hint = Hint(
                title="ask for it by its version: pip freeze writes where conda once built it",
                command="python -m pip list --format=freeze",
                by="person",
            )
    else:
        return None
    return Finding(
        phase=Phase.ENVIRONMENT, code=code, summary=summary, explanation=said, hints=[hint]
    )


def _listed(case: Case, number: int, value: str) -> Edit | None:
    """The edit of a line that gives a text where uv takes a list."""
    lines = case.pyproject.split("\n")
    line = lines[number - 1].strip() if number <= len(lines) else ""
    key, quoted = line.partition("=")[0].strip(), json.dumps(value)
    if line != f"{key} = {quoted}":
        return None
    made = f"[{{ url = {quoted} }}]" if key == "index" else f"[{quoted}]"
    return Edit(file="pyproject.toml", before=line, after=f"{key} = {made}")


def _wheels_elsewhere(case: Case, failure: UvFailure, path: str) -> Hint:
    """The hint for a folder of archives that only the author's machine has."""
    wheels = [file for file in case.bundle_files if file.endswith(".whl")]
    if wheels and failure.file == "requirements.txt":
        folder = f"./{PurePosixPath(wheels[0]).parent.as_posix()}"
        edit = Edit(file=failure.file, before=path, after=folder)
        return Hint(title=f"name the bundle's own folder of archives, {folder}", edit=edit)
    return Hint(
        title="copy the archives that it has into the bundle, and name that folder: find-links"
        " ./wheels; or, where an index has them all, take find-links out"
    )


def _without_line(failure: UvFailure, file: str, path: str, title: str) -> Hint:
    """Take out the line that names a file; whether it is needed, somebody has to decide."""
    named = re.compile(rf"(?<![\w/]){re.escape(path)}$")
    lines = [line for line in failure.dependencies if named.search(line.replace("./", ""))]
    if file != "requirements.txt" or len(lines) != 1:
        return Hint(title=title)
    return Hint(title=title, edit=Edit(file=file, before=lines[0], after=""), by="person")


def _left_out(failure: UvFailure, file: str) -> Edit | None:
    """The edit that makes a comment of the one option that uv does not know."""
    lines = [line for line in failure.dependencies if line.startswith("-")]
    lines = [line for line in lines if not _OPTION.match(line)]
    return Edit(file=file, before=lines[0], after=f"# {lines[0]}") if len(lines) == 1 else None


def by_version(case: Case, failure: UvFailure, wheel: re.Match[str]) -> Hint:
    """Ask an index for what is asked for by a file, or by its URL."""
    name, version = wheel[1].replace("_", "-"), wheel[2]
    written = requirement_for(failure, name)
    edit = requirement_edit(case, failure, written, f"{name}=={version}") if written else None
    title = f"if an index has it, ask for it by its version: {name}=={version}"
    return Hint(title=title, edit=edit)


def _wheel_elsewhere(
    case: Case, failure: UvFailure, said: str, path: str, wheel: re.Match[str]
) -> Finding:
    """A wheel that only the author's machine has, or that conda has built."""
    asked = by_version(case, failure, wheel)
    there = [file for file in case.bundle_files if f"/{file}".endswith(path[wheel.start() :])]
    hints = [
        Hint(
            title="copy it into the bundle from the machine that has it, and name it there, by a"
            " path that begins in the bundle"
        ),
        msgspec.structs.replace(asked, title=f"or, {asked.title}"),
    ]
    if _OF_CONDA.search(path):
        title = asked.title.removeprefix("if an index has it, ")
        hints = [
            msgspec.structs.replace(
                asked, title=f"{title}; pip freeze writes where conda once built it"
            )
        ]
    elif there and failure.file == "requirements.txt":
        own = Edit(file=failure.file, before=path, after=f"./{there[0]}")
        hints = [Hint(title=f"name the one that is in the bundle, {there[0]}", edit=own)]
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.DEPENDENCY_NOT_FOUND,
        summary=f"{failure.requirements_from} refers to {path}, which does not exist",
        explanation=said,
        hints=hints,
    )
