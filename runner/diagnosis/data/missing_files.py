"""Recognises why a file is not found: the bundle's wheel lacks it, the code looks elsewhere than
where the bundle has it, or the bundle has none."""

import re
import shlex
from pathlib import PurePath, PurePosixPath, PureWindowsPath

from bundle_protocol.near_names import nearest
from bundle_protocol.syntax_tree import tree_of
from runner.diagnosis.case import Case, Finding
from runner.diagnosis.compiled_sources import not_compiled
from runner.diagnosis.data.package_data import package_data_hint
from runner.diagnosis.data.working_folder import folder_there, has_folder, in_working_folder
from runner.diagnosis.remedies import copy_hint, template_of
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint, by_hand
from runner.diagnosis.report.text import printable

# Not every library gives the name as an attribute, as open() does.
_QUOTED = re.compile(r"'([^'\n]{1,4096})'")
_UNQUOTED = re.compile(
    r"^(?:\[Errno 2\] )?([^\s:][^\n:]{0,4000}?)(?::? (?:not found|No such file|doesn't exist))"
)

_LOGGING = ("logging", "__init__.py")
# DuckDB; Cantera.
_PATTERN = re.compile(
    r'(?:No files found that match the pattern "|\bInput file )([^"*?\s]{1,1000})(?:"| not found)'
)
_LIBRARY = re.compile(r"([^\s:]{1,1000}): cannot open shared object file")
# In a library's own words, behind a path with a suffix.
_NOT_THERE = re.compile(
    r"'[^'\n]{1,1000}\.\w{1,10}'[^'\n]{0,40} (?:does not exist|doesn't exist|not found)\b"
)

# What comes before a path that is written to, and after it: frame.to_csv(path), open(path, "w").
_WRITING_CALL = re.compile(
    r"\b(?:(?:to_|save|write|dump)\w*\(|(?:\w*FileHandler|basicConfig)\([^()]{0,200}?)"
    r"\s*(?:\w+\s*=\s*)?[bfr]?[\"']$"
)
_WRITING_MODE = re.compile(
    r"^[\"']\)?(?:\s*,\s*|\.open\(\s*)(?:mode\s*=\s*)?[\"'][wax]b?\+?b?[\"']|^[\"']\)\.write_"
)

# open(f"out/{day}.csv", "w"), of which the first argument may be evaluated twice.
_OPENED_TO_WRITE = re.compile(
    r"\bopen\(\s*([^(),]+),\s*(?:mode\s*=\s*)?[\"'][wax]"
    r"|\b\w*FileHandler\(\s*(?:filename\s*=\s*)?([^(),]+)"
    r"|\bbasicConfig\([^()]*?\bfilename\s*=\s*([^(),]+)"
    r"|\.(?:save\w*|to_\w+|write_\w+)\(\s*([^(),=]+)"
)

# Where people, Colab and Kaggle have their files, which no code makes.
_OF_SOMEBODY = [("/", name) for name in ("home", "Users", "content", "kaggle")]

# From where a package is installed up to its environment's folder: lib/python3.12/site-packages.
_INSTALLED_DEPTH = 3

# ROOT / "data" / "ages.csv", and os.path.join(ROOT, "data/ages.csv").
_JOINED = re.compile(r"""[\w.]+(?:\(\))?((?:\s*/\s*(?:"[^"'\n]+"|'[^"'\n]+'))+)""")
# The folder above in either, and what joins it to the next.
_STEP_OUT = re.compile(r"""(["'])\.\.\1\s*[,/]\s*""")
_JOIN_CALL = re.compile(
    r"""((?:os\.)?path\.join\()[\w.]+\s*,\s*((?:"[^"'\n]+"|'[^"'\n]+')(?:\s*,\s*["'][^"'\n]+["'])*)\)"""
)


def missing_file(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Return why a file is not found."""
    path = _path(exception)
    if exception.type == "FileExistsError":
        return folder_there(case, exception)
    if path is None or not case.bundle_files:
        return None
    if (broken := _broken_link(case, exception)) is not None:
        return broken
    installed = _below_installed(case, path)
    if installed is not None:
        return _not_installed(case, exception, installed)
    if "\\" in str(path) or PureWindowsPath(str(path)).drive:
        return _of_windows(case, exception, path)
    return (
        not_compiled(case, exception, path)
        or _elsewhere(case, exception, path)
        or _not_in_bundle(case, exception, path)
    )


def _of_windows(case: Case, exception: ExceptionInfo, path: PurePath) -> Finding | None:
    """A path with a drive, or with backslashes, which are no more than characters here."""
    slashes, why = "", "A drive is of that machine alone."
    if "\\" in str(path):
        slashes = ", with backslashes"
        why = (
            "Here, folders have slashes between them; pathlib.Path joins them on each system as it"
        )
        why += " is there."
    path = PurePath(PureWindowsPath(str(path)).as_posix())
    frame = case.telling_frame(exception)
    if frame is None or not case.is_own(frame.file):
        return None
    there = _with_tail(case, path) or path.name
    written = r"r?([\"'])" + re.escape(str(path)).replace("/", r"[\\/]{1,2}") + r"\1"
    edit = case.edit_of(frame, written, lambda found: f"{found[1]}{there}{found[1]}")
    has = "which the bundle has" if there in case.bundle_files else "once it is in the bundle"
    return case.raised(
        f"{case.place_of(frame)} asks for a path of Windows: {printable(str(path))}{slashes}",
        why,
        Hint(f"write {there!r}, {has}", edit=edit),
    )


def _path(exception: ExceptionInfo) -> PurePath | None:
    """The file that is not there, as the code asked for it."""
    says = exception.message[:5000]
    telling = exception.type == "FileNotFoundError" or "No such file" in says
    pattern = _PATTERN.search(says)
    telling = telling or pattern is not None
    if library := _LIBRARY.match(says):
        # By a bare name it is looked for where the system has its own.
        return PurePath(library[1]) if library[1].startswith(".") else None
    if not telling and exception.type in ("OSError", "ValueError", "RuntimeError"):
        telling = _NOT_THERE.search(says) is not None
    if not telling or "shared object" in says:
        return None
    named = exception.attributes.get("filename")
    if not named:
        found = pattern or _QUOTED.search(exception.message) or _UNQUOTED.search(exception.message)
        named = found[1] if found else None
    return PurePath(str(named)) if named and "\0" not in str(named) else None


def _broken_link(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A link of the bundle's that leads to a file which only another machine has."""
    target = exception.attributes.get("links_to")
    if not isinstance(target, str):
        return None
    named = PurePath(str(exception.attributes.get("filename")))
    files = [one for one in case.bundle_files if PurePath(one).name == named.name]
    if len(files) != 1 or case.short_path(target) == files[0]:
        return None
    where, file = case.place(exception, "the code"), files[0]
    return case.raised(
        printable(f"{where} asks for {file}, which is a link to {target}, and that is not there"),
        "A link has nothing of the file's content, and goes without it to a machine.",
        by_hand(
            printable(f"put the file itself in the link's place, where {target} is"),
            f"cp --remove-destination {shlex.quote(target)} {case.file_argument(file)}",
        ),
    )


def _below_installed(case: Case, path: PurePath) -> PurePath | None:
    """The path from where packages are installed, or from a folder above it."""
    for site in map(PurePath, case.environment.site if case.environment else []):
        for root in (site, *list(site.parents)[:_INSTALLED_DEPTH]):
            if path.is_relative_to(root):
                return path.relative_to(root)
    return None


def _not_installed(case: Case, exception: ExceptionInfo, installed: PurePath) -> Finding | None:
    file = _with_tail(case, installed)
    if file is None:
        return None
    frame = case.telling_frame(exception)
    where = case.place_of(frame) or "the code"
    package = package_data_hint(case, file, installed.as_posix())
    if package is not None:
        hint, why = package, f"Its build backend left out what {where} reads."
    else:
        relative = _from_working_folder(case, frame, file)
        hint = Hint(
            f"read it as {file!r}: a task's working folder has the bundle's files in it",
            edit=relative,
        )
        why = f"{where} looks for it beside what is installed; a wheel has packages alone."
    return case.raised(
        f"{file} is in the bundle, and not in what was installed of it (its wheel)",
        f"The bundle is installed as a package. {why}",
        hint,
    )


def _with_tail(case: Case, path: PurePath) -> str | None:
    """The bundle's file that ends as a path does, in as many parts as there is one."""
    for count in range(len(path.parts), 0, -1):
        tail = "/" + "/".join(path.parts[-count:])
        found = [file for file in case.bundle_files if f"/{file}".endswith(tail)]
        if found:
            return found[0] if len(found) == 1 or count > 1 else None
    return None


def _from_working_folder(case: Case, frame: Frame | None, file: str) -> Edit | None:
    """The line with the file's path in the bundle, where it is made of a folder and that."""
    text = frame.text if frame else None
    if frame is None or not text:
        return None

    def literal(parts: str) -> str:
        return "/".join(re.findall(r"""["']([^"']+)["']""", parts))

    after = _JOINED.sub(lambda it: f'Path("{file}")' if literal(it[1]) == file else it[0], text)
    after = _JOIN_CALL.sub(
        lambda it: f'{it[1]}"{file}")' if literal(it[2]) == file else it[0], after
    )
    if "Path(" in after and "pathlib.Path" in text:
        return None
    return case.line_edit(frame, after)


def _elsewhere(case: Case, exception: ExceptionInfo, path: PurePath) -> Finding | None:
    """A path of the bundle that leads elsewhere than where the file is."""
    asked = in_working_folder(case, path)
    if asked is None or _is_written(case.telling_frame(exception), path):
        return None
    if asked in case.bundle_files:
        if ".." not in path.parts:
            return None  # It was there: the code has changed its folder, or has removed the file.
        nearest: tuple[str, str] | None = (asked, "The path leads out of the bundle.")
    else:
        nearest = _nearest(case, asked)
    if nearest is None:
        return None
    file, why = nearest
    frame = case.telling_frame(exception)
    where = case.place_of(frame) or "the code"
    edit = None
    if asked == file and case.bundle is not None:  # it leads out of the bundle
        asked = str(path).removeprefix(f"{case.bundle.path}/")
        inside, steps = _STEP_OUT.subn("", (frame and frame.text) or "")
        if frame is not None and steps == asked.count("..") == 1:
            edit = case.line_edit(frame, inside)
    if not path.is_absolute():
        written = rf"([\"']){re.escape(str(path))}\1"
        edit = case.edit_of(frame, written, lambda found: f"{found[1]}{file}{found[1]}") or edit
    return case.raised(
        f"{where} asks for {printable(asked)}; the bundle has {file}",
        f"{why} Paths begin at the bundle's folder, whose files a task's working folder has in it.",
        Hint(f"write {file!r}, as the bundle has it", edit=edit),
    )


def _not_in_bundle(case: Case, exception: ExceptionInfo, path: PurePath) -> Finding | None:
    """Find a file that the bundle's own code names, and that the bundle does not have."""
    frame = case.telling_frame(exception)
    if frame is None or not case.is_own(frame.file):
        return None
    # A library may have made it absolute before it asked.
    if str(path) not in (frame.text or ""):
        path = PurePath(in_working_folder(case, path) or path)
    if path.name == str(path) and not path.suffix and not case.is_own(exception.traceback[-1].file):
        return None  # A word that a library has looked for as a file too, as of a style.
    before, named, _ = (frame.text or "").partition(str(path))
    there = _with_tail(case, path) if path.is_absolute() else None
    if not named and there is not None:
        return _elsewhere_than(case, frame, path, there, None)
    opened = _OPENED_TO_WRITE.search(frame.text or "")
    if not named and opened and not (path.is_absolute() or has_folder(case, path.parent)):
        return _no_folder(case, frame, path, f"dirname({next(filter(None, opened.groups()))})")
    if not named and path.parts[:2] in _OF_SOMEBODY and not opened:
        return _of_working_folder(
            case,
            f"{case.place_of(frame)} asks for {printable(str(path))}, which this worker does not"
            " have",
            Hint("put it into the bundle, and name it by its path there where that path is made"),
        )
    if not opened and (template := template_of(case, path.as_posix())) is not None:
        return _of_working_folder(
            case,
            f"{case.place_of(frame)} asks for {printable(str(path))}; the bundle has {template}",
            copy_hint(case, template, path.as_posix()),
        )
    if not named or before.rstrip("\"'").endswith("cwd="):
        return None  # It is put together elsewhere: what it ought to be is not known.
    where, asked = case.place_of(frame), printable(str(path))
    folder, edit = path.parent, None
    logs = any(PurePath(one.file).parts[-2:] == _LOGGING for one in exception.traceback)
    if _is_written(frame, path) or logs:
        if folder == PurePath() or has_folder(case, folder):
            return None
        if path.is_absolute():
            return _writes_elsewhere(case, frame, path)
        return _no_folder(case, frame, path, repr(str(folder)))
    if there is not None:
        replaced = case.edit_of(frame, re.escape(str(path)), lambda _: there)
        return _elsewhere_than(case, frame, path, there, replaced)
    if path.is_absolute():
        what = f"asks for {asked}, which this worker does not have"
        hint = f"put it into the bundle and read it by its path there, as {printable(path.name)!r}"
        edit = (
            case.edit_of(frame, re.escape(str(path)), lambda _: path.name) if path.suffix else None
        )
        if not path.suffix:  # a folder, as far as a name tells
            hint = "use paths below the task's working folder, which it begins in"
    elif path.as_posix() in case.bundle_files:
        return None  # The code has changed its folder, or has removed the file.
    else:
        what = f"asks for {asked}, which is not in the bundle"
        hint = f"put it into the bundle, as {asked}, unless the code was to write it before"
        after = re.sub(r"\b(h5py\.File\([^,()]+)\)", r'\1, "a")', frame.text or "")
        if (edit := case.line_edit(frame, after)) is not None:
            hint = f"if {asked} is to be made, say so: h5py only reads by default since 3"
        if case.pyproject_text().value("tool.modelops", "exclude"):
            hint += "; see that [tool.modelops] exclude does not leave it out"
    return _of_working_folder(case, f"{where} {what}", Hint(hint, edit=edit))


def _no_folder(case: Case, frame: Frame, path: PurePath, folder: str) -> Finding:
    """A file that is written into a folder which is not there.

    :param folder: an expression of Python.
    """
    # In a function, `import os` here would take `os` from the lines above it.
    made = f"from os import makedirs\nmakedirs({folder}, exist_ok=True)"
    if folder.startswith("dirname("):
        made = f"from os.path import dirname\n{made}"
    shown = printable(str(path.parent))
    return _of_working_folder(
        case,
        f"{case.place_of(frame)} writes {printable(str(path))}, and there is no folder {shown}",
        Hint(
            f"make the folder first: os.makedirs({shown!r}, exist_ok=True)",
            edit=_made_before(case, frame, made),
        ),
    )


def _of_working_folder(case: Case, summary: str, hint: Hint) -> Finding:
    return case.raised(
        summary,
        "A task's working folder has the bundle's files in it, and what the task has written.",
        hint,
    )


def _is_written(frame: Frame | None, path: PurePath) -> bool:
    """Tell whether a line writes to a path: what is of that name elsewhere is another one."""
    before, named, after = ((frame and frame.text) or "").partition(str(path))
    writes = _WRITING_CALL.search(before) or _WRITING_MODE.search(after)
    return bool(named) and writes is not None


def _made_before(case: Case, frame: Frame, made: str) -> Edit | None:
    """The edit that makes a folder before a line, where a statement begins in that."""
    line = frame.text or ""
    if tree_of(f"{line}\n    pass" if line.endswith(":") else line) is None:
        return None
    return case.line_edit(frame, f"{made}\n{line}")


def _elsewhere_than(
    case: Case, frame: Frame, path: PurePath, there: str, edit: Edit | None
) -> Finding:
    """A path of another machine, whose file the bundle has."""
    return case.raised(
        f"{case.place_of(frame)} asks for {printable(str(path))}, which this worker does"
        f" not have; the bundle has {there}",
        "A task's working folder has the bundle's files in it.",
        Hint(f"write {there!r} where that path is made, as the bundle has it", edit=edit),
    )


def _writes_elsewhere(case: Case, frame: Frame, path: PurePath) -> Finding:
    edit = case.edit_of(frame, re.escape(str(path)), lambda _: path.name)
    folder = printable(str(path.parent))
    return case.raised(
        f"{case.place_of(frame)} writes {printable(str(path))}, and this worker has no"
        f" folder {folder}",
        "What a task writes into its working folder is kept with its outputs.",
        Hint(f"write into the task's working folder, as {printable(path.name)!r}", edit=edit),
    )


def _nearest(case: Case, asked: str) -> tuple[str, str] | None:
    """The file that was meant, and how it differs."""
    files = case.bundle_files
    below = [file for file in files if file.endswith(f"/{asked}")]
    if below:
        file = min(below, key=lambda one: (one.count("/"), one))
        return file, f"It is in {file.removesuffix(asked)} of the bundle."
    name = PurePosixPath(asked).name
    named = [file for file in files if PurePosixPath(file).name == name]
    if len(named) == 1:
        return named[0], "It is at another place in the bundle."
    cases = [file for file in files if file.lower() == asked.lower()]
    if cases:
        return cases[0], "Capitals count in the names of files."
    folder = PurePosixPath(asked).parent
    beside = [file for file in files if PurePosixPath(file).parent == folder]
    close = nearest(asked[:1000], beside[:1000], cutoff=0.85)
    return (close[0], "There is no file of the other name.") if close else None
