"""Recognises why a compiled module cannot be loaded: libraries, symbols, NumPy's ABI, tags."""

import re
import shlex
from pathlib import PurePosixPath

from msgspec import UNSET
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from runner.diagnosis.case import Case, Finding
from runner.diagnosis.compiled_sources import build_command
from runner.diagnosis.imports.dependencies import from_source, installed_version, is_pinned, upgrade
from runner.diagnosis.imports.import_errors import missing_module, missing_name
from runner.diagnosis.knowledge.debian_packages import debian_package, is_cuda
from runner.diagnosis.knowledge.distribution_names import distribution_named
from runner.diagnosis.remedies import requires_python_hint
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import ExceptionInfo, Hint, by_hand
from runner.diagnosis.report.text import one_line, printable

# Lengths are bounded, so that no search in a long message is quadratic.
_VERSION = re.compile(r"version [`']([A-Z]{1,20}_[0-9.]{1,20})' not found")
_SYMBOL = re.compile(r"undefined symbol: ([\w@.]{1,300})")
_ELSEWHERE = (
    "invalid ELF header",
    "wrong ELF class",
    "cannot open shared object file: Exec format",
)
_NUMPY_2 = (
    "A module that was compiled using NumPy 1.x cannot be run in",
    "_ARRAY_API not found",
    "numpy.core.multiarray failed to import",
    # The size of NumPy 1's, and of NumPy 2's.
    "numpy.dtype size changed, may indicate binary incompatibility. Expected 96 from C header, got"
    " 88",
)
_NUMPY_ABI = (
    "numpy.dtype size changed",
    "numpy.ufunc size changed",
    "numpy.ndarray size changed",
    "numpy._core.multiarray failed to import",
    "module compiled against ABI version",
    "module compiled against API version",
)


def binary_failure(case: Case, exception: ExceptionInfo) -> Finding | None:
    """Return what an exception says of a compiled module, where it is a cause that is known."""
    message = exception.message
    if exception.type in ("ImportError", "OSError"):
        if found := _VERSION.search(message):
            return _too_old_system(case, exception, found[1])
        if any(words in message for words in _ELSEWHERE) or _is_refused(exception):
            return _built_elsewhere(case, exception)
        if ": cannot open shared object file" in message and not message.startswith("."):
            return _missing_library(case, exception)
        if found := _SYMBOL.search(message):
            return _undefined_symbol(case, exception, found[1])
    if any(words in message for words in (*_NUMPY_2, *_NUMPY_ABI)):
        return _numpy_abi(case, exception)
    return _other_python(case, exception)


def says_numpy_1(text: str) -> bool:
    """Tell whether NumPy 2 says in a text that a compiled module needs NumPy 1."""
    return any(words in text for words in _NUMPY_2)


def _is_refused(exception: ExceptionInfo) -> bool:
    """Tell whether it is the module's own file that "cannot be opened": Python has just found it.

    So glibc says that a library is for another processor, having looked no further.
    """
    path = str(exception.attributes.get("path") or "")
    return bool(path) and exception.message.startswith(f"{path}: cannot open shared object file")


def _missing_library(case: Case, exception: ExceptionInfo) -> Finding:
    path = _before(exception.message, ": cannot open shared object file")
    library = one_line(printable(PurePosixPath(path).name), 80)
    package = debian_package(library)
    needed = _needed_by(exception)
    for_whom = f", which {needed} needs" if needed else ""
    hints = []
    if library.endswith(".dll"):
        explanation = "It is a library of Windows, and this is another system."
        hints.append(Hint(f"build it for this system, as a .so, and load that: {library}"))
    elif not needed and (build := build_command(case)) is not None:
        explanation = "The bundle has sources that are to be compiled, and says how."
        hints.append(Hint("compile the bundle's own sources, if it is made of them", build))
    elif is_cuda(library):
        explanation = (
            f"{library} is part of NVIDIA's CUDA, which this machine does not have, or not in this"
            " version."
        )
        hints.append(
            Hint("run on a machine with a GPU's driver and CUDA, or use a CPU-only release")
        )
        if needed:
            hints.append(_upgrade(case, needed))
    elif package:
        explanation = f"On Debian and Ubuntu the package {package} brings it."
        hints.append(
            by_hand(
                f"install {package} on the worker (or in its image)",
                f"apt-get install --no-install-recommends {package}",
            )
        )
    else:
        explanation = "It is a library of the system, not of Python, so no index brings it by name."
        hints.append(
            by_hand(
                "find the Debian package that has it, and install that on the worker",
                f"apt-file search {library}" if re.fullmatch(r"[\w.+-]{1,80}", library) else None,
            )
        )
    if elsewhere := _lies_elsewhere(case, library):
        said, hint = elsewhere
        explanation, hints = said, [hint, *hints]
    if needed == "cv2":
        hints.append(_headless(case))
    return case.found(
        Code.IMPORT_FAILED,
        f"the shared library {library} is missing{for_whom}",
        explanation,
        *hints,
    )


def _lies_elsewhere(case: Case, library: str) -> tuple[str, Hint] | None:
    """Where the worker has a library that the child's loader has not found, or another version."""
    if not case.libraries:
        return None
    # One whose name has a version: what has none is a link to it, for compilers.
    versioned = (path for path in case.libraries if ".so." in path)
    there = PurePosixPath(next(versioned, case.libraries[0]))
    for path in map(PurePosixPath, case.libraries):
        if path.name == library:
            argument = shlex.quote(f"LD_LIBRARY_PATH={path.parent}")
            hint = Hint(
                f"see that {path} can be read, and have the loader look there",
                command=case.exec_command(f"--env {argument}"),
            )
            return f"It lies in {path.parent}, where the child's loader has not found it.", hint
    hint = Hint(
        f"load the module (or install the package) that has {library}, or build what needs"
        f" it anew, for {there.name}"
    )
    return f"What the worker's library paths have is another version: {there}.", hint


def _headless(case: Case) -> Hint:
    title = "or use opencv-python-headless, which needs no display"
    names = ("opencv-python-headless", "opencv-contrib-python-headless")
    for text in case.bundle_dependencies:
        for name in names:
            plain = name.removesuffix("-headless")
            if re.match(rf"{plain}(?![\w.-])", text):
                after = name + text.removeprefix(plain)
                return Hint(title, edit=case.replaced_requirement(text, after))
    return case.declare_hint(title, names[0])


def _too_old_system(case: Case, exception: ExceptionInfo, version: str) -> Finding:
    kind, _, number = version.partition("_")
    library = {"GLIBC": "glibc", "GLIBCXX": "libstdc++", "CXXABI": "libstdc++"}.get(kind, kind)
    needed = _package_in(exception.message) or _needed_by(exception) or "a compiled module"
    hints = [Hint("run on a newer Linux release (a newer image)")]
    if needed != "a compiled module":
        hints.append(from_source(case, [distribution_named(needed)]))
    return case.found(
        Code.IMPORT_FAILED,
        f"{needed} was built for a newer Linux: it needs {version}, and this {library} has not"
        " got it",
        f"It was compiled against {library} with {kind} {number} or later; what this system has is"
        " older.",
        *hints,
    )


def _built_elsewhere(case: Case, exception: ExceptionInfo) -> Finding:
    package = _package_in(exception.message)
    needed = package or _needed_by(exception) or "a compiled module"
    path, file = str(exception.attributes.get("path") or ""), _file(exception)
    return case.found(
        Code.IMPORT_FAILED,
        f"{needed} was built for another kind of machine or operating system",
        f"The loader says: {one_line(printable(exception.message), 160)}",
        from_source(case, [distribution_named(package)])
        if package
        else Hint(
            f"build {file} on this machine, or take it from a package that has it for"
            " this one: a compiled file runs on one kind of machine only, which this shows",
            command=f"file {shlex.quote(path)}" if path else None,
            by="person" if path else UNSET,
        ),
    )


def _file(exception: ExceptionInfo) -> str:
    """The compiled file, by its name."""
    path = PurePosixPath(str(exception.attributes.get("path") or ""))
    return printable(path.name) or "it"


def _undefined_symbol(case: Case, exception: ExceptionInfo, symbol: str) -> Finding:
    package = _package_in(exception.message) or _needed_by(exception)
    shown = one_line(printable(symbol), 60)
    if symbol.startswith(("Py", "_Py")):
        why = "The symbol is Python's own: the file was compiled for another Python."
    elif "c10" in symbol or "torch" in symbol:
        why = "The symbol is PyTorch's: the file was compiled against another release of it."
    else:
        why = "The file was compiled against another release of a library than the one loaded."
    hint = (
        _upgrade(case, package)
        if package
        else by_hand(
            f"build {_file(exception)} anew, with what is installed here; see what it is"
            " linked with",
            f"ldd {shlex.quote(str(exception.attributes.get('path') or 'FILE'))}",
        )
    )
    what = package or "a compiled module"
    return case.found(
        Code.IMPORT_FAILED,
        f"{what} does not fit what it is linked with: no symbol {shown}",
        why,
        hint,
    )


def _numpy_abi(case: Case, exception: ExceptionInfo) -> Finding:
    package = _needed_by(exception, but="numpy")
    what = package or "a compiled module"
    version = installed_version(case, "numpy")
    two = says_numpy_1(exception.message)
    if version is not None and version.startswith("1."):
        # Whatever is older than what a module was compiled for says the same as NumPy 2.
        built_for = "a newer NumPy"
        hints = [upgrade(case, "numpy", "take a newer NumPy")]
    else:
        built_for = "NumPy 1" if two else "another NumPy"
        hints = [case.declare_hint("keep to NumPy 1: numpy<2", "numpy<2")]
        if package:
            # Only a lock has an older release than the bundle's requirements lead to.
            held_back = case.environment and case.environment.requirements_from == "uv.lock"
            first = 0 if held_back and not is_pinned(case, package) else 1
            hints.insert(first, _upgrade(case, package))
    installed = f"NumPy {version}" if version else "the NumPy that is installed"
    return case.found(
        Code.IMPORT_FAILED,
        f"{what} was compiled for {built_for} and cannot use {installed}",
        "Compiled modules depend on NumPy's binary interface (ABI), which NumPy 2 changed."
        f" NumPy says: {one_line(printable(exception.message), 160)}",
        *hints,
    )


def _other_python(case: Case, exception: ExceptionInfo) -> Finding | None:
    """A compiled module that is there, and tagged for another Python (PEP 3149)."""
    pair = missing_name(exception) if exception.type == "ImportError" else None
    name = ".".join(pair) if pair else missing_module(exception)
    python = case.python
    if not name or python is None:
        return None
    stem = "/" + name.replace(".", "/") + "."
    compiled = [
        file
        for file in (*case.bundle_files, *case.installed)
        if stem in f"/{file}" and file.endswith((".so", ".pyd"))
    ]
    tags = [PurePosixPath(file).name.split(".")[1:-1] for file in compiled]
    ours = [[python.soabi], ["abi3"], []]
    if not compiled or any(tag in ours for tag in tags):
        return None
    package, file = name.partition(".")[0], compiled[0]
    tag = tags[0][0] if tags[0] else ""
    theirs, own = _parts_of_tag(tag), _parts_of_tag(python.soabi or "")
    same_machine = not (theirs[1] and own[1]) or theirs[1] == own[1]
    another = "Python" if same_machine else "kind of machine"
    release = f"release of {distribution_named(package)}"
    bundled = file in case.bundle_files
    hints = [
        Hint(f"build {PurePosixPath(file).name} for {python.soabi}, or make it a dependency")
        if bundled
        else Hint(f"take a {release} that is made for {python.soabi}")
    ]
    minor = re.fullmatch(r"(?:cpython-|cp|pypy)(\d)(\d+).*", tag)
    if bundled and minor and same_machine:
        hints[:0] = _on_its_python(case, f"{minor[1]}.{minor[2]}")
    return case.found(
        Code.IMPORT_FAILED,
        f"{name} was compiled for another {another}: {one_line(file, 120)}",
        f"{python.implementation} {python.version} here loads only files tagged {python.soabi}.",
        *hints,
    )


def _parts_of_tag(tag: str) -> tuple[str, str]:
    """The Python of a tag and the machine: ``cpython-311-aarch64-linux-gnu``, ``cp311-win_amd64``.

    A Mac's tag names no machine: ``cpython-311-darwin``.
    """
    found = re.fullmatch(r"((?:cpython-|cp|pypy|graalpy)\d\w*)(?:-pp\d+)?-?(.*)", tag)
    return (found[1], found[2]) if found else (tag, "")


def _on_its_python(case: Case, minor: str) -> list[Hint]:
    """Run on the Python that a module was compiled for, where the bundle accepts that."""
    declared = case.bundle.requires_python if case.bundle else None
    try:
        if declared and not SpecifierSet(declared).contains(f"{minor}.99"):
            return []
    except InvalidSpecifier:
        return []
    title = f"run it on Python {minor}, for which it was compiled"
    return [requires_python_hint(case, f"=={minor}.*", title)]


def _upgrade(case: Case, package: str) -> Hint:
    title = f"upgrade {package} to a release that fits"
    return upgrade(case, distribution_named(package), title)


def _before(message: str, words: str) -> str:
    """The word before some others."""
    before = message.partition(words)[0].split()
    return before[-1] if before else ""


def _needed_by(exception: ExceptionInfo, but: str = "") -> str | None:
    """The installed package in whose code the exception came up, innermost first."""
    files = [frame.file for frame in reversed(exception.traceback)]
    packages = (_package_in(file) for file in files)
    return next((package for package in packages if package and package != but), None)


def _package_in(text: str) -> str | None:
    """The package of the first path into site-packages in a text."""
    found = re.search(r"site-packages/([\w-]{1,100})", text)
    return found[1].removesuffix("_libs") if found else None
