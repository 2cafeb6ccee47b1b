"""Makes the command of what was parsed."""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from runner.cli.command_line import commands
from runner.cli.command_line.arguments import flag
from runner.settings import Settings

_COMMANDS: dict[str, type[commands.AnyCommand]] = {
    "exec": commands.Exec,
    "check": commands.Check,
    "table": commands.Table,
    "rerun": commands.Rerun,
    "replay": commands.Replay,
    "explain": commands.Explain,
    "report": commands.ShowReport,
    "doctor": commands.Doctor,
    "matrix": commands.Matrix,
    "env list": commands.EnvList,
    "env path": commands.EnvPath,
    "env remove": commands.EnvRemove,
    "env prune": commands.EnvPrune,
    "init": commands.Init,
    "completion": commands.Completion,
}


def read_command(
    name: str, given: argparse.Namespace, *, words: list[str], environ: Mapping[str, str]
) -> commands.AnyCommand:
    """Return the command that a command line asks for.

    Its fields, and those of its settings, are the arguments of the same names.

    :raises ValueError: its arguments do not go together.
    """
    if name in _CHECKS:
        _CHECKS[name](given)
    kind = _COMMANDS[f"env {given.action}" if name == "env" else name]
    said = {**vars(given), "words": words, "settings": None}
    if "settings" in kind.__struct_fields__:
        said["settings"] = _settings(vars(given), environ)
    return kind(**{field: said[field] for field in kind.__struct_fields__ if field in said})


def _settings(said: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    options = {name: said[name] for name in Settings.__struct_fields__ if name in said}
    if "fresh_venv" in options:
        options["fresh_venv"] = said["fresh_venv"] or flag(environ, "MODELOPS_FORCE_FRESH_VENV")
    return Settings(**{**options, "env": dict(said.get("env", ()))})


def _check_exec(given: argparse.Namespace) -> None:
    study = given.tasks is not None or given.grid or given.seeds is not None
    if given.children is not None and not study:
        raise ValueError("--jobs needs --grid, --seeds or --tasks: a single task has one child")
    if given.dry_run and not study:
        raise ValueError("--dry-run needs --grid, --seeds or --tasks: it shows what they make")
    if given.shard is not None and not study:
        raise ValueError(
            "--shard needs --grid, --seeds or --tasks: it runs a part of what they say"
        )
    if given.shard is not None and given.overwrite:
        raise ValueError("--shard and --overwrite: a shard does not remove what others may write")
    if given.again is not None and given.output is None:
        raise ValueError("--again needs --output: what failed before stands there")
    if given.seeds is not None and given.seed is not None:
        raise ValueError("--seeds and --seed are one too many")
    if given.tasks is not None and (given.grid or given.seeds is not None):
        raise ValueError("--tasks has all tasks: leave out --grid and --seeds")
    if given.overwrite and given.output is None:
        raise ValueError("--overwrite needs --output: it says what may be replaced there")
    alone = [given.entrypoint, given.param or None, given.params, given.seed, given.function]
    if given.tasks is not None and alone != [None] * 5:
        raise ValueError(
            "each line of --tasks has its own entrypoint, params, seed and function: leave out"
            " ENTRYPOINT, --param, --params, --seed and --function"
        )


def _check_check(given: argparse.Namespace) -> None:
    task = [given.entrypoint, given.param or None, given.params, given.seed, given.timeout]
    if not given.reproducible and task != [None] * 5:
        raise ValueError(
            "--entrypoint, --param, --params, --seed and --timeout need --reproducible: nothing"
            " else of check runs a task"
        )
    if given.reproducible and (given.more or given.lock_to is not None):
        raise ValueError("--reproducible takes one bundle, and no --lock-to")
    given.build |= given.lock_to is not None


def _check_table(given: argparse.Namespace) -> None:
    if (given.csv is not None) + (given.parquet is not None) + given.json > 1:
        raise ValueError("--csv, --parquet and --json are one too many")


_CHECKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "exec": _check_exec,
    "check": _check_check,
    "table": _check_table,
}
"""See that arguments go together; each raises a ``ValueError`` where they do not."""
