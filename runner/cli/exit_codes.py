"""The exit codes of the command, as its help tells them."""

EXIT_CODES = {
    "0": "all went well",
    "1": "doctor, matrix or check --reproducible has found something",
    "2": "the command line is wrong, or what it names is not there",
    "10": "the bundle cannot be read, or no Python is one that it accepts",
    "11": "the environment cannot be built",
    "12": "the child cannot be started, or cannot load the bundle",
    "13": "the task has failed; with --tasks, one of them has",
    "14": "a fault of the runner itself, or standard output cannot be written to",
    "128+N": "signal N has ended it: 130 for SIGINT (Ctrl-C), 143 for SIGTERM",
}

EXIT_CODES_HELP = "exit codes:\n" + "\n".join(
    f"  {code:<6} {meaning}" for code, meaning in EXIT_CODES.items()
)
