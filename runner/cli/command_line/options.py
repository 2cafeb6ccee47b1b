"""Options that several commands have: each function adds some to a parser."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from runner.cli.command_line.arguments import (
    axis,
    entrypoint,
    param,
    seconds,
    shard,
    size,
    variable,
)
from runner.cli.command_line.verbosity import Verbosity
from runner.defaults import BUILD_TIMEOUT, STARTUP_TIMEOUT


def bundle(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", type=_folder, help="the bundle's folder")


def _folder(text: str) -> Path:
    if not text:
        raise ArgumentTypeError("it is empty, as is a variable that is not set")
    return Path(text)


def json(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--json", action="store_true", help="print one JSON document on standard output"
    )


def report(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--report", metavar="FILE", type=Path, help="where a failure's report goes, as JSON"
    )


def lock(parser: ArgumentParser) -> None:
    """Which versions are installed."""
    parser.add_argument(
        "--lock",
        metavar="FILE",
        type=Path,
        help="install the versions in this file, which check --lock-to has written",
    )
    ignore_lock(parser)


def ignore_lock(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--ignore-lock",
        action="store_true",
        help="take no notice of the bundle's uv.lock, as ModelOps does: what pyproject.toml asks"
        " for is installed, in the newest versions that fit",
    )


def offline(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--offline",
        action="store_true",
        help="never use the network: what is to be installed must be in uv's cache",
    )


def run(parser: ArgumentParser) -> None:
    """How a bundle gets its environment and its child."""
    offline(parser)
    variables(parser)
    parser.add_argument(
        "--python",
        metavar="REQUEST",
        help="'worker' (this very minor version), a version, a specifier or a path; by default"
        " what the bundle accepts decides",
    )
    parser.add_argument(
        "--fresh-venv",
        action="store_true",
        help="build an environment for this run and remove it after"
        " (MODELOPS_FORCE_FRESH_VENV=true)",
    )
    lock(parser)
    parser.add_argument(
        "--build-timeout",
        metavar="S",
        type=seconds,
        default=BUILD_TIMEOUT,
        help="seconds that making the environment may take (default: %(default)g)",
    )
    parser.add_argument(
        "--startup-timeout",
        metavar="S",
        type=seconds,
        default=STARTUP_TIMEOUT,
        help="seconds until the bundle must be loaded (default: %(default)g)",
    )
    parser.add_argument(
        "--memory-limit",
        metavar="SIZE",
        type=size,
        help="what the child may hold, with all that it starts: 512MiB, 2GiB, ... (default: the"
        " bundle's, else no limit)",
    )
    parser.add_argument(
        "--record",
        metavar="DIR",
        type=Path,
        help="keep what comes in from outside in DIR/recording.jsonl, to replay it",
    )


def variables(parser: ArgumentParser) -> None:
    """Environment variables for the bundle's code."""
    parser.add_argument(
        "--env",
        metavar="NAME[=VALUE]",
        action="append",
        default=[],
        type=variable,
        help="a variable for the bundle's code; without a value this process's own, where NAME may"
        " be a pattern ('MYMODEL_*'); may be repeated",
    )


def task(parser: ArgumentParser) -> None:
    """Add the options that say what a task is."""
    parser.add_argument(
        "entrypoint",
        metavar="ENTRYPOINT",
        type=entrypoint,
        nargs="?",
        help="handed to the wire function as it is (default: the bundle's, else 'default')",
    )
    params(parser)


def params(parser: ArgumentParser) -> None:
    """Add the options that say what a task gets."""
    parser.add_argument(
        "--param",
        metavar="K=V",
        action="append",
        default=[],
        type=param,
        help="a parameter; V is JSON where it parses as JSON, else a string; what looks like a"
        " value of Python's or YAML's is refused: true and not True, 'x=\"007\"' for a string",
    )
    parser.add_argument(
        "--params", metavar="FILE", help="parameters as a JSON object; '-' reads standard input"
    )
    parser.add_argument("--seed", metavar="N", help="0 .. 2**64-1 (default: 0)")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, help="seconds that the task may take"
    )


def output(parser: ArgumentParser) -> None:
    """Where the outputs go."""
    parser.add_argument(
        "--output",
        metavar="DIR",
        type=Path,
        help="where the outputs go, a file each, and what they came of (run.json, results.jsonl,"
        " ...): for table and rerun; of many tasks to DIR/INDEX/NAME",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace what other tasks, or another bundle, have left in the folder of --output; a"
        " file that no run has made stays",
    )


def verbosity(parser: ArgumentParser) -> None:
    """How much is said on standard error."""
    parser.set_defaults(verbosity=Verbosity.NORMAL)
    one = parser.add_mutually_exclusive_group()
    one.add_argument(
        "-q",
        "--quiet",
        dest="verbosity",
        action="store_const",
        const=Verbosity.QUIET,
        help="say what fails, and nothing else",
    )
    one.add_argument(
        "-v",
        "--verbose",
        dest="verbosity",
        action="store_const",
        const=Verbosity.VERBOSE,
        help="also say how long each phase takes; of many tasks, also what each prints and how it"
        " ends",
    )


def study(parser: ArgumentParser) -> None:
    """Which tasks a study has."""
    parser.add_argument(
        "--grid",
        metavar="NAME=VALUES",
        action="append",
        default=[],
        type=axis,
        help="a parameter's values, with commas between: JSON, plain words, or a range A:B:STEP,"
        " without B; once for each parameter: each value runs with each of the others",
    )
    parser.add_argument(
        "--seeds", metavar="SEEDS", help="run each with these seeds: 0:20 are 20 of them, 0 to 19"
    )
    parser.add_argument(
        "--tasks",
        metavar="FILE",
        help="run the tasks of a file: one JSON object a line, or a table where it is called"
        " FILE.csv; '-' reads standard input",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="say how many tasks there are and show the first ones; nothing is run",
    )
    parser.add_argument(
        "--shard",
        metavar="I/N",
        type=shard,
        help="of N parts of the tasks, run the I-th, from 1 on; all may run at once, on several"
        " machines, with the same --output",
    )
    parser.add_argument(
        "--again",
        choices=["failed"],
        help="of the tasks that earlier runs have left in --output, also run these",
    )
