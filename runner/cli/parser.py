"""The command line: what can be said, and what is wrong with what was said.

Each command has a function that adds its parser, and one beside it that makes the command of what
was parsed.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from runner.cli import options
from runner.cli.arguments import age, code, count, flag, index, size_or_none
from runner.cli.commands import (
    AnyCommand,
    Check,
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
from runner.diagnosis.report.codes import Code
from runner.execution.worker_info import runner_version
from runner.settings import Isolation, Settings

_TASKS_HELP = """\
a study is a grid, or a file of tasks:
  --grid beta=0.1,0.2,0.3 --grid 'scenario="baseline","lockdown"' --seeds 0:20
  --grid n=100:1000:100       100, 200, ... 900: as in Python, without the end
  --tasks FILE.jsonl          a task a line, all of it optional:
  {"entrypoint": "baseline", "params": {"beta": 0.3}, "seed": 1, "id": "first"}
  --tasks FILE.csv            a column a parameter, or seed, entrypoint, id

All tasks are read and checked before the first one runs. Each that is done or
has failed leaves a line of JSON: in DIR/results.jsonl with --output DIR, else on
standard output. With --output, a task is known by what it is called with: the
same command again, or one with more values or seeds, runs what is new or has
changed. The exit code is 13 where a task failed."""


def parse(argv: list[str], environ: Mapping[str, str] = os.environ) -> AnyCommand:
    """Read the command line.

    :raises SystemExit: with status 2 where it is wrong, 0 after ``--help`` and ``--version``.
    """
    parser = argparse.ArgumentParser(
        prog="modelops-runner",
        description="Run simulation bundles in isolated environments, or say exactly why not.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {runner_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _ADDED:
        add(commands)
    if not argv or argv[0] not in commands.choices:
        parser.parse_args(argv)  # ends here: with the help, the version or an error
    one = commands.choices[argv[0]]
    # A plain parse takes ENTRYPOINT only where it follows BUNDLE at once. With subparsers, as those
    # of env, argparse has no other.
    parse_one = one.parse_args if argv[0] == "env" else one.parse_intermixed_args
    given = parse_one(argv[1:])
    given.words = ["modelops-runner", *argv]
    given.environ = environ
    try:
        read: Callable[[argparse.Namespace], AnyCommand] = given.read
        return read(given)
    except ValueError as error:
        one.error(str(error))


_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _exec(commands: _Commands) -> None:
    parser = commands.add_parser(
        "exec",
        parents=[
            options.bundle(),
            options.task(),
            options.run(),
            options.report(),
            options.output(),
            options.json(),
        ],
        help="run a task, or a study of many",
        description="Run one task of a bundle, or many: with --grid and --seeds, or --tasks.",
        epilog=_TASKS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_study(parser)
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=count,
        help="how many children run the tasks (default: one for each processor)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=count,
        help="how many threads numerical libraries start in a child, which results may depend on"
        " (default: the bundle's, else OMP_NUM_THREADS, else its share of the processors)",
    )
    parser.add_argument(
        "--isolation",
        choices=[isolation.value for isolation in Isolation],
        default=Isolation.FORK,
        type=Isolation,
        help="what a task shares with those before it: 'fork' (the default) what the bundle's"
        " import has left, 'warm' the process, 'fresh' nothing; a single task is alone anyway",
    )
    parser.set_defaults(read=_read_exec)


def _read_exec(given: argparse.Namespace) -> Exec:
    study = given.tasks is not None or given.grid or given.seeds is not None
    if given.jobs is not None and not study:
        raise ValueError("--jobs needs --grid, --seeds or --tasks: a single task has one child")
    if given.dry_run and not study:
        raise ValueError("--dry-run needs --grid, --seeds or --tasks: it shows what they make")
    if given.again is not None and given.output is None:
        raise ValueError("--again needs --output: what failed before stands there")
    if given.seeds is not None and given.seed is not None:
        raise ValueError("--seeds and --seed are one too many")
    if given.tasks is not None and (given.grid or given.seeds is not None):
        raise ValueError("--tasks has all tasks: leave out --grid and --seeds")
    if given.overwrite and given.output is None:
        raise ValueError("--overwrite needs --output: it says what may be replaced there")
    alone = [given.entrypoint, given.param or None, given.params, given.seed]
    if given.tasks is not None and alone != [None] * 4:
        raise ValueError(
            "each line of --tasks has its own entrypoint, params and seed: leave out ENTRYPOINT,"
            " --param, --params and --seed"
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
        param=given.param,
        params=given.params,
        seed=given.seed,
        tasks=given.tasks,
        grid=given.grid,
        seeds=given.seeds,
        dry_run=given.dry_run,
        again_failed=given.again is not None,
        output=given.output,
        overwrite=given.overwrite,
    )


def _check(commands: _Commands) -> None:
    parser = commands.add_parser(
        "check",
        parents=[options.bundle(), options.run(), options.report(), options.json()],
        help="say what can be known without running a task",
        description="Say everything about a bundle that can be known without running a task.",
    )
    parser.add_argument(
        "more", metavar="BUNDLE", nargs="*", type=Path, help="others, to prepare a machine for"
    )
    parser.add_argument(
        "--build", action="store_true", help="also build the environment and load the bundle"
    )
    parser.add_argument(
        "--lock-to",
        metavar="FILE",
        type=Path,
        help="build it, and write down which versions it has, for --lock",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="also list this process's variables that the bundle's code does not get",
    )
    parser.set_defaults(read=_read_check)


def _read_check(given: argparse.Namespace) -> Check:
    return Check(
        bundle=given.bundle,
        settings=_settings(given),
        report=given.report,
        record=given.record,
        json=given.json,
        words=given.words,
        build=given.build or given.lock_to is not None,
        lock_to=given.lock_to,
        more=given.more,
        verbose=given.verbose,
    )


def _replay(commands: _Commands) -> None:
    parser = commands.add_parser(
        "replay",
        parents=[options.report(), options.json()],
        help="print the report that a recording gives today",
        description="Print the report that a recording gives today. Nothing is started for it.",
    )
    parser.add_argument(
        "recording", metavar="RECORDING", type=Path, help="what --record wrote: the file or folder"
    )
    parser.set_defaults(read=lambda given: Replay(given.recording, given.report, given.json))


def _explain(commands: _Commands) -> None:
    parser = commands.add_parser(
        "explain",
        help="say what a code means",
        description="Say what a code means, what causes it and what to do.",
        epilog="The codes: " + ", ".join(code.value for code in Code),
    )
    parser.add_argument("code", metavar="CODE", type=code, help="as reports give it")
    parser.set_defaults(read=lambda given: Explain(given.code))


def _report(commands: _Commands) -> None:
    parser = commands.add_parser(
        "report",
        help="print a saved report again",
        description="Print a report that --report, --json or a RunnerError saved.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the report, as JSON")
    parser.add_argument(
        "--html", metavar="FILE", type=Path, help="write one self-contained page instead"
    )
    parser.set_defaults(read=lambda given: ShowReport(given.file, given.html))


def _doctor(commands: _Commands) -> None:
    parser = commands.add_parser(
        "doctor",
        parents=[options.offline(), options.json()],
        help="look at this machine, or at a Dask cluster",
        description="Look at what a worker needs on this machine; with --scheduler, at a cluster."
        " The exit status is 1 where something keeps tasks from running.",
    )
    parser.add_argument(
        "bundle", metavar="BUNDLE", nargs="*", type=Path, help="that are to run there"
    )
    parser.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of the cluster to look at, such as tcp://10.0.0.1:8786; this machine is not then",
    )
    parser.set_defaults(
        read=lambda given: Doctor(
            given.bundle, given.scheduler, Settings(offline=given.offline), given.json
        )
    )


def _matrix(commands: _Commands) -> None:
    parser = commands.add_parser(
        "matrix",
        parents=[
            options.bundle(),
            options.task(),
            options.offline(),
            options.variables(),
            options.json(),
        ],
        help="try a bundle on several Pythons",
        description="Build and load a bundle on each Python named, and run a task of it there."
        " The exit status is 1 where one fails.",
    )
    parser.add_argument(
        "--python",
        metavar="REQUEST",
        action="append",
        required=True,
        help="a version, a specifier or a path; once for each",
    )
    parser.add_argument(
        "--dask",
        metavar="VERSION",
        action="append",
        default=[],
        help="also run client, scheduler and worker of each combination, with this Dask, on"
        " loopback; once for each",
    )
    parser.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=count,
        help="how many at a time (default: one for each processor)",
    )
    parser.set_defaults(read=_read_matrix)


def _read_matrix(given: argparse.Namespace) -> Matrix:
    return Matrix(
        bundle=given.bundle,
        pythons=given.python,
        dasks=given.dask,
        settings=Settings(offline=given.offline, timeout=given.timeout, env=dict(given.env)),
        entrypoint=given.entrypoint,
        param=given.param,
        params=given.params,
        seed="0" if given.seed is None else given.seed,
        jobs=given.jobs,
        json=given.json,
    )


def _env(commands: _Commands) -> None:
    parser = commands.add_parser(
        "env",
        help="list, find and remove environments",
        description="List, find and remove environments. One that is in use is never removed.",
    )
    parser.set_defaults(read=_read_env)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    json = [options.json()]
    actions.add_parser("list", parents=json, help="size, last use and bundles of each")
    path = actions.add_parser(
        "path", help="the folder of a bundle's environment; without a bundle, of all"
    )
    path.add_argument("bundle", metavar="BUNDLE", nargs="?", type=Path)
    path.add_argument("--python", metavar="REQUEST", help="as for exec")
    remove = actions.add_parser("remove", parents=json, help="remove some, and what is upon them")
    remove.add_argument(
        "key", metavar="KEY", nargs="+", help="as list gives it; its beginning will do"
    )
    prune = actions.add_parser(
        "prune", parents=json, help="remove what is unfinished, and what the limits say"
    )
    prune.add_argument(
        "--older-than",
        metavar="AGE",
        type=age,
        help="what was not used for so long: 30d, 12h, 90m",
    )
    prune.add_argument(
        "--max-size",
        metavar="SIZE",
        type=size_or_none,
        help="how much may stay, such as 10GiB; the longest unused go first",
    )


def _read_env(given: argparse.Namespace) -> EnvCommand:
    if given.action == "list":
        return EnvList(given.json)
    if given.action == "path":
        return EnvPath(given.bundle, Settings(python=given.python))
    if given.action == "remove":
        return EnvRemove(given.key, given.json)
    return EnvPrune(given.older_than, given.max_size, given.json)


def _init(commands: _Commands) -> None:
    parser = commands.add_parser(
        "init",
        help="make a bundle to begin with",
        description="Write a bundle that runs, for a model of one's own. Nothing that is there is"
        " written over.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="made if need be")
    parser.set_defaults(read=lambda given: Init(given.folder))


def _table(commands: _Commands) -> None:
    parser = commands.add_parser(
        "table",
        parents=[options.json()],
        help="make one table of a study's results",
        description="A row for each task of a study, with its parameters and the scalars of its"
        " JSON outputs; or with --rows the rows of an output that is a table.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="what --output was given")
    parser.add_argument(
        "--rows", metavar="OUTPUT", help="an output: CSV, Parquet, or Arrow's file or stream"
    )
    parser.add_argument(
        "--csv", metavar="FILE", nargs="?", const="-", help="write CSV (default: standard output)"
    )
    parser.add_argument("--parquet", metavar="FILE", type=Path, help="write Parquet, by pyarrow")
    parser.set_defaults(read=_read_table)


def _read_table(given: argparse.Namespace) -> Table:
    if (given.csv is not None) + (given.parquet is not None) + given.json > 1:
        raise ValueError("--csv, --parquet and --json are one too many")
    return Table(
        folder=given.folder, rows=given.rows, csv=given.csv, parquet=given.parquet, json=given.json
    )


def _rerun(commands: _Commands) -> None:
    parser = commands.add_parser(
        "rerun",
        parents=[options.offline(), options.variables(), options.json()],
        help="run a study's tasks again, and compare",
        description="Run tasks of a study again, as they ran: the same bundle, versions, Python and"
        " threads. Says whether the outputs are the same bytes, and what differs. The exit status"
        " is 1 where an output does.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="what --output was given")
    parser.add_argument(
        "index", metavar="INDEX", nargs="?", type=index, help="of the task (default: all done ones)"
    )
    parser.set_defaults(
        read=lambda given: Rerun(
            folder=given.folder,
            index=given.index,
            settings=Settings(offline=given.offline, env=dict(given.env)),
            json=given.json,
        )
    )


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
        memory_limit=given.memory_limit,
        env=dict(given.env),
        isolation=isolation,
        children=children,
        threads=threads,
    )


_ADDED = (
    _exec,
    _check,
    _table,
    _rerun,
    _replay,
    _explain,
    _report,
    _doctor,
    _matrix,
    _env,
    _init,
)
