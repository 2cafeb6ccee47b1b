"""Turns uv's words into a finding.

Pure, so that a recording of a failure gives the same finding. The recognisers go from the cause
that lies deepest outwards: a full disk fails a build too, and an index that is not reached makes
a package look missing.
"""

import re
import shlex

import msgspec

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.refusals import room_for_environments
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.diagnosis.uv.build import build_finding
from runner.diagnosis.uv.error import FailedUv, UvFailure
from runner.diagnosis.uv.hints import quote_hints
from runner.diagnosis.uv.index import index_finding
from runner.diagnosis.uv.project_settings import project_setting_finding
from runner.diagnosis.uv.python import (
    minors_of_wheels,
    own_python_finding,
    platform_conflict,
    python_conflict,
)
from runner.diagnosis.uv.refused_inputs import input_finding
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
_NO_CACHE = re.compile(r"Failed to initialize cache at `([^`]+)`")
# As clap says it, of the value of an option or of the variable that stands for it; as uv itself.
_SETTING = re.compile(
    r"(?:invalid value '(?P<value>[^']*)'|a value is required) for '--(?P<option>[a-z-]+)"
    r"|environment variable `(?P<variable>UV_\w+)` with invalid value `(?P<said>[^`]*)`:"
    r" (?P<why>.+)"
)


def diagnose_uv(case: Case, failure: UvFailure) -> Finding:
    """The root cause of a uv that failed."""
    uv = FailedUv.of(case, failure)
    finding = (
        _disk_full(uv)
        or index_finding(uv)
        or resolution_finding(uv)
        or _permission_denied(uv)
        or project_setting_finding(uv)
        or _python_refused(uv)
        or input_finding(uv)
        or build_finding(uv)
        or _unrecognised(uv)
    )
    quote_hints(finding, uv.error)
    if case.refused:
        kept = [one for one in finding.hints if not one.edit or one.edit.after not in case.refused]
        first, *others = kept or [by_hand("run the same by hand", _by_hand(uv.failure))]
        first = msgspec.structs.replace(first, title=re.sub(r"^or,? ", "", first.title))
        finding.hints = [first, *others]
    return finding


def _disk_full(uv: FailedUv) -> Finding | None:
    everything = "\n".join([uv.error.said, *uv.error.output])
    if not re.search(r"No space left on device|Disk quota exceeded", everything):
        return None
    where = re.search(r"`(/[^`]+)`", uv.error.said)
    own = where is not None and any(map(where[1].startswith, uv.failure.argv[1:]))
    return Finding.of(
        Code.DISK_FULL,
        "the disk is full" + (f": no space for {where.group(1)}" if where else ""),
        uv.error.said,
        *(
            room_for_environments()
            if own
            else [
                by_hand("free what uv's cache no longer needs", "uv cache prune"),
                by_hand("or keep that cache on another disk", "export UV_CACHE_DIR=/a/dir"),
                by_hand("and environments too", "export MODELOPS_CACHE_DIR=/a/dir"),
            ]
        ),
        phase=Phase.ENVIRONMENT,
    )


def _permission_denied(uv: FailedUv) -> Finding | None:
    path: str | None
    if denied := _DENIED.search(uv.error.said):
        quoted = _QUOTED.search(uv.error.said, 0, denied.start())
        path, reason = quoted.group(1) if quoted else None, denied.group(1)
    elif no_cache := _NO_CACHE.search(uv.error.said):
        path, reason = no_cache.group(1), uv.error.last.rpartition(": ")[2]
    else:
        return None
    own = path is not None and any(argument.startswith(path) for argument in uv.failure.argv)
    return Finding.of(
        Code.PERMISSION_DENIED,
        f"uv may not write to {path or 'a folder'}: {reason}",
        uv.error.said,
        Hint(
            "keep environments in a folder that can be written to",
            command='export MODELOPS_CACHE_DIR="${TMPDIR:-/tmp}/modelops-runner"',
        )
        if own
        else Hint(
            "let uv keep its cache in a folder that can be written to",
            command='export UV_CACHE_DIR="${TMPDIR:-/tmp}/uv-cache"',
        ),
        phase=Phase.ENVIRONMENT,
    )


def _python_refused(uv: FailedUv) -> Finding | None:
    """The interpreter does not suit, and uv had nothing to resolve."""
    if own := _OWN_PYTHON.search(uv.error.said):
        return own_python_finding(uv, own.group(1))
    locked = _NO_WHEEL_LOCKED.search(uv.error.said)
    if locked is None:
        return None
    name, version = locked.groups()
    summary = f"{name} {version}, which uv.lock asks for, has neither source nor a wheel for"
    if minors := minors_of_wheels(uv.error.hints):
        summary += f" Python {uv.failure.python_version}"
        return python_conflict(uv, name, summary, uv.error.hints[0], minors)
    return platform_conflict(uv, name, f"{summary} this platform", uv.error.hints)


def _unrecognised(uv: FailedUv) -> Finding:
    words = uv.error.messages or last_lines(printable(uv.failure.stderr), 5)
    if uv.failure.signal is not None:
        return _killed(uv.failure, uv.failure.signal)
    if uv.failure.exit_code is None and not words:
        return _status_lost()
    status = (
        "in an unknown way"
        if uv.failure.exit_code is None
        else f"with status {uv.failure.exit_code}"
    )
    setting = _SETTING.search("\n".join(words))
    if setting is not None and f"--{setting['option']}" not in uv.failure.argv:
        return _setting_refused(setting, words)
    if words:
        # The first says what failed and the last, nearest to the root, why.
        said = f": {one_line(': '.join(dict.fromkeys([words[0], words[-1]])), 200)}"
    else:
        said = " and said nothing"
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        f"uv ended {status}{said}",
        "\n".join([*words, *uv.error.hints]),
        by_hand("run the same by hand", _by_hand(uv.failure)),
    )


def _setting_refused(setting: re.Match[str], words: list[str]) -> Finding:
    """A variable has a value that uv does not know: the runner itself does not give that option."""
    option = setting["option"] or ""
    variable = setting["variable"] or f"UV_{option.upper().replace('-', '_')}"
    value = setting["value"] or setting["said"] or ""
    possible = re.search(r"\[possible values: ([^\]]*)\]", "\n".join(words))
    taken = f"it takes {possible[1]}" if possible else setting["why"]
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        f"{variable} is {value!r}, which uv does not take"
        + (f": {one_line(taken, 200)}" if taken else ""),
        "\n".join(words),
        Hint(f"unset {variable}, or give it another value", command=f"unset {variable}"),
    )


def _killed(failure: UvFailure, signal: str) -> Finding:
    words = last_lines(printable(failure.stderr), 5)
    killed = signal in ("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        f"{signal} ended uv while it made the environment",
        (
            "Something outside ended it: the kernel for want of memory, a batch system, a person."
            if killed
            else "uv itself crashed."
        )
        + (f" It had said: {one_line(words[-1], 200)}" if words else ""),
        by_hand(
            "run it again; if it happens again, see who ends it: the kernel, or the"
            " batch system, by its log",
            "dmesg | grep -i 'killed process'",
        )
        if killed
        else by_hand("run the same by hand", _by_hand(failure)),
        retryable=killed,
    )


def _status_lost() -> Finding:
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        "how uv ended is not known: the worker's process ignores SIGCHLD, or waits for"
        " children that are not its own",
        "The system tells a process once how a child has ended, and tells one that"
        " ignores SIGCHLD nothing. Whether the environment is whole is not known then either, so"
        " it is not used.",
        Hint("in the worker, before the first run: signal.signal(signal.SIGCHLD, signal.SIG_DFL)"),
        Hint("or build the environment beforehand: modelops-runner check --build"),
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
