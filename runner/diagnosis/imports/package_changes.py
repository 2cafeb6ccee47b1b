"""Recognises code that needs what a package it uses has removed in a newer release."""

import re

import msgspec
from packaging.version import InvalidVersion, Version

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.imports.binary_failures import says_numpy_1
from runner.diagnosis.imports.dependencies import installed_version, require, upgrade
from runner.diagnosis.imports.import_errors import missing_module, missing_name
from runner.diagnosis.imports.library_changes import replaced_name
from runner.diagnosis.knowledge.distribution_names import distribution_named, same_distribution
from runner.diagnosis.knowledge.newer_syntax import is_older
from runner.diagnosis.knowledge.package_changes import (
    ANY,
    GONE_MODULES,
    PackageChange,
    gone_arguments,
    gone_name,
    is_builtin,
)
from runner.diagnosis.remedies import requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.frames import package_of, raising_package
from runner.diagnosis.report.model import Edit, ExceptionInfo, Frame, Hint

_OF_NUMPY = re.compile(r"`np\.(\w{1,60})` was removed in the NumPy 2")
# Libraries that say it themselves: scikit-learn, JAX.
_SAYS_SO = re.compile(
    r"[`']?([A-Za-z_][\w.]{1,80})[`']? (?:was|has been|is) removed (?:from [\w-]{1,40} )?"
    r"(?:in|since) (?:the )?(?:[A-Za-z-]{1,20} )?(?:version |v)?(\d{1,4}(?:\.\d{1,4}){0,3})"
)
_OF_OBJECT = re.compile(
    r"'(?:numpy\.|Geo|Multi|Di|MultiDi)?(ndarray|DataFrame|Series|Graph|Axes"
    r"|Index|DatetimeIndex|DatetimeProperties|Timedelta)' object has no attribute '(\w{1,60})'"
)
_METHOD = re.compile(r"\.|(?:numpy\.ndarray|pandas\.[A-Z]\w+|networkx\.Graph|matplotlib\.Axes)\.")
_PACKAGES = {"ndarray": "numpy", "Graph": "networkx", "Axes": "matplotlib"}
_OF_ANY = re.compile(r"'\w{1,80}' object has no attribute '(\w{1,60})'")
_ARGUMENT = re.compile(r"\bgot an unexpected keyword argument '(\w{1,60})'")
_IMPORTS = re.compile(r"(?:from|import)\s+([\w.]{1,200})")
_NO_NAMES = ("and", "it", "that", "this", "which", "function", "module", "method")
_DOTTED = re.compile(r"\w+(?:\.\w+)+")
# The first releases that were compiled for NumPy 2, too: those before cannot be imported with it.
_FOR_NUMPY_2 = {"scipy": "1.13", "pandas": "2.2.2", "scikit-learn": "1.4.2", "matplotlib": "3.8.4",
                "statsmodels": "0.14.2"}  # fmt: skip
# Changes from which on the releases before have wheels for the Pythons that are in use.
_WITH_WHEELS = {"pandas": "2", "scipy": "1.12", "scikit-learn": "1.2", "matplotlib": "3.9",
                "numpy": "2", "sqlalchemy": "2"}  # fmt: skip
# The last release before 2, and the newest Python that it has wheels for.
_NUMPY_1_UNTIL = "3.12"


def package_change(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Find an exception's cause in a release of a package that has lost something."""
    gone = _gone(exception) or _asked_for(case, exception) or _gone_argument(case, exception)
    if gone is None:
        return None
    what, change = gone
    explanation = f"the last releases with {what} are those before {change.version}."
    if change.distribution == "numpy" and says_numpy_1(case.stderr):
        explanation = "a compiled module here is made for NumPy 1, as it says on stderr."
        change = msgspec.structs.replace(change, version="2")
    version = installed_version(case, change.distribution)
    is_module = exception.type == "ModuleNotFoundError"
    # A module of another package's, as PyMC's engines are, is missed for that one's sake alone.
    if version is None and not (is_module and _is_of(what.partition(".")[0], change.distribution)):
        return None
    if version is not None and not _is_without(version, change):
        return None
    name = f"{change.distribution}<{change.version}"
    frame = _user(case, exception, change.distribution)
    if what.endswith("=...)"):
        frame = case.telling_frame(exception)
    where = case.place_of(frame) or "the bundle"
    bound = bound_hints(case, change, f"ask for a {change.distribution} that has it")
    library = None if frame is None or case.is_own(frame.file) else package_of(frame.file)
    if library is not None:
        distribution = distribution_named(library)
        release = installed_version(case, distribution)
        asks = f"{distribution} {release}" if release else distribution
        summary = f"{asks} needs {name}: {where} uses {what}, which newer releases have not"
        hints = [*bound, upgrade(case, distribution, f"or take a {distribution} that does without")]
    else:
        summary = f"{where} uses {what}, which {change.distribution} {change.version} removed"
        renamed = _renamed(case, frame, what, change)
        # What a machine can do comes before what is only said, where it is known to work.
        first = is_module or _has_wheels(change)
        hints = [*renamed, *bound]
        if first and not (renamed and renamed[0].edit):
            hints = [*bound, *renamed]
    has = f"{change.distribution} {version} is installed" if version else "It is not installed"
    return case.found(
        Code.MODULE_NOT_FOUND if is_module else Code.IMPORT_FAILED,
        summary,
        f"{has}; {explanation}",
        *hints,
    )


def _gone(exception: ExceptionInfo) -> tuple[str, PackageChange] | None:
    """Return what is asked for and not there any more, as it is written, and since when."""
    module = missing_module(exception)
    if module is not None:
        return _gone_module(module)
    message = exception.message
    pair = missing_name(exception)
    if exception.type == "AttributeError":
        if removed := _OF_NUMPY.match(message):
            pair = "numpy", removed[1]
        elif lost := _OF_OBJECT.match(message):
            pair = f"{_PACKAGES.get(lost[1], 'pandas')}.{lost[1]}", lost[2]
        elif (method := _OF_ANY.fullmatch(message)) and gone_name(ANY, method[1]):
            pair = ANY, method[1]
    if stars := str(exception.attributes.get("stars") or ""):
        # pylab has all of NumPy's names. SciPy's own are all that it hands over, and have been.
        modules = ["numpy" if one.endswith("pylab") else one for one in stars.split("\n")]
        modules = [one for one in modules if one != "scipy"]
        name = str(exception.attributes.get("missing_name"))
        pair = next(((one, name) for one in modules if gone_name(one, name)), None)
    if pair is None or gone_name(*pair) is None:
        said = _says_so(exception)
        if said is not None:
            return said
    if pair is None:
        return None
    change = gone_name(*pair)
    if change is None and pair[0] == "numpy" and _OF_NUMPY.match(message):
        change = PackageChange("numpy", "2")
    what = ".".join(pair) if pair[0] != ANY else f".{pair[1]}()"
    return (what, change) if change else None


def _gone_module(module: str) -> tuple[str, PackageChange] | None:
    found = next((m for m in GONE_MODULES if f"{module}.".startswith(f"{m}.")), None)
    return (found, GONE_MODULES[found]) if found else None


def _asked_for(case: Case, exception: ExceptionInfo) -> tuple[str, PackageChange] | None:
    """Return the module that a line of the bundle's asks for, where another one was missing first.

    What a newer release of the package imports on the way there is of no use to the bundle.
    """
    frame = case.telling_frame(exception)
    if missing_module(exception) is None or frame is None or not case.is_own(frame.file):
        return None
    asked = _IMPORTS.match((frame.text or "").strip())
    gone = _gone_module(asked[1]) if asked else None
    return gone if gone and installed_version(case, gone[1].distribution) else None


def _gone_argument(case: Case, exception: ExceptionInfo) -> tuple[str, PackageChange] | None:
    """Return which argument a line of the bundle's hands over in vain, and since when."""
    found = _ARGUMENT.search(exception.message[:1000])
    own = [frame.text or "" for frame in exception.traceback if case.is_own(frame.file)]
    if found is None or not own:
        return None
    for calls, change in gone_arguments(found[1]):
        version = installed_version(case, change.distribution)
        if (call := calls.search(own[-1])) and version and _is_without(version, change):
            return f"{call[1]}({found[1]}=...)", change
    return None


def _says_so(exception: ExceptionInfo) -> tuple[str, PackageChange] | None:
    """The change that a library itself names: what it had, and until when."""
    found = _SAYS_SO.search(exception.message[:1000])
    kinds = ("AttributeError", "ImportError", "NotImplementedError")
    if exception.type not in kinds or found is None:
        return None
    package = raising_package(exception)
    # "geopandas.dataset has been deprecated and was removed in GeoPandas 1.0".
    dotted = _DOTTED.search(exception.message[: found.start()])
    what = dotted[0] if found[1] in _NO_NAMES and dotted else found[1]
    if package is None or what in _NO_NAMES:
        return None
    return what, PackageChange(distribution_named(package), found[2])


def _is_without(version: str, change: PackageChange) -> bool:
    try:
        return Version(version) >= Version(change.version)
    except InvalidVersion:
        return False


def _user(case: Case, exception: ExceptionInfo, distribution: str) -> Frame | None:
    """The innermost frame that is not the package's own: there it is used."""
    frames = [
        frame
        for frame in exception.traceback
        if case.is_own(frame.file) or not _is_of(package_of(frame.file), distribution)
    ]
    return frames[-1] if frames else None


def _is_of(package: str | None, distribution: str) -> bool:
    return package is not None and same_distribution(distribution_named(package), distribution)


def _renamed(case: Case, frame: Frame | None, what: str, change: PackageChange) -> list[Hint]:
    """The line of the bundle's own code, with what stands in for what is gone."""
    if change.instead is None:
        return []
    title = f"use {change.instead} in place of {what}"
    if change.instead == "-":
        title = f"leave it out: {what}"
        call = rf"\w+\.{re.escape(what.rpartition('.')[2])}\([^()]*\)"
        if frame is not None and re.fullmatch(call, (frame.text or "").strip()):
            return [Hint(title=title, edit=case.line_edit(frame, "pass"))]
    line = (frame.text or "").strip() if frame else ""
    edit = None
    if frame is not None and len(line) <= 160:
        after = _instead(line, what, change)
        edit = after and Edit(file=case.short_path(frame.file), before=line, after=after)
    return [Hint(title, edit=edit or None)]


def _instead(line: str, what: str, change: PackageChange) -> str | None:
    """The line with what stands in for what is gone, where that is put in by rule."""
    instead = change.instead or ""
    module, _, name = what.removesuffix("()").rpartition(".")
    after = line
    if what in ("pandas.DataFrame.append", "pandas.DataFrame._append"):
        return _concatenated(line)
    if what == "fillna(method=...)":
        written = r"\.fillna\(method=(['\"])(?:(b)(?:ack)?fill|ffill|pad)\1(?:, (inplace=True))?\)"
        after = re.sub(written, lambda at: f".{at[2] or 'f'}fill({at[3] or ''})", line)
    elif call := re.fullmatch(r"\w+\((\w+)=\.\.\.\)", what):
        if instead == "-":
            after = re.sub(rf",\s*{call[1]}\s*=(?!=)\s*[\w.'\"]+(?=\s*[,)])", "", line)
            return None if after == line else after
        after = re.sub(rf"\b{call[1]}\s*=(?!=)\s*True\b", lambda _: instead, line)
        if not re.fullmatch(r"\w+=[^.]+", instead):
            after = re.sub(rf"\b{call[1]}(?=\s*=(?!=))", instead, line)
            after = after if instead.isidentifier() else line
    elif not (instead.isidentifier() or _DOTTED.fullmatch(instead)):
        return None
    elif what in GONE_MODULES:
        after = re.sub(rf"^(from|import) {re.escape(what)}\b", rf"\1 {instead}", line)
        after = after if line.startswith("from ") or " as " in line else line
    elif _METHOD.match(what):
        if instead.isidentifier():
            after = re.sub(rf"(?<=\.){name}\b", instead, line)
    elif re.match(r"from\s", line):
        return replaced_name(line, what, instead if "." in instead else f"{module}.{instead}")
    else:
        if "." in instead and not instead.startswith(f"{module}."):
            return None  # Its module is another one, which the file may not import.
        new = instead.removeprefix(f"{module}.")
        after = re.sub(rf"\b(\w+)\.{name}\b", new if is_builtin(change) else rf"\1.{new}", line)
        if after == line:  # of a star import
            after = re.sub(rf"(?<![\w.]){name}(?=\()", new, line)
    return None if after == line else after


def _concatenated(line: str) -> str | None:
    """``df = df.append({...})``, as pandas has it since 2.

    Only of a row that is written there: a Series by a name would become a column.
    """
    row = re.fullmatch(r"([\w.]+) = \1\._?append\((\{.*\}), ignore_index=True\)", line)
    if row is None:
        return None
    return f"{row[1]} = pd.concat([{row[1]}, pd.DataFrame([{row[2]}])], ignore_index=True)"


def bound_hints(case: Case, change: PackageChange, title: str) -> list[Hint]:
    """The requirement for a release before the change, where the bundle declares what it needs."""
    if change.distribution == "pymc":
        return []  # PyMC 3 has another name on the index, and PyMC 2 is another library.
    also = _numpy_1(case, change)
    title += ", and the numpy<2 that it needs" if also else ""
    hints = [require(case, change.distribution, f"<{change.version}", title, *also)]
    python = case.python
    if change.distribution == "numpy" and python and not is_older(python.version, "3.13"):
        hints.append(
            requires_python_hint(
                case, "<3.13", f"which has wheels for Python {_NUMPY_1_UNTIL} and older: keep to it"
            )
        )
    return hints


def _has_wheels(change: PackageChange) -> bool:
    since = _WITH_WHEELS.get(change.distribution)
    return since is not None and Version(change.version) >= Version(since)


def _numpy_1(case: Case, change: PackageChange) -> tuple[str, ...]:
    """Ask for NumPy 1 as well, where the releases that are asked for know no other."""
    first, numpy = _FOR_NUMPY_2.get(change.distribution), installed_version(case, "numpy")
    if first is None or not numpy or Version(numpy) < Version("2"):
        return ()
    return () if Version(change.version) > Version(first) else ("numpy<2",)
