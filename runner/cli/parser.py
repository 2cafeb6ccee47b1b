"""The command line: what can be said, and what is wrong with what was said."""

import argparse
import difflib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from runner.bundle import read_size
from runner.diagnosis.codes import Code
from runner.settings import STARTUP_TIMEOUT, Isolation, Settings
from runner.worker import runner_version


class UsageError(Exception):
    """The command line asks for what cannot be: exit code 2."""


_TASKS_HELP = """\
a line of the file of tasks, all of it optional:
  {"entrypoint": "baseline", "params": {"beta": 0.3}, "seed": 1, "id": "first"}

The whole file is read and checked before the first task runs. Each task that is
done or has failed leaves a line of JSON: in DIR/results.jsonl with --output DIR,
else on standard output. With --output, the same command again runs what is not
done yet or has changed since. The exit code is 13 where a task failed."""


class Command(Struct, frozen=True, kw_only=True):
    """What every subcommand has."""

    bundle: Path
    settings: Settings
    report: Path | None
    record: Path | None
    json: bool
    words: list[str]
    """The command line itself."""


class Exec(Command, frozen=True, kw_only=True):
    entrypoint: str | None
    param: list[str]
    params: str | None
    seed: str
    """As it was given."""
    tasks: str | None
    """A file, ``-`` for standard input; then each of its lines has what the three above say."""
    output: Path | None


class Explain(Struct, frozen=True):
    code: Code


class ShowReport(Struct, frozen=True):
    file: Path
    html: Path | None


class Replay(Struct, frozen=True):
    recording: Path
    report: Path | None
    json: bool


class Check(Command, frozen=True, kw_only=True):
    build: bool
    lock_to: Path | None
    more: list[Path]
    """Further bundles, to prepare a machine for."""


class EnvList(Struct, frozen=True):
    json: bool


class EnvPath(Struct, frozen=True):
    bundle: Path | None
    settings: Settings


class EnvRemove(Struct, frozen=True):
    keys: list[str]
    json: bool


class EnvPrune(Struct, frozen=True):
    older_than: float | None
    """Seconds since the last use."""
    max_size: int | None
    """Bytes that may stay."""
    json: bool


EnvCommand: TypeAlias = EnvList | EnvPath | EnvRemove | EnvPrune
AnyCommand: TypeAlias = Exec | Check | Replay | Explain | ShowReport | EnvCommand


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

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("bundle", metavar="BUNDLE", type=Path, help="the bundle's folder")
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
        type=_seconds,
        default=STARTUP_TIMEOUT,
        help="seconds until the bundle must be loaded (default: %(default)g)",
    )
    common.add_argument(
        "--memory-limit",
        metavar="SIZE",
        type=_size,
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

    execute = commands.add_parser(
        "exec",
        parents=[common],
        help="run a task, or a file of them",
        description="Run one task of a bundle, or with --tasks many of them.",
        epilog=_TASKS_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    execute.add_argument(
        "entrypoint",
        metavar="ENTRYPOINT",
        nargs="?",
        help="handed to the wire function as it is (default: the bundle's, else 'default')",
    )
    execute.add_argument(
        "--param",
        metavar="K=V",
        action="append",
        default=[],
        type=_param,
        help="a parameter; V is JSON where it parses as JSON, else a string",
    )
    execute.add_argument(
        "--params", metavar="FILE", help="parameters as a JSON object; '-' reads standard input"
    )
    execute.add_argument("--seed", metavar="N", help="0 .. 2**64-1 (default: 0)")
    execute.add_argument(
        "--tasks",
        metavar="FILE",
        help="run the tasks of a file, one JSON object a line; '-' reads standard input",
    )
    execute.add_argument(
        "-j",
        "--jobs",
        metavar="N",
        type=_count,
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
        "--timeout", metavar="S", type=_seconds, help="seconds that the task may take"
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
    explain.add_argument("code", metavar="CODE", type=_code, help="as reports give it")

    report = commands.add_parser(
        "report",
        help="print a saved report again",
        description="Print a report that --report, --json or a RunnerError saved.",
    )
    report.add_argument("file", metavar="FILE", type=Path, help="the report, as JSON")
    report.add_argument(
        "--html", metavar="FILE", type=Path, help="write one self-contained page instead"
    )
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
    }


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
        type=_age,
        help="what was not used for so long: 30d, 12h, 90m",
    )
    prune.add_argument(
        "--max-size",
        metavar="SIZE",
        type=_size_or_none,
        help="how much may stay, such as 10GiB; the longest unused go first",
    )


def _age(text: str) -> float:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([smhdw])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 30d, 12h or 90m")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}[match[2]]


def _size_or_none(text: str) -> int:
    return 0 if text == "0" else _size(text)


def _code(text: str) -> Code:
    try:
        return Code(text)
    except ValueError:
        known = [code.value for code in Code]
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"the codes are {', '.join(known)}"
        raise argparse.ArgumentTypeError(f"there is no code {text!r}; {hint}") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds


def _size(text: str) -> int:
    size = read_size(text)
    if size is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 512MiB or 2GiB")
    return size


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of children")
    return int(text)


def _param(text: str) -> str:
    if not text.partition("=")[0] or "=" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form K=V")
    return text


def _flag(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value in ("true", "1", "yes", "on"):
        return True
    if value in ("", "false", "0", "no", "off"):
        return False
    # Not taken for false: a setting that silently does nothing has cost hours before.
    raise ValueError(f"the environment variable {name} is {value!r}; it takes true or false")
