"""Turns uv's words into a finding.

Pure, so that a recording of a failure gives the same finding. The recognisers go from the cause
that lies deepest outwards: a full disk fails a build too, and an index that is not reached makes
a package look missing.
"""

import re
import shlex
from pathlib import PurePosixPath

import msgspec

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.refusals import room_for_environments
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, Hint
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.diagnosis.uv.build import build_finding
from runner.diagnosis.uv.error import UvError, UvFailure, parse_uv_error, without_drawing
from runner.diagnosis.uv.hints import quote_hints
from runner.diagnosis.uv.index import index_finding
from runner.diagnosis.uv.project_settings import project_setting_finding
from runner.diagnosis.uv.python import (
    minors_of_wheels,
    own_python_finding,
    platform_conflict,
    python_conflict,
)
from runner.diagnosis.uv.requirement_edits import requirement_edit, requirement_for
from runner.diagnosis.uv.resolution import resolution_finding
from runner.events import Phase

_DENIED = re.compile(
    r"(Permission denied|Read-only file system|Operation not permitted"
    r"|File exists|Not a directory) \(os error \d+\)"
)
_QUOTED = re.compile(r"`([^`]+)`")
_NO_WHEEL_LOCKED = re.compile(
    r"Distribution `([\w.-]+)==(\S+) @ [^`]*` can't be installed because it doesn't have"
)
_OWN_PYTHON = re.compile(r"incompatible with the project's Python requirement: `([^`]+)`")
_INCLUDED_MISSING = re.compile(
    r"included file in `([^`]+)`[^`]*failed to read from file `([^`]+)`: No such file"
)
_FOLDER_MISSING = re.compile(
    r"Failed to read `--find-links` directory: (\S+)"
    r"|Invalid URL in `[^`]+` at position \d+: (/[^\s:]+)(?:: |\n.*)relative URL without a base"
)
_WHEEL = re.compile(r"/([A-Za-z0-9_.]{1,100})-(\d[\w.!+]{0,60})(?:-[\w.]{1,100}){3}\.whl")
_NOT_READ = re.compile(r"expected '-c', '-e', '-r' or the start of a requirement: (\S+?):(\d+):")
# As `pip freeze` writes what was installed from a repository.
_EDITABLE = re.compile(
    r"editable requirement in `([^`]+)`[^`]*`(git\+[^`#]+)#egg=([\w.-]+)`:?\s+Git sources"
)
_NO_CACHE = re.compile(r"Failed to initialize cache at `([^`]+)`")
_FILE_MISSING = re.compile(r"(?:File not found|Distribution not found at): `?([^`\n]+)`?")
# As clap says it, of the value of an option or of the variable that stands for it; as uv itself.
_SETTING = re.compile(
    r"(?:invalid value '(?P<value>[^']*)'|a value is required) for '--(?P<option>[a-z-]+)"
    r"|environment variable `(?P<variable>UV_\w+)` with invalid value `(?P<said>[^`]*)`:"
    r" (?P<why>.+)"
)
_UV_TOML = re.compile(
    r"Failed to parse: (\S*\.toml)\s+TOML parse error at line (\d+)[^\n]*"
    r"(?:\n[^\n]*\|[^\n]*)*\n(.+)"
)
_OF_CONDA = re.compile(r"/feedstock_root/|/conda-bld/|/croot/")
_REQUIREMENT = re.compile(r"Couldn't parse requirement in `([^`]+)`")


def diagnose_uv(case: Case, failure: UvFailure) -> Finding:
    """The root cause of a uv that failed."""
    # It ran in a copy of the bundle. Its readers know the bundle.
    stderr = failure.stderr.replace(failure.cwd, failure.bundle_path)
    error = parse_uv_error(stderr)
    finding = (
        _disk_full(failure, error)
        or index_finding(failure, error)
        or resolution_finding(case, failure, error)
        or _permission_denied(failure, error)
        or project_setting_finding(case, error)
        or _python_refused(case, failure, error)
        or _input_refused(case, failure, error)
        or build_finding(case, failure, error)
        or _unrecognised(failure, error, stderr)
    )
    quote_hints(finding, error)
    return finding


def _disk_full(failure: UvFailure, error: UvError) -> Finding | None:
    everything = "\n".join([error.said, *error.output])
    if not re.search(r"No space left on device|Disk quota exceeded", everything):
        return None
    where = re.search(r"`(/[^`]+)`", error.said)
    own = where is not None and any(map(where[1].startswith, failure.argv[1:]))
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.DISK_FULL,
        summary="the disk is full" + (f": no space for {where.group(1)}" if where else ""),
        explanation=error.said,
        hints=room_for_environments()
        if own
        else [
            Hint(
                title="free what uv's cache no longer needs", command="uv cache prune", by="person"
            ),
            Hint(
                title="or keep that cache on another disk",
                command="export UV_CACHE_DIR=/a/dir",
                by="person",
            ),
            Hint(
                title="and environments too",
                command="export MODELOPS_CACHE_DIR=/a/dir",
                by="person",
            ),
        ],
    )


def _permission_denied(failure: UvFailure, error: UvError) -> Finding | None:
    path: str | None
    if denied := _DENIED.search(error.said):
        quoted = _QUOTED.search(error.said, 0, denied.start())
        path, reason = quoted.group(1) if quoted else None, denied.group(1)
    elif no_cache := _NO_CACHE.search(error.said):
        path, reason = no_cache.group(1), _last(error).rpartition(": ")[2]
    else:
        return None
    own = path is not None and any(argument.startswith(path) for argument in failure.argv)
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.PERMISSION_DENIED,
        summary=f"uv may not write to {path or 'a folder'}: {reason}",
        explanation=error.said,
        hints=[
            Hint(
                title="keep environments in a folder that can be written to",
                command='export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/modelops-runner"',
            )
            if own
            else Hint(
                title="let uv keep its cache in a folder that can be written to",
                command='export UV_CACHE_DIR="${TMPDIR:-/tmp}/uv-cache"',
            )
        ],
    )


def _python_refused(case: Case, failure: UvFailure, error: UvError) -> Finding | None:
    """The interpreter does not suit, and uv had nothing to resolve."""
    if own := _OWN_PYTHON.search(error.said):
        return own_python_finding(case, failure, own.group(1))
    locked = _NO_WHEEL_LOCKED.search(error.said)
    if locked is None:
        return None
    name, version = locked.groups()
    summary = f"{name} {version}, which uv.lock asks for, has neither source nor a wheel for"
    if minors := minors_of_wheels(error.hints):
        summary += f" Python {failure.python_version}"
        return python_conflict(case, failure, name, summary, error.hints[0], minors)
    return platform_conflict(case, failure, name, f"{summary} this platform", error.hints)


def _input_refused(case: Case, failure: UvFailure, error: UvError) -> Finding | None:
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
        code, summary = Code.ENVIRONMENT_FAILED, f"uv.lock is broken: {_last(error)}"
        lock = shlex.quote(f"{failure.bundle_path}/uv.lock")
        hint = Hint(title="remove it and lock anew", command=f"rm {lock} && {relock}")
    elif "Hash mismatch" in said:
        code = Code.ENVIRONMENT_FAILED
        summary = f"{_last(error)}: what the index has is not what was recorded"
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
    elif option := _NOT_READ.search(said):
        code = Code.ENVIRONMENT_FAILED
        file, line = option.groups()
        summary = f"{file}:{line} is neither a requirement nor an option that uv knows"
        hint = Hint(title=f"correct line {line} of {file}, or remove it")
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
        hint = Hint(title=f"add {name} to the bundle, or remove the line that includes it")
    elif missing := _FILE_MISSING.search(said):
        code = Code.DEPENDENCY_NOT_FOUND
        path = missing.group(1).removeprefix(f"file://{failure.bundle_path}/")
        summary = f"{failure.requirements_from} refers to {path}, which does not exist"
        hint = Hint(title=f"add {path} to the bundle, or remove what refers to it")
        wheel = _WHEEL.search(path)
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


def _wheel_elsewhere(
    case: Case, failure: UvFailure, said: str, path: str, wheel: re.Match[str]
) -> Finding:
    """A wheel that only the author's machine has, or that conda has built."""
    name, version = wheel[1].replace("_", "-"), wheel[2]
    written = requirement_for(failure, name)
    edit = requirement_edit(case, failure, written, f"{name}=={version}") if written else None
    by_version = Hint(title=f"if an index has it, ask for it by its version: {name}=={version}",
                      edit=edit)  # fmt: skip
    there = [file for file in case.bundle_files if f"/{file}".endswith(path[wheel.start() :])]
    hints = [
        Hint(
            title="copy it into the bundle from the machine that has it, and name it there, by a"
            " path that begins in the bundle"
        ),
        msgspec.structs.replace(by_version, title=f"or, {by_version.title}"),
    ]
    if _OF_CONDA.search(path):
        title = f"ask for {name}=={version}: pip freeze writes where conda once built it"
        hints = [msgspec.structs.replace(by_version, title=title)]
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


def _unrecognised(failure: UvFailure, error: UvError, stderr: str) -> Finding:
    words = error.messages or last_lines(printable(stderr), 5)
    if failure.signal is not None:
        return _killed(failure, failure.signal, stderr)
    if failure.exit_code is None and not words:
        return _status_lost()
    status = (
        "in an unknown way" if failure.exit_code is None else f"with status {failure.exit_code}"
    )
    setting = _SETTING.search("\n".join(words))
    if setting is not None and f"--{setting['option']}" not in failure.argv:
        return _setting_refused(setting, words)
    if words:
        # The first says what failed and the last, nearest to the root, why.
        said = f": {one_line(': '.join(dict.fromkeys([words[0], words[-1]])), 200)}"
    else:
        said = " and said nothing"
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary=f"uv ended {status}{said}",
        explanation="\n".join([*words, *error.hints]),
        hints=[Hint(title="run the same by hand", command=_by_hand(failure), by="person")],
    )


def _setting_refused(setting: re.Match[str], words: list[str]) -> Finding:
    """A variable has a value that uv does not know: the runner itself does not give that option."""
    option = setting["option"] or ""
    variable = setting["variable"] or f"UV_{option.upper().replace('-', '_')}"
    value = setting["value"] or setting["said"] or ""
    possible = re.search(r"\[possible values: ([^\]]*)\]", "\n".join(words))
    taken = f"it takes {possible[1]}" if possible else setting["why"]
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary=f"{variable} is {value!r}, which uv does not take"
        + (f": {one_line(taken, 200)}" if taken else ""),
        explanation="\n".join(words),
        hints=[
            Hint(title=f"unset {variable}, or give it another value", command=f"unset {variable}")
        ],
    )


def _killed(failure: UvFailure, signal: str, stderr: str) -> Finding:
    words = last_lines(printable(stderr), 5)
    killed = signal in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary=f"{signal} ended uv while it made the environment",
        explanation=(
            "Something outside ended it: the kernel for want of memory, a batch system, a person."
            if killed
            else "uv itself crashed."
        )
        + (f" It had said: {one_line(words[-1], 200)}" if words else ""),
        hints=[
            Hint(title="run it again; if it happens again, see who ends it (dmesg, the batch"
                 " system's log)")
            if killed
            else Hint(title="run the same by hand", command=_by_hand(failure), by="person")
        ],
        retryable=killed,
    )  # fmt: skip


def _status_lost() -> Finding:
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_FAILED,
        summary="how uv ended is not known: the worker's process ignores SIGCHLD, or waits for"
        " children that are not its own",
        explanation="The system tells a process once how a child has ended, and tells one that"
        " ignores SIGCHLD nothing. Whether the environment is whole is not known then either, so"
        " it is not used.",
        hints=[
            Hint(
                title="in the worker, before the first run: signal.signal(signal.SIGCHLD,"
                " signal.SIG_DFL)",
            ),
            Hint(title="or build the environment beforehand: modelops-runner check --build"),
        ],
    )


def _by_hand(failure: UvFailure) -> str:
    """The same command on the bundle itself: the copy and the unfinished venv are gone."""
    argv = list(failure.argv)
    if failure.step == "venv":
        argv[-1] = "/tmp/by-hand"
    elif "--python" in argv and "pip" in argv:
        at = argv.index("--python") + 1
        argv[at] = failure.python_version
        argv[argv.index("install") + 1 : argv.index("install") + 1] = ["--dry-run"]
    return f"cd {shlex.quote(failure.bundle_path)} && {shlex.join(argv)}"


def _last(error: UvError) -> str:
    return one_line(without_drawing(error.messages[-1].partition("\n\n")[0]), 120)
