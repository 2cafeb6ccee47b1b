"""The command line: what can be said, and what is wrong with what was said."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path

from runner.cli.arguments import age, code, count, param, seconds, size, size_or_none
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
    ShowReport,
)
from runner.diagnosis.codes import Code
from runner.settings import STARTUP_TIMEOUT, Isolation, Settings
from runner.worker import runner_version

_TASKS_HELP = """\
a line of the file of tasks, all of it optional:
  {"entrypoint": "baseline", "params": {"beta": 0.3}, "seed": 1, "id": "first"}

The whole file is read and checked before the first task runs. Each task that is
done or has failed leaves a line of JSON: in DIR/results.jsonl with --output DIR,
else on standard output. With --output, the same command again runs what is not
done yet or has changed since. The exit code is 13 where a task failed."""


def parse(argv: list[str], environ: Mapping[str, str] = os.environ) -> AnyCommand:
    """Read the command line.

    :raises SystemExit: with status 2 where it is wrong, 0 after ``--help`` and ``--version``.
    """
    parser, commands = _parsers()
    if not argv or argv[0] not in commands:
        parser.parse_args(argv)  # ends here: with the help, the version or an error
    if argv[0] == "env":
        return _env(commands["env"].parse_args(argv[1:]))
    parser = commands[argv[0]]
    # A plain parse takes ENTRYPOINT only where it follows BUNDLE at once.
    given = parser.parse_intermixed_args(argv[1:])
    if argv[0] == "explain":
        return Explain(code=given.code)
    if argv[0] == "report":
        return ShowReport(file=given.file, html=given.html)
    if argv[0] == "doctor":
        return Doctor(given.bundle, given.scheduler, Settings(offline=given.offline), given.json)
    if argv[0] == "init":
        return Init(given.folder)
    if argv[0] == "matrix":
        return _matrix(given)
    if argv[0] == "replay":
        return Replay(recording=given.recording, report=given.report, json=given.json)
    try:
        fresh = given.fresh_venv or _flag(environ, "MODELOPS_FORCE_FRESH_VENV")
    except ValueError as error:
        parser.error(str(error))
    settings = Settings(
        python=given.python,
        fresh_venv=fresh,
        startup_timeout=given.startup_timeout,
        timeout=getattr(given, "timeout", None),
        offline=given.offline,
        lock=given.lock,
        memory_limit=given.memory_limit,
        isolation=getattr(given, "isolation", Isolation.FORK),
        children=getattr(given, "jobs", None),
    )
    if argv[0] == "check":
        return Check(
            bundle=given.bundle,
            settings=settings,
            report=given.report,
            record=given.record,
            json=given.json,
            words=["modelops-runner", *argv],
            build=given.build or given.lock_to is not None,
            lock_to=given.lock_to,
            more=given.more,
        )
    if given.tasks is None and given.jobs is not None:
        parser.error("--jobs needs --tasks: a single task has one child")
    alone = [given.entrypoint, given.param or None, given.params, given.seed]
    if given.tasks is not None and alone != [None] * 4:
        parser.error(
            "each line of --tasks has its own entrypoint, params and seed: leave out ENTRYPOINT,"
            " --param, --params and --seed"
        )
    return Exec(
        bundle=given.bundle,
        settings=settings,
        report=given.report,
        record=given.record,
        json=given.json,
        words=["modelops-runner", *argv],
        entrypoint=given.entrypoint,
        param=given.param,
        params=given.params,
        seed="0" if given.seed is None else given.seed,
        tasks=given.tasks,
        output=given.output,
    )


def _matrix(given: argparse.Namespace) -> Matrix:
    return Matrix(
        bundle=given.bundle,
        pythons=given.python,
        dasks=given.dask,
        settings=Settings(offline=given.offline, timeout=given.timeout),
        entrypoint=given.entrypoint,
        param=given.param,
        params=given.params,
        seed="0" if given.seed is None else given.seed,
        jobs=given.jobs,
        json=given.json,
    )


def _env(given: argparse.Namespace) -> EnvCommand:
    if given.action == "list":
        return EnvList(given.json)
    if given.action == "path":
        return EnvPath(given.bundle, Settings(python=given.python))
    if given.action == "remove":
        return EnvRemove(given.key, given.json)
    return EnvPrune(given.older_than, given.max_size, given.json)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = argparse.ArgumentParser(
        prog="modelops-runner",
        description="Run simulation bundles in isolated environments, or say exactly why not.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {runner_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False, parents=[_with_bundle()])
    common.add_argument(
        "--python",
        metavar="REQUEST",
        help="'worker' (this very minor version), a version, a specifier or a path; by default"
        " what the bundle accepts decides",
    )
    common.add_argument(
        "--fresh-venv",
        action="store_true",
        help="build an environment for this run and remove it after"
        " (MODELOPS_FORCE_FRESH_VENV=true)",
    )
    common.add_argument(
        "--offline",
        action="store_true",
        help="never use the network: what is to be installed must be in uv's cache",
    )
    common.add_argument(
        "--lock",
        metavar="FILE",
        type=Path,
        help="install the versions in this file, which check --lock-to has written",
    )
    common.add_argument(
        "--startup-timeout",
        metavar="S",
        type=seconds,
        default=STARTUP_TIMEOUT,
        help="seconds until the bundle must be loaded (default: %(default)g)",
    )
    common.add_argument(
        "--memory-limit",
        metavar="SIZE",
        type=size,
        help="what the child may hold, with all that it starts: 512MiB, 2GiB, ... (default: the"
        " bundle's, else no limit)",
    )
    common.add_argument(
        "--report", metavar="FILE", type=Path, help="where a failure's report goes, as JSON"
    )
    common.add_argument(
        "--record",
        metavar="DIR",
        type=Path,
        help="keep what comes in from outside in DIR/recording.jsonl, to replay it",
    )
    common.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )

    task = argparse.ArgumentParser(add_help=False)
    task.add_argument(
        "entrypoint",
        metavar="ENTRYPOINT",
        nargs="?",
        help="handed to the wire function as it is (default: the bundle's, else 'default')",
    )
    task.add_argument(
        "--param",
        metavar="K=V",
        action="append",
        default=[],
        type=param,
        help="a parameter; V is JSON where it parses as JSON, else a string",
    )
    task.add_argument(
        "--params", metavar="FILE", help="parameters as a JSON object; '-' reads standard input"
    )
    task.add_argument("--seed", metavar="N", help="0 .. 2**64-1 (default: 0)")
    task.add_argument("--timeout", metavar="S", type=seconds, help="seconds that the task may take")

    execute = commands.add_parser(
        "exec",
        parents=[common, task],
        help="run a task, or a file of them",
        description="Run one task of a bundle, or with --tasks many of them.",
        epilog=_TASKS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    execute.add_argument(
        "--tasks",
        metavar="FILE",
        help="run the tasks of a file, one JSON object a line; '-' reads standard input",
    )
    execute.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=count,
        help="how many children run the tasks (default: one for each processor)",
    )
    execute.add_argument(
        "--isolation",
        choices=[isolation.value for isolation in Isolation],
        default=Isolation.FORK,
        type=Isolation,
        help="what a task shares with those before it: 'fork' (the default) what the bundle's"
        " import has left, 'warm' the process, 'fresh' nothing; a single task is alone anyway",
    )
    execute.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="where the outputs go, a file each; with --tasks DIR/INDEX/NAME, and a line of each"
        " task in DIR/results.jsonl",
    )

    check = commands.add_parser(
        "check",
        parents=[common],
        help="say what can be known without running a task",
        description="Say everything about a bundle that can be known without running a task.",
    )
    check.add_argument(
        "more", metavar="BUNDLE", nargs="*", type=Path, help="others, to prepare a machine for"
    )
    check.add_argument(
        "--build", action="store_true", help="also build the environment and load the bundle"
    )
    check.add_argument(
        "--lock-to",
        metavar="FILE",
        type=Path,
        help="build it, and write down which versions it has, for --lock",
    )

    replay = commands.add_parser(
        "replay",
        help="print the report that a recording gives today",
        description="Print the report that a recording gives today. Nothing is started for it.",
    )
    replay.add_argument(
        "recording", metavar="RECORDING", type=Path, help="what --record wrote: the file or folder"
    )
    replay.add_argument(
        "--report", metavar="FILE", type=Path, help="where the report goes, as JSON"
    )
    replay.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )

    explain = commands.add_parser(
        "explain",
        help="say what a code means",
        description="Say what a code means, what causes it and what to do.",
        epilog="The codes: " + ", ".join(code.value for code in Code),
    )
    explain.add_argument("code", metavar="CODE", type=code, help="as reports give it")

    report = commands.add_parser(
        "report",
        help="print a saved report again",
        description="Print a report that --report, --json or a RunnerError saved.",
    )
    report.add_argument("file", metavar="FILE", type=Path, help="the report, as JSON")
    report.add_argument(
        "--html", metavar="FILE", type=Path, help="write one self-contained page instead"
    )
    doctor = commands.add_parser(
        "doctor",
        help="look at this machine, or at a Dask cluster",
        description="Look at what a worker needs on this machine; with --scheduler, at a cluster."
        " The exit status is 1 where something keeps tasks from running.",
    )
    doctor.add_argument(
        "bundle", metavar="BUNDLE", nargs="*", type=Path, help="that are to run there"
    )
    doctor.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="of the cluster to look at, such as tcp://10.0.0.1:8786; this machine is not then",
    )
    doctor.add_argument("--offline", action="store_true", help="never use the network")
    doctor.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )

    matrix = commands.add_parser(
        "matrix",
        parents=[_with_bundle(), task],
        help="try a bundle on several Pythons",
        description="Build and load a bundle on each Python named, and run a task of it there."
        " The exit status is 1 where one fails.",
    )
    matrix.add_argument(
        "--python",
        metavar="REQUEST",
        action="append",
        required=True,
        help="a version, a specifier or a path; once for each",
    )
    matrix.add_argument(
        "--dask",
        metavar="VERSION",
        action="append",
        default=[],
        help="also run client, scheduler and worker of each combination, with this Dask, on"
        " loopback; once for each",
    )
    matrix.add_argument("--offline", action="store_true", help="never use the network")
    matrix.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=count,
        help="how many at a time (default: one for each processor)",
    )
    matrix.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )

    init = commands.add_parser(
        "init",
        help="make a bundle to begin with",
        description="Write a bundle that runs, for a model of one's own. Nothing that is there is"
        " written over.",
    )
    init.add_argument("folder", metavar="DIR", type=Path, help="made if need be")

    env = commands.add_parser(
        "env",
        help="list, find and remove environments",
        description="List, find and remove environments. One that is in use is never removed.",
    )
    _env_parsers(env)
    return parser, {
        "env": env,
        "exec": execute,
        "check": check,
        "replay": replay,
        "explain": explain,
        "report": report,
        "doctor": doctor,
        "matrix": matrix,
        "init": init,
    }


def _with_bundle() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="the bundle's folder")
    return parser


def _env_parsers(env: argparse.ArgumentParser) -> None:
    actions = env.add_subparsers(dest="action", required=True, metavar="ACTION")
    json = argparse.ArgumentParser(add_help=False)
    json.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )
    actions.add_parser("list", parents=[json], help="size, last use and bundles of each")
    path = actions.add_parser(
        "path", help="the folder of a bundle's environment; without a bundle, of all"
    )
    path.add_argument("bundle", metavar="BUNDLE", nargs="?", type=Path)
    path.add_argument("--python", metavar="REQUEST", help="as for exec")
    remove = actions.add_parser("remove", parents=[json], help="remove some, and what is upon them")
    remove.add_argument(
        "key", metavar="KEY", nargs="+", help="as list gives it; its beginning will do"
    )
    prune = actions.add_parser(
        "prune", parents=[json], help="remove what is unfinished, and what the limits say"
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


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("", "false", "0", "no", "off"):
        return False
    # Not taken for false: a setting that silently does nothing has cost hours before.
    raise ValueError(f"the environment variable {name} is {value!r}; it takes true or false")
