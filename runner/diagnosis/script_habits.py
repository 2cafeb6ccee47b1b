"""Recognises what a script may do and a task cannot: read a command line, or from a terminal."""

import re
from pathlib import PurePath

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.report.asked import task_info
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import package_of
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.events import Phase

# Who reads a command line, as its file or package is called.
_STANDARD_PARSERS = {"argparse.py", "optparse.py", "getopt.py"}
_PARSERS = {"absl", "click", "docopt", "fire", "hydra", "simple_parsing", "tap", "typer", "tyro"}
# parse_args(["--beta"]): the code has made what it parses.
_OWN_ARGUMENTS = re.compile(r"parse(?:_known)?_args\(\s*[^)\s]")
# A statement of one line, which a condition may stand before.
_SIMPLE = re.compile(r"(?!(?:if|for|while|with|try|def|class|else|return|async)\b)[^#:;]+\)")
_EXITS = re.compile(r"\b(?:sys\.exit|exit|quit)\(([^()]{1,200})\)$")
_STOPS = re.compile(r"\b(?:set_trace|breakpoint)\(")
# What hydra and fire say last, of every error; and what typer draws around one.
_SAYS_NOTHING = re.compile(
    r"^$|^Set the environment variable HYDRA_FULL_ERROR|--help$|, run this command:$"
    r"|^For detailed information|^[Uu]sage: "
)
_NO_LINE = "EOF when reading a line"
_READS_STDIN = "reads its standard input, and that of a task is empty"
_STDIN = re.compile(r"\b(?:sys\.stdin|fileinput\.input)\b")
# What comes of reading nothing.
_OF_NOTHING = ("JSONDecodeError", "EmptyDataError", "EOFError", "IndexError", "StopIteration",
               "ValueError", "UnpicklingError")  # fmt: skip
_FRAME = re.compile(r"[─│╭╮╰╯]+")
_COMPOSE = (
    "compose the configuration in the wire function: with hydra.initialize(version_base=None,"
    ' config_path="conf"): config = hydra.compose("config", overrides=[f"{k}={v}" for k, v in'
    " params.items()])"
)
# The lines of `init`'s wire functions that run a script or a cell, with parameters in the place of
# what its names are given.
_RUN_WITH_VALUES = ("exec(code, main.__dict__)", "exec(cell, names)")
_RUN_COMMAND = "sys.exit(main())"
_ASSIGNS = re.compile(r"([A-Za-z_]\w{0,60})(?:\s*:[^=]{1,80})?\s*=[^=].*(?:\bargv\[|\binput\()")
# As argparse, click and jsonargparse say it.
_REQUIRED = re.compile(
    r"(?:the following arguments are required: |Missing (?:option|argument) '"
    r"|Key \"(?=[\w.]+\" is required))([^'\":]{1,500})"
)
_OPTION = re.compile(r"(?:--)?[A-Za-z][\w.-]{0,60}")
# As they begin their last words: "model.py: error: ", "Error: ".
_ERROR = re.compile(r"^(?:[^:]{0,200}: )?[Ee]rror: ")


def parsed_command_line(case: Case, exception: ExceptionInfo, stderr: str) -> Finding | None:
    """Find that the code has parsed a command line, which ended the process.

    :param exception: the ``SystemExit``.
    :param stderr: what the child wrote there.
    """
    files = [frame.file for frame in exception.traceback]
    if not any(PurePath(file).name in _STANDARD_PARSERS for file in files) and not any(
        package_of(file) in _PARSERS for file in files
    ):
        return None
    if (
        exception.message == "0"
        and case.phase is Phase.EXECUTE
        and "click" in map(package_of, files)
    ):
        return _stands_alone(case, case.telling_frame(exception))
    said = [_FRAME.sub("", line).strip() for line in printable(stderr).splitlines()]
    lines = [line for line in said if not _SAYS_NOTHING.search(line)]
    words = _ERROR.sub("", "".join(last_lines("\n".join(lines), 1)).strip())
    finding = _no_command_line(case, exception, Code.CHILD_EXITED, words)
    if any(package_of(file) == "hydra" for file in files):
        finding.hints = [Hint(_COMPOSE)]
    return finding


def _stands_alone(case: Case, frame: Frame | None) -> Finding:
    def with_mode(call: re.Match[str]) -> str:
        return f"{call[1]}({call[2] or '[]'}, standalone_mode=False)"

    called = r"\b(\w+(?:\.main)?)\(((?:args=)?\[[^\[\]]*\])?\)"
    return case.found(
        Code.CHILD_EXITED,
        f"{case.place_of(frame)} runs a command of click, which ends the process once it is done",
        "So it does for a terminal; in the other mode it gives back what its function returns.",
        Hint("say standalone_mode=False", edit=case.edit_of(frame, called, with_mode)),
    )


def script_habit(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in what only a script has: arguments, a terminal."""
    frame = case.telling_frame(exception)
    if exception.type in ("IndexError", "ValueError") and "argv" in ((frame and frame.text) or ""):
        return _no_command_line(case, exception, Code.raised_in(case.phase), exception.message)
    if found := _interactive(case, exception, frame):
        what, hint = found
        return case.raised(
            f"{case.place_of(frame) or 'the bundle'} {what}",
            f"What came of it is {exception.type}: {one_line(exception.message, 120)}",
            hint,
        )
    asked = {PurePath(one.file).name for one in exception.traceback[-2:]} & {"getpass.py"}
    says = exception.type == "EOFError" and (asked or exception.message == _NO_LINE)
    if not says and not (
        exception.type in _OF_NOTHING and _STDIN.search((frame and frame.text) or "")
    ):
        return None
    return case.raised(
        f"{case.place_of(frame) or 'the bundle'} "
        + ("asks for input on a terminal, and a task has none" if says else _READS_STDIN),
        "A task's standard input is empty. Its values come as the wire function's params.",
        _give_value(case, exception, frame)
        or by_hand(
            'read it in the wire function, as params["name"], and hand it over',
            case.exec_command("--param name=..."),
        ),
    )


def _interactive(
    case: Case, exception: ExceptionInfo, frame: Frame | None
) -> tuple[str, Hint] | None:
    """Name what only a notebook or a debugger has, and take the line out."""
    line = (frame and frame.text) or ""
    if exception.type == "BdbQuit":
        stop = without_line(case, frame) if _STOPS.search(line) else None
        return "stops in a debugger, and a task has no terminal", Hint(
            "take the call that stops there out: breakpoint() or set_trace(), in this line or"
            " before it",
            edit=stop,
        )
    unknown = exception.type == "NameError" and exception.attributes.get("name")
    if unknown == "display":
        return "uses display, which only a notebook has", Hint(
            "take it out, or print it: print(...)",
            edit=without_line(case, frame) if line.startswith("display(") else None,
        )
    if unknown == "get_ipython" or re.match(r"get_ipython\(\)\.", line):
        return "speaks to Jupyter, and a task runs without it", Hint(
            "take the line out; what it installs is a dependency of the bundle",
            edit=without_line(case, frame) if line.startswith("get_ipython()") else None,
        )
    return None


def exits_no_more(case: Case, frame: Frame | None) -> Edit | None:
    """The edit of a line that ends the process: only as a script, or by an exception that says why.

    :param frame: the line that calls ``sys.exit()``, or what does.
    """
    if frame is None or not frame.text or not case.is_own(frame.file):
        return None
    line = frame.text
    if case.phase is Phase.LOAD and frame.function == "<module>" and _SIMPLE.fullmatch(line):
        return case.line_edit(frame, f'if __name__ == "__main__": {line}')
    exits = _EXITS.search(line)
    if exits is None or exits[1] in ("0", "None"):
        return None
    why = f'"status {exits[1]}"' if exits[1].isdigit() else exits[1]
    return case.line_edit(frame, f"{line[: exits.start()]}raise RuntimeError({why})")


def without_line(case: Case, frame: Frame | None) -> Edit | None:
    """The edit that keeps a line as a comment, in the place of which nothing is done."""
    if frame is None or not frame.text or not case.is_own(frame.file):
        return None
    return case.line_edit(frame, f"pass  # {frame.text}")


def _names_parameter(case: Case, words: str) -> bool:
    """Tell whether an option that is refused is one of the task's parameters."""
    params = "" if case.task is None else task_info(case.task).params
    options = re.findall(r"--([\w-]{1,100})", words)
    return any(f'"{name}"' in params for one in options for name in (one, one.replace("-", "_")))


def _give_options(case: Case, words: str) -> Hint:
    required = _REQUIRED.search(words)
    asked = [one.strip() for one in required[1].split(",")] if required else []
    names = [one.removeprefix("--").replace("-", "_") for one in filter(_OPTION.fullmatch, asked)]
    if not names:
        return Hint("give the parameters that its --help has, with values that it takes")
    return by_hand(
        f"give what it asks for: {', '.join(names)}",
        case.exec_command(" ".join(f"--param {name}=..." for name in names)),
    )


def _give_value(case: Case, exception: ExceptionInfo, frame: Frame | None) -> Hint | None:
    """Name the parameter that takes the place of what a script asks its user for."""
    text = (frame and frame.text) or ""
    if not any(one.text in _RUN_WITH_VALUES for one in exception.traceback):
        return None
    if (value := _ASSIGNS.match(text)) is not None:
        return by_hand(f"give {value[1]}", case.exec_command(f"--param {value[1]}=..."))
    if "argv" in text:
        title = "give the words of its command line, as a list"
        return by_hand(title, case.exec_command("""--param 'argv=["..."]'"""))
    return None


def _no_command_line(case: Case, exception: ExceptionInfo, code: Code, words: str) -> Finding:
    place = case.place(exception)
    said = f": {one_line(printable(words), 120)}" if words else ""
    frame = case.telling_frame(exception)
    if _OWN_ARGUMENTS.search((frame and frame.text) or ""):
        return case.found(
            code,
            f"{place} hands its parser options that it does not take{said}",
            "The parser ends the process then, and with it the child.",
            Hint(f"correct them in {place}, or declare them: add_argument(...)"),
        )
    runs_script = any(
        "runpy" in frame.file or frame.text == _RUN_COMMAND for frame in exception.traceback
    )
    if case.phase is Phase.EXECUTE and (runs_script or _names_parameter(case, words)):
        return case.found(
            code,
            f"{place} does not take the options that it was given{said}",
            "The wire function runs a command, with the task's parameters as options.",
            _give_options(case, words),
        )
    if given := _give_value(case, exception, frame):
        hint = given
    elif case.phase is Phase.LOAD:
        hint = Hint(
            'move this under `if __name__ == "__main__":`, and take the values from params in'
            " the wire function"
        )
    else:
        hint = Hint("take the values from params, in place of a command line")
    return case.found(
        code,
        f"{place} reads a command line, and a task has none{said}",
        "A task's values come as the wire function's entrypoint, params and seed.",
        hint,
    )
