"""Recognises that a program which the bundle's code starts is not there, or has failed."""

import re
import shlex
from pathlib import PurePath

from msgspec import UNSET

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.knowledge.debian_packages import program_package
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import last_lines, one_line, printable
from runner.diagnosis.script_habits import without_line

# What shows a file to somebody.
_VIEWERS = {"display", "eog", "evince", "gnome-open", "gthumb", "kde-open", "okular", "open",
            "see", "start", "xdg-open", "xterm"}  # fmt: skip
# As Pyomo, PuLP, PySB and graphviz say it of what they run. A solver's program may have a name of
# its own.
_SOLVER = re.compile(
    r"^(?:No executable found for solver '|PuLP: cannot execute |The program (?=\S+ was not f)"
    r"|failed to execute PosixPath\(')"
    r"([\w.-]{1,60})"
)
_CALL = re.compile(r"(?:subprocess\.)?(?:run|call|check_call|Popen)\(.*\)")
_MOVIE_WRITER = re.compile(r"^MovieWriter (\w{1,40}) unavailable; using ", re.MULTILINE)
_OF_SOLVERS = {"glpk": "glpsol", "gurobi": "gurobi_cl", "scip": "scip"}
_STATUS = re.compile(
    r"^Command (.{1,2000}?) (returned non-zero exit status -?\d+|died with .{1,80})\.$", re.DOTALL
)


def program_failure(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in a program that the code starts."""
    if writer := _movie_writer(case, exception):
        finding = _not_there(case, exception, writer)
        finding.hints = [*_as_gif(case, exception), *finding.hints]
        return finding
    if solver := _SOLVER.search(exception.message[:1000]):
        return _not_there(case, exception, _OF_SOLVERS.get(solver[1], solver[1]))
    if exception.type == "CalledProcessError":
        return _failed(case, exception)
    if exception.type == "PermissionError":
        return _not_executable(case, exception)
    last = exception.traceback[-1] if exception.traceback else None
    name = exception.attributes.get("filename")
    # With a folder it is a file, which may be the bundle's; or subprocess's cwd= is not there.
    if exception.type != "FileNotFoundError" or not isinstance(name, str) or "/" in name:
        return None
    if last is None or PurePath(last.file).name != "subprocess.py":
        return None
    if " " in name:
        return _one_text(case, exception, name)
    return _not_there(case, exception, name)


def _movie_writer(case: Case, exception: ExceptionInfo) -> str | None:
    """The program that matplotlib says it has not, before Pillow fails at what that would do."""
    said = case.stderr
    writer = _MOVIE_WRITER.search(said)
    by_matplotlib = any(
        frame.file.endswith("/matplotlib/animation.py") for frame in exception.traceback
    )
    return writer[1] if writer and by_matplotlib else None


def _as_gif(case: Case, exception: ExceptionInfo) -> list[Hint]:
    frame = case.telling_frame(exception)
    if frame is None or not (text := frame.text):
        return []
    after = re.sub(r"""\.(?:mp4|avi|mov|mkv|m4v|webm)(?=["'])""", ".gif", text)
    edit = case.line_edit(frame, after)
    return [Hint("save a GIF, which needs no other program", edit=edit)] if edit else []


def _not_there(case: Case, exception: ExceptionInfo, name: str) -> Finding:
    shown = printable(one_line(name, 80))
    if name in _VIEWERS:
        return _shows(case, exception, name)
    package = program_package(name)
    on_debian = f" ({package} on Debian)" if package else ""
    on_debian = " (conda-forge has it)" if name in ("ipopt", "bonmin", "couenne") else on_debian
    return case.raised(
        f"{case.place(exception)} starts the program {shown}, which this worker does not have",
        "It is in none of the folders of PATH, which the child has of its worker."
        " Programs are no Python packages: an environment brings them only where a package has"
        " them.",
        Hint(
            f"install {shown} where the workers run{on_debian}",
            command=f"apt-get install {package}" if package else None,
            by="person" if package else UNSET,
        ),
    )


def _shows(case: Case, exception: ExceptionInfo, name: str) -> Finding:
    frame = case.telling_frame(exception)
    edit = without_line(case, frame) if frame and _CALL.fullmatch(frame.text or "") else None
    return case.raised(
        f"{case.place(exception)} shows a file with {name}, and nobody watches a task",
        "The program is not there either. What a task writes into its working folder is"
        " kept by `exec --output DIR`.",
        Hint("take the call out", edit=edit),
    )


def _one_text(case: Case, exception: ExceptionInfo, command: str) -> Finding:
    """A program and its arguments in one text, which is taken for the program's name."""
    own, edit = case.own_frames(exception), None
    if own and not set("'\"\\") & set(command):
        written = rf"(['\"]){re.escape(command)}\1"
        edit = case.edit_of(own[-1], written, lambda _: repr(command.split()))
    return case.raised(
        f"{case.place(exception)} starts {printable(one_line(repr(command), 120))}, and"
        " there is no program of that name",
        "Without a shell, the whole text is the program's name.",
        Hint("make a list of the program and its arguments", edit=edit),
    )


def _not_executable(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A file of the bundle that is started, and may not be executed."""
    last = exception.traceback[-1] if exception.traceback else None
    named = str(exception.attributes.get("filename") or "").removeprefix("./")
    if last is None or PurePath(last.file).name != "subprocess.py" or case.bundle is None:
        return None
    if named not in case.bundle_files:
        return None
    path = shlex.quote(str(PurePath(case.bundle.path) / named))
    return case.raised(
        f"{case.place(exception)} starts {printable(named)}, which may not be executed",
        "The bundle has the file, without the permission to execute it.",
        Hint("let it be executed", command=f"chmod +x {path}"),
    )


def _failed(case: Case, exception: ExceptionInfo) -> Finding | None:
    ended = _STATUS.match(exception.message)
    if ended is None:
        return None
    command = printable(one_line(_as_typed(ended[1]), 120))
    said = str(exception.attributes.get("stderr") or exception.attributes.get("output") or "")
    words = "".join(last_lines(printable(said), 1)).strip()
    place = case.place(exception)
    how = ended[2].replace("returned non-zero exit status", "ended with status")
    if words:
        hint = by_hand(
            f"see why it says so: run it by hand; it stands in {place}", _as_typed(ended[1])
        )
    else:
        hint = Hint(f"see what it wrote to its standard error, below, and {place}")
    return case.raised(
        f"`{command}`, which {place} starts, {how}"
        + (f": {one_line(words, 160)}" if words else ""),
        "The program failed; Python and the bundle's environment did not."
        + (f" It said:\n{printable(said.strip())}" if words and words != said.strip() else ""),
        hint,
    )


def _as_typed(command: str) -> str:
    """A command line of what Python shows as a list."""
    arguments = re.fullmatch(r"'(\[.*\])'", command, re.DOTALL)
    if arguments is None:
        return command.strip("'\"")
    quoted = re.findall(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", arguments[1])
    return shlex.join("".join(one) for one in quoted)
