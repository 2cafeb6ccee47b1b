"""How findings about a child name things: places in code, moments, commands to run."""

import json
import re
import shlex
from pathlib import PurePath

import msgspec

from runner.diagnosis.case import Case
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.asked import task_info
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import printable
from runner.events import Phase

_LONGEST_PARAMS = 300
_PRINTED_FRAME = re.compile(r'File "([^"\n]{1,1000})", line (\d{1,9}), in ([^\s]{1,200})')

DOING = {
    Phase.SPAWN: "while it was started",
    Phase.HANDSHAKE: "before it could say hello",
    Phase.LOAD: "while it loaded the bundle",
    Phase.EXECUTE: "while it ran the task",
    Phase.SHUTDOWN: "while it shut down",
}


def raised_code(phase: Phase) -> Code:
    """The code of what the bundle's code raised, at its load or in a task."""
    return Code.LOAD_RAISED if phase is Phase.LOAD else Code.TASK_RAISED


def telling_frame(case: Case, exception: ExceptionInfo | None) -> Frame | None:
    """The innermost frame in the bundle's own code, else the innermost one."""
    if exception is None or not exception.traceback:
        return None
    own = [frame for frame in exception.traceback if is_own(case, frame.file)]
    return (own or exception.traceback)[-1]


def is_own(case: Case, file: str) -> bool:
    """Tell whether a file is the bundle's own, in its folder or where it is installed."""
    return any(PurePath(file).is_relative_to(root) for root in _roots(case))


def _roots(case: Case) -> list[str]:
    """Where the bundle's own code is: its folder, and where it is installed."""
    folder = [case.bundle.path] if case.bundle else []
    return folder + (case.environment.site if case.environment else [])


def place_of(case: Case, frame: Frame | None) -> str:
    if frame is None:
        return ""
    function = "" if frame.function == "<module>" else f" ({frame.function})"
    return f"{short_path(case, frame.file)}:{frame.line}{function}"


def printed_place(case: Case, text: str) -> str | None:
    """The innermost place in the bundle's own code, in a traceback as Python prints it."""
    frames = [found.groups() for found in _PRINTED_FRAME.finditer(text)]
    own = [frame for frame in frames if is_own(case, frame[0])]
    if not own:
        return None
    file, line, function = own[-1]
    return printable(f"{short_path(case, file)}:{line} ({function})")


def short_path(case: Case, file: str) -> str:
    """The file as the bundle's author knows it."""
    path = PurePath(file)
    for root in _roots(case):
        if path.is_relative_to(root):
            return str(path.relative_to(root))
    if "site-packages" in path.parts:
        return str(PurePath(*path.parts[path.parts.index("site-packages") + 1 :]))
    return printable(file)


def package_of(file: str) -> str | None:
    """The installed package or module that a file is of, as its folder or file is called."""
    parts = PurePath(file).parts
    for folder in ("site-packages", "dist-packages"):
        if folder in parts[:-1]:
            return parts[parts.index(folder) + 1].partition(".")[0]
    return None


def file_in_bundle(case: Case, frame: Frame) -> str:
    """The file of a frame as it is in the bundle, in which an edit is made."""
    short = short_path(case, frame.file)
    if short in case.bundle_files or not is_own(case, frame.file):
        return short
    # What is installed has no src before it.
    found = [file for file in case.bundle_files if file.endswith(f"/{short}")]
    return found[0] if len(found) == 1 else short


def line_edit(case: Case, frame: Frame, after: str) -> Edit | None:
    """The edit that puts another line in the place of a frame's; none where it is that already."""
    if not frame.text or after == frame.text:
        return None
    return Edit(file=file_in_bundle(case, frame), before=frame.text, after=after)


def with_argument(line: str, function: str, argument: str) -> str:
    """A line with one more argument in its one call of a function, where the call ends in it.

    :param function: a regular expression.
    :returns: the line as it is, where it has no such call.
    """
    calls = list(re.finditer(rf"(?:{function})\(", line))
    depth, quote = 1, ""
    for at in range(calls[0].end(), len(line)) if len(calls) == 1 else ():
        sign = line[at]
        if quote or sign in "'\"":
            quote = "" if sign == quote else quote or sign
            continue
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0:
            return f"{line[:at].rstrip(' ,')}, {argument}{line[at:]}"
    return line


def made_frame(exception: ExceptionInfo, frame: Frame) -> Frame | None:
    """The line above that gave its value to the name that an exception is about.

    :param frame: the line that uses it.
    """
    line, text = (exception.attributes.get(name) for name in ("made_line", "made_text"))
    if not isinstance(line, int) or not isinstance(text, str):
        return None
    return msgspec.structs.replace(frame, line=line, text=text)


def bundle_argument(case: Case) -> str:
    return shlex.quote(case.bundle.path) if case.bundle else "BUNDLE"


def file_argument(case: Case, file: str) -> str:
    """A file of the bundle, as a command names it."""
    return shlex.quote(f"{case.bundle.path}/{file}" if case.bundle else file)


def look_for(case: Case, title: str, words: str) -> Hint:
    """The hint to look for a call in the bundle's own code.

    :param words: an extended regular expression without quotes.
    """
    command = f"grep -rnE '{words}' --include='*.py' {bundle_argument(case)}"
    return by_hand(title, command)


def start_by_hand(case: Case) -> Hint:
    command = shlex.join(case.child.argv) if case.child else None
    return by_hand("start the child by hand and see what it says", command)


def exec_command(case: Case, options: str = "", *, without: str | None = None) -> str:
    """The command that runs the same task, with more options.

    :param without: a parameter that is left out.
    """
    return " ".join(
        ["modelops-runner exec", bundle_argument(case), *_asked(case, without), options]
    ).rstrip()


def _asked(case: Case, without: str | None) -> list[str]:
    """The words of a command line that ask for the task, but for parameters that are long."""
    if case.task is None:
        return []
    task = task_info(case.task)
    words = [] if task.entrypoint in (None, "default") else [shlex.quote(str(task.entrypoint))]
    if task.function is not None:
        words += ["--function", shlex.quote(task.function)]
    if task.seed:
        words += ["--seed", str(task.seed)]
    if len(task.params) > _LONGEST_PARAMS or "…" in task.params:
        return words
    for name, value in json.loads(task.params).items():
        if name != without:
            words += ["--param", shlex.quote(f"{name}={_as_param(value)}")]
    return words


def _as_param(value: object) -> str:
    """A value as ``--param`` takes it: JSON, or a text that is none."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)


def declare_hint(case: Case, requirement: str, title: str) -> Hint:
    """The line that declares a dependency, in the file in which the bundle declares its own."""
    if declaring_file(case) == "requirements.txt":
        return Hint(title=title, edit=Edit(file="requirements.txt", after=requirement))
    return Hint(
        title=title,
        command=f"uv add --project {bundle_argument(case)} {shlex.quote(requirement)}",
        edit=PyprojectText.of_case(case).with_item("project", "dependencies", requirement),
    )


def declaring_file(case: Case) -> str:
    """The file in which the bundle declares its dependencies."""
    source = case.environment.requirements_from if case.environment else None
    if source == "requirements.txt" or (
        case.bundle_files and "pyproject.toml" not in case.bundle_files
    ):
        return "requirements.txt"
    return "pyproject.toml"


def as_utf_8(file: str, encoding: str) -> str:
    """The command that writes a file anew as UTF-8.

    :param encoding: as iconv(1) calls it.
    """
    there, beside = shlex.quote(file), shlex.quote(f"{file}.utf-8")
    return f"iconv -f {encoding} -t UTF-8 {there} > {beside} && mv {beside} {there}"


def build_anew(case: Case) -> Hint:
    return Hint(title="build the environment anew", command=exec_command(case, "--fresh-venv"))


def raise_memory_limit(case: Case, needed: int) -> Hint:
    """:param needed: the bytes that were not enough, or too many."""
    return Hint(
        title="if it is meant to take as much, raise the limit (in the bundle's own pyproject.toml:"
        " [tool.modelops] memory-limit)",
        command=exec_command(case, f"--memory-limit {max(1, 2 * needed >> 20)}MiB"),
    )


def requires_python_hint(case: Case, specifier: str, title: str) -> Hint:
    """The line that narrows the Pythons which the bundle accepts, where it says so.

    :param specifier: what to narrow them to (PEP 440).
    """
    from runner.diagnosis.uv.python import minors_of  # it needs this module

    command = exec_command(case, f"--python {shlex.quote(specifier)}")
    if case.interpreter and case.interpreter.requested:
        return Hint(title=title, command=command)  # who names a Python is not asked by the bundle
    if declaring_file(case) == "requirements.txt":
        return Hint(title=title, command=command, edit=pin_edit(case, specifier))
    declared = case.bundle.requires_python if case.bundle else None
    bound = re.compile(r">=\s*[\d.]+")
    lower = declared and bound.fullmatch(declared) and bound.fullmatch(specifier)
    replaces = not declared or lower or not minors_of(f"{declared},{specifier}")
    after = specifier if replaces else f"{declared},{specifier}"
    edit = PyprojectText.of_case(case).setting("project", "requires-python", after)
    return Hint(title=title, command=command, edit=edit)


def pin_edit(case: Case, version: str) -> Edit:
    """:param version: what ``.python-version`` is to say."""
    return Edit(file=".python-version", before=case.pin, after=version)


def init_hint(model: str, folder: str) -> Hint:
    """Return how a notebook or a script becomes a bundle.

    :param folder: quoted for a shell.
    """
    return Hint(
        title=f"write a wire.py that runs {model}",
        command=f"modelops-runner init {folder}",
    )
