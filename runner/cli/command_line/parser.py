"""The command line: what can be said, and what is wrong with what was said.

Each command has a function that adds its arguments to its parser;
:mod:`runner.cli.command_line.read_command` makes the command of what was parsed. Nothing is
imported here that ``--help`` can do without.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping

from runner.cli.command_line import options
from runner.cli.command_line.argument_parser import ArgumentParser, unknown
from runner.cli.command_line.arguments import as_path, code, index, size_or_none
from runner.cli.exit_codes import EXIT_CODES_HELP
from runner.defaults import Isolation
from runner.version import runner_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from runner.cli.command_line.commands import AnyCommand

ENV_ACTIONS = ("list", "path", "remove", "prune")
SHELLS = ("bash", "zsh", "fish")

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
changed. With --shard I/N it is one of N parts, which may all run at once."""

_COMPLETION_HELP = """\
bash:  modelops-runner completion bash > ~/.local/share/bash-completion/completions/modelops-runner
zsh:   modelops-runner completion zsh > FOLDER/_modelops-runner, where FOLDER is one of $fpath
fish:  modelops-runner completion fish > ~/.config/fish/completions/modelops-runner.fish"""


def parse(argv: list[str], environ: Mapping[str, str] = os.environ) -> "AnyCommand":
    """Read the command line.

    :raises SystemExit: with status 2 where it is wrong, 0 after ``--help`` and ``--version``.
    """
    if not argv or argv[0] not in _COMMANDS:
        whole, _ = _whole()
        if not argv:
            whole.print_help(sys.stderr)
            whole.exit(2, "\nmodelops-runner: error: no command is given\n")
        if not argv[0].startswith("-"):
            others = ["exec"] if argv[0] == "run" else []  # as uv, cargo and docker call it
            whole.error(unknown("command", argv[0], _COMMANDS, others))
        whole.parse_args(argv)  # ends here with --help and --version
        whole.error(f"a command comes first, not {argv[0]}")
    name = argv[0]
    one = ArgumentParser(prog=f"modelops-runner {name}")
    _COMMANDS[name][1](one)
    if name == "env":
        if len(argv) > 1 and not argv[1].startswith("-") and argv[1] not in ENV_ACTIONS:
            one.error(unknown("action", argv[1], ENV_ACTIONS))
        # argparse parses subparsers, as those of env, in a plain parse only.
        given, extra = one.parse_known_args(argv[1:])
    else:
        # A plain parse takes ENTRYPOINT only where it follows BUNDLE at once.
        given, extra = one.parse_known_intermixed_args(argv[1:])
    if extra:
        one.refuse(extra)
    from runner.cli.command_line.read_command import read_command  # only now: see above

    try:
        return read_command(name, given, words=["modelops-runner", *argv], environ=environ)
    except ValueError as error:
        one.error(str(error))


def all_parsers() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the whole command's parser, and each command's by its name."""
    parser, parsers = _whole()
    for name, (_, add_arguments) in _COMMANDS.items():
        add_arguments(parsers[name])
    return parser, parsers


def _whole() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """Return the parser that knows all commands, and those of the commands, still empty."""
    parser = ArgumentParser(
        prog="modelops-runner",
        description="Run simulation bundles in isolated environments, or say exactly why not.",
        epilog=EXIT_CODES_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {runner_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {
        name: commands.add_parser(name, help=purpose) for name, (purpose, _) in _COMMANDS.items()
    }
    return parser, parsers


def _exec(parser: ArgumentParser) -> None:
    parser.description = "Run one task of a bundle, or many: with --grid and --seeds, or --tasks."
    parser.epilog = f"{_TASKS_HELP}\n\n{EXIT_CODES_HELP}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    options.bundle(parser)
    options.task(parser)
    parser.option(
        "--function NAME",
        "a function of the bundle by its name in pyproject.toml (default: the wire function)",
    )
    options.run(parser)
    options.report(parser)
    options.output(parser)
    options.json(parser)
    options.verbosity(parser)
    options.study(parser)
    parser.option(
        "-j --jobs N",
        "how many children run the tasks (default: one for each processor)",
        dest="children",
    )
    parser.option(
        "--threads N",
        "how many threads numerical libraries start in a child, which results may depend on"
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


def _check(parser: ArgumentParser) -> None:
    parser.description = "Say everything about a bundle that can be known without running a task."
    options.bundle(parser)
    options.run(parser)
    options.report(parser)
    options.json(parser)
    parser.add_argument(
        "more", metavar="BUNDLE", nargs="*", type=as_path, help="others, to prepare a machine for"
    )
    parser.option("--build", "also build the environment and load the bundle")
    parser.option("--lock-to FILE", "build it, and write down which versions it has, for --lock")
    parser.option(
        "--reproducible",
        "run a task several times, in new processes and shared ones, with other hash seeds and"
        " numbers of threads, and say which output is not the same, and why; the exit code is 1"
        " where one is not",
    )
    parser.option("--entrypoint ENTRYPOINT", "of that task")
    options.params(parser)
    parser.option(
        "-v --verbose", "also list this process's variables that the bundle's code does not get"
    )


def _replay(parser: ArgumentParser) -> None:
    parser.description = "Print the report that a recording gives today. Nothing is started for it."
    options.report(parser)
    options.json(parser)
    parser.add_argument(
        "recording",
        metavar="RECORDING",
        type=as_path,
        help="what --record wrote: the file or folder",
    )


def _explain(parser: ArgumentParser) -> None:
    parser.description = "Say what a code means, what causes it and what to do."
    from runner.diagnosis.report.codes import Code

    parser.epilog = "The codes: " + ", ".join(code.value for code in Code)
    parser.add_argument("code", metavar="CODE", type=code, help="as reports give it")


def _report(parser: ArgumentParser) -> None:
    parser.description = "Print a report that --report, --json or a RunnerError saved."
    parser.add_argument("file", metavar="FILE", type=as_path, help="the report, as JSON")
    parser.option("--html FILE", "write one self-contained page instead")


def _doctor(parser: ArgumentParser) -> None:
    parser.description = (
        "Look at what a worker needs on this machine; with --scheduler, at a cluster."
        " The exit status is 1 where something keeps tasks from running."
    )
    options.offline(parser)
    options.json(parser)
    parser.add_argument(
        "bundles", metavar="BUNDLE", nargs="*", type=as_path, help="that are to run there"
    )
    parser.option(
        "--scheduler ADDRESS",
        "of the cluster to look at, such as tcp://10.0.0.1:8786; this machine is not then",
    )


def _matrix(parser: ArgumentParser) -> None:
    parser.description = (
        "Build and load a bundle on each Python named, and run a task of it there."
        " The exit status is 1 where one fails."
    )
    options.bundle(parser)
    options.task(parser)
    options.ignore_lock(parser)
    options.offline(parser)
    options.variables(parser)
    options.json(parser)
    parser.option(
        "--python REQUEST",
        "a version, a specifier or a path; once for each",
        dest="pythons",
        action="append",
        required=True,
    )
    parser.option(
        "--dask VERSION",
        "also run client, scheduler and worker of each combination, with this Dask, on"
        " loopback; once for each",
        dest="dasks",
        default=[],
    )
    parser.option("-j --jobs N", "how many at a time (default: one for each processor)")


def _env(parser: ArgumentParser) -> None:
    parser.description = "List, find and remove environments. One that is in use is never removed."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    options.json(actions.add_parser("list", help="size, last use and bundles of each"))
    path = actions.add_parser(
        "path", help="the folder of a bundle's environment; without a bundle, of all"
    )
    path.add_argument("bundle", metavar="BUNDLE", nargs="?", type=as_path)
    path.option("--python REQUEST", "as for exec")
    options.lock(path)
    remove = actions.add_parser("remove", help="remove some, and what is upon them")
    options.json(remove)
    remove.add_argument(
        "keys", metavar="KEY", nargs="+", help="as list gives it; its beginning will do"
    )
    prune = actions.add_parser("prune", help="remove what is unfinished, and what the limits say")
    options.json(prune)
    prune.option("--older-than AGE", "what was not used for so long: 30d, 12h, 90m")
    prune.option(
        "--max-size SIZE",
        "how much may stay, such as 10GiB; the longest unused go first",
        type=size_or_none,
    )


def _init(parser: ArgumentParser) -> None:
    parser.description = (
        "Write a bundle that runs, for a model of one's own. Nothing that is there is written over."
    )
    parser.add_argument("folder", metavar="DIR", type=as_path, help="made if need be")
    parser.option(
        "--model FILE[:FUNCTION]",
        "the script, notebook or function that runs the model, where DIR has several",
    )


def _table(parser: ArgumentParser) -> None:
    parser.description = (
        "A row for each task of a study, with its parameters and the scalars of its"
        " JSON outputs and files; or with --rows the rows of an output or file that is a table."
    )
    options.json(parser)
    parser.add_argument("folder", metavar="DIR", type=as_path, help="what --output was given")
    parser.option("--rows OUTPUT", "an output, or a file that tasks have left: CSV, Parquet, Arrow")
    parser.add_argument(
        "--csv", metavar="FILE", nargs="?", const="-", help="write CSV (default: standard output)"
    )
    parser.option("--parquet FILE", "write Parquet, by pyarrow")


def _rerun(parser: ArgumentParser) -> None:
    parser.description = (
        "Run tasks of a study again, as they ran: the same bundle, versions, Python and"
        " threads. Says whether the outputs are the same bytes, and what differs. The exit status"
        " is 1 where an output does."
    )
    options.offline(parser)
    options.variables(parser)
    options.json(parser)
    parser.add_argument("folder", metavar="DIR", type=as_path, help="what --output was given")
    parser.add_argument(
        "index", metavar="INDEX", nargs="?", type=index, help="of the task (default: all done ones)"
    )


def _completion(parser: ArgumentParser) -> None:
    parser.description = (
        "Print what completes commands, options and paths in a shell when Tab is pressed."
    )
    parser.epilog = _COMPLETION_HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


_COMMANDS: dict[str, tuple[str, Callable[[ArgumentParser], None]]] = {
    "exec": ("run a task, or a study of many", _exec),
    "check": ("say what can be known without running a task", _check),
    "table": ("make one table of a study's results", _table),
    "rerun": ("run a study's tasks again, and compare", _rerun),
    "replay": ("print the report that a recording gives today", _replay),
    "explain": ("say what a code means", _explain),
    "report": ("print a saved report again", _report),
    "doctor": ("look at this machine, or at a Dask cluster", _doctor),
    "matrix": ("try a bundle on several Pythons", _matrix),
    "env": ("list, find and remove environments", _env),
    "init": ("make a bundle to begin with", _init),
    "completion": ("complete commands and options in a shell", _completion),
}
"""The purpose of each in a few words, and what adds its arguments; in the order of the help."""
