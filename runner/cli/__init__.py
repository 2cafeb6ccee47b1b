"""The command ``modelops-runner``."""

import os
import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command; the exit codes are those of DESIGN 3.

    :param argv: the arguments; the process's own by default.
    """
    if sys.platform == "win32":
        print("modelops-runner does not support Windows; use Linux, macOS or WSL", file=sys.stderr)
        return 2
    _open_standard_streams()
    try:
        # Only now: what is imported here needs POSIX, and takes long enough to be interrupted in.
        from runner.cli.parser import parse
        from runner.cli.run import run

        return run(parse(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        return 130


def _open_standard_streams() -> None:
    """What the caller has closed (``2>&-``) goes to /dev/null.

    Python has no stream for it then, and the next file that is opened gets its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
