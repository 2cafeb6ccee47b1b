"""Makes the command of what was parsed."""

import argparse
from collections.abc import Mapping

from runner.cli.command_line.arguments import flag
from runner.cli.command_line.commands import (
    AnyCommand,
    Check,
    Completion,
    Doctor,
    EnvCommand,
    EnvList,
    EnvPath,
    EnvPrune,
    EnvRemove,
    Exec,
    Explain,
    Init,
    Matrix,
    Replay,
    Rerun,
    ShowReport,
    Table,
)
from runner.defaults import Isolation
from runner.settings import Settings


def read_command(
    name: str, given: argparse.Namespace, *, words: list[str], environ: Mapping[str, str]
) -> AnyCommand:
    """Return the command that a command line asks for.

    :param name: the command's name.
    :param given: its arguments, as its parser gives them.
    :param words: the command line itself.
    :param environ: this process's variables; some are settings.
    :raises ValueError: its arguments do not go together.
    """
    given.words, given.environ = words, environ
    match name:
        case "exec":
            return _read_exec(given)
        case "check":
            return _read_check(given)
        case "replay":
            return Replay(given.recording, given.report, given.json)
        case "explain":
            return Explain(given.code)
        case "report":
            return ShowReport(given.file, given.html)
        case "doctor":
            settings = Settings(offline=given.offline)
            return Doctor(given.bundle, given.scheduler, settings, given.json)
        case "matrix":
            return _read_matrix(given)
        case "env":
            return _read_env(given)
        case "init":
            return Init(given.folder)
        case "table":
            return _read_table(given)
        case "rerun":
            return Rerun(
                folder=given.folder,
                index=given.index,
                settings=Settings(offline=given.offline, env=dict(given.env)),
                json=given.json,
            )
        case "completion":
            return Completion(given.shell)
    raise AssertionError(name)


def _read_exec(given: argparse.Namespace) -> Exec:
    study = given.tasks is not None or given.grid or given.seeds is not None
    if given.jobs is not None and not study:
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
    return Exec(
        bundle=given.bundle,
        settings=_settings(
            given,
            timeout=given.timeout,
            isolation=given.isolation,
            children=given.jobs,
            threads=given.threads,
        ),
        report=given.report,
        record=given.record,
        json=given.json,
        words=given.words,
        entrypoint=given.entrypoint,
        function=given.function,
        param=given.param,
        params=given.params,
        seed=given.seed,
        tasks=given.tasks,
        grid=given.grid,
        seeds=given.seeds,
        dry_run=given.dry_run,
        shard=given.shard,
        again_failed=given.again is not None,
        output=given.output,
        overwrite=given.overwrite,
        verbosity=given.verbosity,
    )


def _read_table(given: argparse.Namespace) -> Table:
    if (given.csv is not None) + (given.parquet is not None) + given.json > 1:
        raise ValueError("--csv, --parquet and --json are one too many")
    return Table(
        folder=given.folder, rows=given.rows, csv=given.csv, parquet=given.parquet, json=given.json
    )


def _read_check(given: argparse.Namespace) -> Check:
    task = [given.entrypoint, given.param or None, given.params, given.seed, given.timeout]
    if not given.reproducible and task != [None] * 5:
        raise ValueError(
            "--entrypoint, --param, --params, --seed and --timeout need --reproducible: nothing"
            " else of check runs a task"
        )
    if given.reproducible and (given.more or given.lock_to is not None):
        raise ValueError("--reproducible takes one bundle, and no --lock-to")
    return Check(
        bundle=given.bundle,
        settings=_settings(given, timeout=given.timeout),
        report=given.report,
        record=given.record,
        json=given.json,
        words=given.words,
        reproducible=given.reproducible,
        entrypoint=given.entrypoint,
        param=given.param,
        params=given.params,
        seed=given.seed,
        build=given.build or given.lock_to is not None,
        lock_to=given.lock_to,
        more=given.more,
        verbose=given.verbose,
    )


def _read_matrix(given: argparse.Namespace) -> Matrix:
    return Matrix(
        bundle=given.bundle,
        pythons=given.python,
        dasks=given.dask,
        settings=Settings(
            offline=given.offline,
            ignore_lock=given.ignore_lock,
            timeout=given.timeout,
            env=dict(given.env),
        ),
        entrypoint=given.entrypoint,
        param=given.param,
        params=given.params,
        seed=given.seed,
        jobs=given.jobs,
        json=given.json,
    )


def _read_env(given: argparse.Namespace) -> EnvCommand:
    if given.action == "list":
        return EnvList(given.json)
    if given.action == "path":
        settings = Settings(python=given.python, lock=given.lock, ignore_lock=given.ignore_lock)
        return EnvPath(given.bundle, settings)
    if given.action == "remove":
        return EnvRemove(given.key, given.json)
    return EnvPrune(given.older_than, given.max_size, given.json)


def _settings(
    given: argparse.Namespace,
    *,
    timeout: float | None = None,
    isolation: Isolation = Isolation.FORK,
    children: int | None = None,
    threads: int | None = None,
) -> Settings:
    return Settings(
        python=given.python,
        fresh_venv=given.fresh_venv or flag(given.environ, "MODELOPS_FORCE_FRESH_VENV"),
        build_timeout=given.build_timeout,
        startup_timeout=given.startup_timeout,
        timeout=timeout,
        offline=given.offline,
        lock=given.lock,
        ignore_lock=given.ignore_lock,
        memory_limit=given.memory_limit,
        env=dict(given.env),
        isolation=isolation,
        children=children,
        threads=threads,
    )
