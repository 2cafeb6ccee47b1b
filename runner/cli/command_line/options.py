"""Options that several commands have: each function adds some to a parser."""

from argparse import ArgumentTypeError

from runner.cli.command_line.argument_parser import ArgumentParser
from runner.cli.command_line.arguments import as_path, entrypoint
from runner.cli.command_line.verbosity import Verbosity
from runner.defaults import BUILD_TIMEOUT, STARTUP_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def bundle(parser: ArgumentParser) -> None:
    parser.add_argument("bundle", metavar="BUNDLE", type=_folder, help="the bundle's folder")


def _folder(text: str) -> "Path":
    if not text:
        raise ArgumentTypeError("it is empty, as is a variable that is not set")
    return as_path(text)


def json(parser: ArgumentParser) -> None:
    parser.option("--json", "print one JSON document on standard output")


def report(parser: ArgumentParser) -> None:
    parser.option("--report FILE", "where a failure's report goes, as JSON")


def lock(parser: ArgumentParser) -> None:
    """Which versions are installed."""
    parser.option(
        "--lock FILE", "install the versions in this file, which check --lock-to has written"
    )
    ignore_lock(parser)


def ignore_lock(parser: ArgumentParser) -> None:
    parser.option(
        "--ignore-lock",
        "take no notice of the bundle's uv.lock, as ModelOps does: what pyproject.toml asks"
        " for is installed, in the newest versions that fit",
    )


def offline(parser: ArgumentParser) -> None:
    parser.option(
        "--offline", "never use the network: what is to be installed must be in uv's cache"
    )


def run(parser: ArgumentParser) -> None:
    """How a bundle gets its environment and its child."""
    offline(parser)
    variables(parser)
    parser.option(
        "--python REQUEST",
        "'worker' (this very minor version), a version, a specifier or a path; by default"
        " what the bundle accepts decides",
    )
    parser.option(
        "--fresh-venv",
        "build an environment for this run and remove it after (MODELOPS_FORCE_FRESH_VENV=true)",
    )
    lock(parser)
    parser.option(
        "--build-timeout S",
        "seconds that making the environment may take (default: %(default)g)",
        default=BUILD_TIMEOUT,
    )
    parser.option(
        "--startup-timeout S",
        "seconds until the bundle must be loaded (default: %(default)g)",
        default=STARTUP_TIMEOUT,
    )
    parser.option(
        "--memory-limit SIZE",
        "what the child may hold, with all that it starts: 512MiB, 2GiB, ... (default: the"
        " bundle's, else no limit)",
    )
    parser.option(
        "--record DIR", "keep what comes in from outside in DIR/recording.jsonl, to replay it"
    )


def variables(parser: ArgumentParser) -> None:
    """Environment variables for the bundle's code."""
    parser.option(
        "--env NAME[=VALUE]",
        "a variable for the bundle's code; without a value this process's own, where NAME may"
        " be a pattern ('MYMODEL_*'); may be repeated",
        default=[],
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
    parser.option(
        "--param K=V",
        "a parameter; V is JSON where it parses as JSON, else a string; what looks like a"
        " value of Python's or YAML's is refused: true and not True, 'x=\"007\"' for a string",
        default=[],
    )
    parser.option(
        "--params FILE", "parameters as a JSON object; '-' reads standard input", type=str
    )
    parser.option("--seed N", "0 .. 2**64-1 (default: 0)", type=str)
    parser.option("--timeout S", "seconds that the task may take")


def output(parser: ArgumentParser) -> None:
    """Where the outputs go."""
    parser.option(
        "--output DIR",
        "where the outputs go, a file each, and what they came of (run.json, results.jsonl,"
        " ...): for table and rerun; of many tasks to DIR/INDEX/NAME",
    )
    parser.option(
        "--overwrite",
        "replace what other tasks, or another bundle, have left in the folder of --output; a"
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
    parser.option(
        "--grid NAME=VALUES",
        "a parameter's values, with commas between: JSON, plain words, or a range A:B:STEP,"
        " without B; once for each parameter: each value runs with each of the others",
        default=[],
    )
    parser.option("--seeds SEEDS", "run each with these seeds: 0:20 are 20 of them, 0 to 19")
    parser.option(
        "--tasks FILE",
        "run the tasks of a file: one JSON object a line, or a table where it is called"
        " FILE.csv; '-' reads standard input",
        type=str,
    )
    parser.option(
        "--dry-run", "say how many tasks there are and show the first ones; nothing is run"
    )
    parser.option(
        "--shard I/N",
        "of N parts of the tasks, run the I-th, from 1 on; all may run at once, on several"
        " machines, with the same --output",
    )
    parser.add_argument(
        "--again",
        choices=["failed"],
        help="of the tasks that earlier runs have left in --output, also run these",
    )
