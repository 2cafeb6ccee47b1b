"""``modelops-runner env``: what the cache holds, where, and removing it."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

import anyio

from runner.cli.command_line.commands import (
    EnvCommand,
    EnvList,
    EnvPath,
    EnvPrune,
    EnvRemove,
    UsageError,
)
from runner.cli.result import json_document
from runner.diagnosis.case import Case, Failure
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.text import printable
from runner.environment.cache_folder import cache_folder
from runner.environment.inventory import Entry, entries, prunable, remove, remove_locks
from runner.execution.prepare import locate_environment
from runner.execution.run_task import reported

_UNITS = ((86400 * 7, "weeks"), (86400, "days"), (3600, "hours"), (60, "minutes"))


def run(command: EnvCommand) -> tuple[int, str]:
    """Do it; returns the exit code, and what goes to standard output."""
    try:
        cache = cache_folder()
    except Failure as failure:
        title, how = failure.finding.summary, failure.finding.hints[0].command
        raise UsageError(f"{title}; {how}") from failure
    try:
        match command:
            case EnvList():
                return 0, _list(entries(cache), cache, command.json)
            case EnvPath():
                return _path(command, cache)
            case EnvRemove():
                return _remove_keys(command, entries(cache), cache)
            case EnvPrune():
                chosen = prunable(
                    entries(cache), older_than=command.older_than, max_size=command.max_size
                )
                done = _remove(chosen, command.json, cache)
                remove_locks(cache)
                return done
    except OSError as error:
        raise UsageError(f"{error.filename or cache}: {error.strerror}") from error


def _list(listed: list[Entry], cache: Path, json: bool) -> str:
    total = sum(entry.size for entry in listed)
    if json:
        return json_document({"ok": True, "cache": cache, "size": total, "entries": listed})
    lines = [_line(entry) for entry in reversed(listed)]
    return "".join(lines) + f"{len(listed)} in {cache}, {size_text(total)}\n"


def _line(entry: Entry) -> str:
    bundles = ", ".join(entry.bundles)
    used = "in use" if entry.in_use else f"used {_duration(entry.seconds_unused)} ago"
    age = "" if entry.seconds_old is None else f"{_duration(entry.seconds_old)} old"
    facts = [f"{entry.key:<20}", f"{entry.kind:<11}", f"{entry.python or '':<8}"]
    facts += [f"{size_text(entry.size):>9}", f"{age:<14}", f"{used:<20}", bundles]
    return printable("  ".join(facts).rstrip()) + "\n"  # anybody may have written them


def _path(command: EnvPath, cache: Path) -> tuple[int, str]:
    if command.bundle is None:
        return 0, f"{cache}\n"
    case = Case()
    try:
        with reported(case):
            venv = anyio.run(locate_environment, case, command.settings, command.bundle)
    except RunnerError as error:
        raise UsageError(error.report.summary) from error
    if venv is None:
        asked = command.settings
        options = ["--build"]
        options += [f"--python={asked.python}"] if asked.python else []
        options += [f"--lock={asked.lock}"] if asked.lock else []
        options += ["--ignore-lock"] if asked.ignore_lock else []
        built_by = shlex.join(["modelops-runner", "check", *options, str(command.bundle)])
        raise UsageError(f"it is not built; {built_by} builds it")
    return 0, f"{venv}\n"


def _remove_keys(command: EnvRemove, listed: list[Entry], cache: Path) -> tuple[int, str]:
    chosen: list[Entry] = []
    for key in command.keys:
        # As short as it is still one: git's way with its own.
        found = [entry for entry in listed if entry.key.startswith(key)]
        if len(found) != 1:
            raise UsageError(f"{len(found) or 'no'} folders in {cache} begin with {key!r}")
        chosen += found
    gone = {entry.key for entry in chosen}
    chosen += [one for one in listed if one.dependencies in gone and one not in chosen]
    return _remove(chosen, command.json, cache)


def _remove(chosen: Iterable[Entry], json: bool, cache: Path) -> tuple[int, str]:
    removed, left, refused = list[Entry](), list[Entry](), list[Entry]()
    # First what stands upon others: without these it would be found, and not work.
    for entry in sorted(chosen, key=lambda entry: entry.dependencies is None):
        try:
            (removed if remove(entry) else left).append(entry)
        except OSError as error:  # another user's
            refused.append(entry)
            print(f"{entry.key} stays: {error.filename}: {error.strerror}", file=sys.stderr)
    size = sum(entry.size for entry in removed)
    ok = not (left or refused)
    if json:
        content = {"ok": ok, "cache": cache, "size": size, "removed": removed, "in_use": left}
        return 0 if ok else 1, json_document({**content, "refused": refused})
    for entry in left:
        print(f"{entry.key} stays: it is in use", file=sys.stderr)
    lines = [f"removed {entry.key}  {entry.kind}  {size_text(entry.size)}\n" for entry in removed]
    return 0 if ok else 1, "".join(lines) + f"{size_text(size)} freed in {cache}\n"


def size_text(size: int) -> str:
    """``434.2 MB``: powers of 1000, as disks are sold."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def _duration(seconds: float) -> str:
    for unit, name in _UNITS:
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds"
