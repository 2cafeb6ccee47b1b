"""Recognises what a script may do and a task cannot: read a command line, or from a terminal."""

import re
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.child_places import (
    exec_command,
    package_of,
    place_of,
    raised_code,
    telling_frame,
)
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.events import Phase

# Who reads a command line, as its file or package is called.
_STANDARD_PARSERS = {"argparse.py", "optparse.py", "getopt.py"}
_PARSERS = {"absl", "click", "docopt", "fire", "hydra", "simple_parsing", "tap", "typer", "tyro"}
# parse_args(["--beta"]): the code has made what it parses.
_OWN_ARGUMENTS = re.compile(r"parse(?:_known)?_args\(\s*[^)\s]")
# As they begin their last words: "model.py: error: ", "Error: ".
_ERROR = re.compile(r"^(?:[^:]{0,200}: )?[Ee]rror: ")


def parsed_command_line(
    case: Case, phase: Phase, exception: ExceptionInfo, stderr: str
) -> Finding | None:
    """Find that the code has parsed a command line, which ended the process.

    :param exception: the ``SystemExit``.
    :param stderr: what the child wrote there.
    """
    frame = telling_frame(case, exception)
    if _OWN_ARGUMENTS.search((frame and frame.text) or ""):
        return None
    files = [frame.file for frame in exception.traceback]
    if not any(PurePath(file).name in _STANDARD_PARSERS for file in files) and not any(
        package_of(file) in _PARSERS for file in files
    ):
        return None
    words = _ERROR.sub("", "".join(last_lines(printable(stderr), 1)).strip())
    return _no_command_line(case, phase, exception, Code.CHILD_EXITED, words)


def script_habit(case: Case, phase: Phase, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in what only a script has: arguments, a terminal."""
    code = raised_code(phase)
    frame = telling_frame(case, exception)
    if exception.type in ("IndexError", "ValueError") and "argv" in ((frame and frame.text) or ""):
        return _no_command_line(case, phase, exception, code, exception.message)
    if exception.type != "EOFError" or exception.message != "EOF when reading a line":
        return None
    return Finding(
        phase=phase,
        code=code,
        summary=f"{place_of(case, frame) or 'the bundle'} asks for input on a terminal, and a task"
        " has none",
        explanation="A task's standard input is empty. Its values come as the wire function's"
        " params.",
        hints=[
            Hint(
                title='read it from params, as params["name"], and hand it over',
                command=exec_command(case, "--param name=..."),
                by="person",
            )
        ],
    )


def _no_command_line(
    case: Case, phase: Phase, exception: ExceptionInfo, code: Code, words: str
) -> Finding:
    place = place_of(case, telling_frame(case, exception)) or "the bundle"
    return Finding(
        phase=phase,
        code=code,
        summary=f"{place} reads a command line, and a task has none"
        + (f": {one_line(printable(words), 120)}" if words else ""),
        explanation="A task's values come as the wire function's entrypoint, params and seed.",
        hints=[
            Hint(
                title='move this under `if __name__ == "__main__":`, and take the values from'
                " params in the wire function"
                if phase is Phase.LOAD
                else "take the values from params, in place of a command line"
            )
        ],
    )
