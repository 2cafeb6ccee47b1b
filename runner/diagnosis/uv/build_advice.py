"""Advice on the causes that many builds share."""

import re
import shlex

import msgspec

from runner.diagnosis.case import Case
from runner.diagnosis.imports.bundle_modules import importable_file
from runner.diagnosis.knowledge.conda_only import more_than_a_package
from runner.diagnosis.knowledge.debian_packages import chosen_by, development_package, tool_package
from runner.diagnosis.knowledge.distribution_names import distribution_named, distribution_of
from runner.diagnosis.knowledge.newer_syntax import is_older
from runner.diagnosis.knowledge.package_changes import GONE_MODULES
from runner.diagnosis.knowledge.stdlib_changes import (
    REMOVED_MODULES,
    REMOVED_NAMES,
    Change,
    known_part,
)
from runner.diagnosis.pyproject_edits import PyprojectText
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.diagnosis.report.text import printable
from runner.diagnosis.uv.error import FailedUv
from runner.diagnosis.uv.hints import uv_setting
from runner.diagnosis.uv.not_shipped import say_what_to_ship
from runner.diagnosis.uv.project_settings import as_lists
from runner.diagnosis.uv.python import minors_of, python_hints
from runner.diagnosis.uv.requirement_edits import another_version, requirement_for
from runner.version import minor_version

_TOOL_MISSING = re.compile(
    r"No such file or directory: '(?:[^']*/)?([\w.+-]+)'$"
    r"|command '(?:[^']*/)?([\w.+-]+)' failed: No such file"
    r"|Unknown compiler\(s\): \[\['?([\w.+-]+)"
    r"|\b(CMake|ninja|cargo|rustc?|swig)\b (?:is )?(?:not found|must be installed)"
    r"|can't find (Rust) compiler",
    re.MULTILINE | re.IGNORECASE,
)
# A file, and no program, by its name.
_DATA_MISSING = re.compile(
    r"No such file or directory: '([^']*(?:\.(?:cfg|in|json|md|py|pyx|rst|toml|txt|ya?ml)"
    r"|\b(?:LICEN[SC]E|README|VERSION)))'"
)
# What is only shown, so that any text will do.
_SAYS_NOTHING = re.compile(r"(?:README|CHANGE\w*|HISTORY|LICEN[SC]E|AUTHORS)(?:\.(?:md|rst|txt))?")
_COMPILER_MISSING = re.compile(
    r"Could not find the compiler specified in the environment variable (\w+)"
    r"|No CMAKE_(\w+)_COMPILER could be found|CMAKE_(\w+)_COMPILER not set"
    r"|has (Fortran) sources but no Fortran compiler found"
)
_COMPILERS = {"C": "gcc", "CC": "gcc", "CXX": "g++", "FC": "gfortran", "Fortran": "gfortran"}
_HEADER_MISSING = re.compile(
    r"fatal error: '?([\w./+-]+\.h\w*|Eigen/\w+)'?(?: file not found|: No such file)"
)
_LIBRARY_MISSING = re.compile(
    r"cannot find -l([\w.+-]+)"
    r"|Package '?([\w.+-]+?)'?(?:, required by '[^']*',)? (?:was )?not found"
    r'|Dependency "([\w.+-]+)" not found'
    r'|package configuration file provided by "([\w.+-]+)"'
    r"|Could NOT find ([\w.+-]+)"
)
_BY_SETUPTOOLS = "Call to `setuptools.build_meta"
_MODULE_MISSING = re.compile(r"No module named '([\w.]+)")
_NAME_MISSING = re.compile(
    r"module '([\w.]+)' has no attribute '(\w+)'|cannot import name '()(\w+)' from '([\w.]+)'"
)
# A tool by whose name its backend is called by mistake.
_MEANT_BACKENDS = {
    "hatch": "hatchling.build",
    "hatch.build": "hatchling.build",
    "poetry": "poetry.core.masonry.api",
    "poetry.masonry.api": "poetry.core.masonry.api",
    "flit": "flit_core.buildapi",
    "uv": "uv_build",
    "pdm": "pdm.backend",
}
_BACKENDS = (
    "setuptools.build_meta", "hatchling.build", "flit_core.buildapi", "poetry.core.masonry.api",
    "pdm.backend", "mesonpy", "maturin", "scikit_build_core.build", "uv_build",
)  # fmt: skip
_UNSET = re.compile(
    r"\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b[^\n]{0,40}\b(?:not set|not defined|unset|must be set)\b"
    r"|\bKeyError: '([A-Z][A-Z0-9]*_[A-Z0-9_]+)'"
)
_PYTHON_2 = re.compile(r"Missing parentheses in call to 'print'|use_2to3 is invalid")
_FILE_MISSING = re.compile(
    r"Readme file does not exist: (\S+)|Description file (\S+) does not exist"
    r"|License file does not exist: (\S+)|failed to open file `([^`]+)`"
)


def advice(uv: FailedUv, name: str, own: bool, words: str, said: str) -> list[Hint]:
    """Return what cures a build, best first; empty where its cause is not one that many share.

    :param name: what was built.
    :param own: whether that is the bundle itself.
    :param words: what the build said of its failure.
    :param said: what uv did.
    """
    if "Failed to extract archive" in said:
        return [
            by_hand("its archive is damaged: fetch it anew", f"uv cache clean {shlex.quote(name)}")
        ]
    more = None if own else more_than_a_package(name)
    if more is not None:
        return [Hint(more.advice(name)), *_system(uv, own, words)]
    return (
        _system(uv, own, words)
        or _cython_3(uv.case, words)
        or _variable(words)
        or _removed_from_python(uv, name, own, words)
        or _module_missing(uv, name, own, words, said)
        or (_of_the_bundle(uv, words) if own else [])
    )


def _system(uv: FailedUv, own: bool, words: str) -> list[Hint]:
    """A tool, a header or a library of the machine."""
    this = minor_version(uv.failure.python_version)
    if "pg_config executable not found" in words:
        install = _on_debian("install PostgreSQL's development files", "libpq-dev")
        written = requirement_for(uv.failure, "psycopg2")
        if written is None:
            return [install, Hint("or ask for psycopg2-binary, which is not built from source")]
        binary = written.replace("psycopg2", "psycopg2-binary", 1)
        edit = uv.case.replaced_requirement(written, binary)
        return [Hint("ask for psycopg2-binary in place of psycopg2", edit=edit), install]
    if header := _HEADER_MISSING.search(words):
        wanted = header.group(1)
        if wanted == "Python.h":
            return [_on_debian(f"install the C headers of Python {this}", f"python{this}-dev")]
        if wanted.startswith("numpy/"):
            return [
                Hint(
                    "tell the compiler where NumPy's headers are: in setup.py,"
                    " include_dirs=[numpy.get_include()]"
                    if own
                    else "its setup.py does not say where NumPy's headers are: build it with"
                    " CFLAGS=-I and what numpy.get_include() gives"
                )
            ]
        return [_development_files(f"the library of {wanted}", wanted)]
    if own and (file := _DATA_MISSING.search(words)):
        name = file[1].removeprefix(f"{uv.failure.bundle_path}/")
        empty = Edit(file=name, after=name) if _SAYS_NOTHING.fullmatch(name) else None
        return [Hint(f"add {name} to the bundle: its build reads it", edit=empty)]
    if tool := _TOOL_MISSING.search(words):
        return [_tool(next(filter(None, tool.groups())))]
    if compiler := _COMPILER_MISSING.search(words):
        return [_tool(_COMPILERS.get(next(filter(None, compiler.groups())), "a compiler"))]
    if library := _LIBRARY_MISSING.search(words):
        wanted = next(filter(None, library.groups()))
        written = f"lib{wanted}" if library.group(1) else wanted
        return [_development_files(written, wanted)]
    return []


def _development_files(what: str, name: str) -> Hint:
    return _on_debian(f"install the development files of {what}", development_package(name))


def _on_debian(title: str, package: str | None) -> Hint:
    """:param package: that of Debian's, where it is known."""
    if package is None:
        return Hint(title)
    command = f"apt-get install {package}"
    return by_hand(f"{title} ({package} on Debian)", command)


def _tool(tool: str) -> Hint:
    if tool.lower().startswith("rust"):
        return Hint("install Rust, which the build runs (rustc and cargo on Debian)")
    package, variable = tool_package(tool), chosen_by(tool)
    choose = f", or choose another by {variable}" if variable else ""
    hint = _on_debian(f"install {tool}, which the build runs", package)
    return msgspec.structs.replace(hint, title=f"{hint.title}{choose}")


def _cython_3(case: Case, words: str) -> list[Hint]:
    """The build takes the newest Cython, which has no names of Python 2 any more."""
    if not (found := re.search(r"undeclared name not builtin: (\w+)", words)):
        return []
    edit = uv_setting(case, "build-constraint-dependencies", ["cython<3"])
    return [Hint(f"build it with a Cython of before 3, which knows {found[1]}", edit=edit)]


def _variable(words: str) -> list[Hint]:
    if not (found := _UNSET.search(words)):
        return []
    name = found[1] or found[2]
    title = f"set {name}, which the build asks for, where the worker is started"
    return [by_hand(title, f"export {name}=...")]


def _after_python_2(uv: FailedUv, name: str) -> Hint:
    if requirement_for(uv.failure, name) == name:
        return Hint(f"ask for another package: the newest {name} is for Python 2")
    title = f"ask for a newer version of {name}: this one is for Python 2"
    return Hint(title, edit=another_version(uv, name, sign=">"))


def _removed_from_python(uv: FailedUv, name: str, own: bool, words: str) -> list[Hint]:
    """The build imports what this Python has no more."""
    if _PYTHON_2.search(words):
        port = Hint("port it: its build is written for Python 2")
        return [port if own else _after_python_2(uv, name)]
    if "No module named 'numpy.distutils" in words:
        what, change = "numpy.distutils", Change("3.12", "another build backend")
    elif (found := _removed(words)) is not None:
        what, change = found
    else:
        return []
    if is_older(uv.failure.python_version, change.version):
        return []
    minors = minors_of(f"<{change.version}")
    gone = f"{what} left Python in {change.version}"
    if own:
        instead = "setuptools" if what == "distutils" else change.instead or change.package
        if instead:
            port = Hint(f"use {instead} in its place: {gone}")
        else:
            port = Hint(f"let the build do without it: {gone}")
        return [port, *python_hints(uv, minors, first=False)]
    hints = python_hints(uv, minors)
    ask = "or ask" if hints else "ask"
    return [*hints, Hint(f"{ask} for a newer version of {name}: {gone}")]


def _removed(words: str) -> tuple[str, Change] | None:
    if module := _MODULE_MISSING.search(words):
        name = known_part(module.group(1))
        if name in REMOVED_MODULES:
            return name, REMOVED_MODULES[name]
    if missing := _NAME_MISSING.search(words):
        of, name = missing.group(1) or missing.group(5), missing.group(2) or missing.group(4)
        if (of, name) in REMOVED_NAMES:
            return f"{of}.{name}", REMOVED_NAMES[of, name]
    return None


def _meant_backend(named: str) -> str | None:
    """The backend that is meant by a name that is nearly its own, or another part of it."""
    tops = (named.partition(".")[0], f"{named.partition('.')[0]}_core")
    others = [one for one in _BACKENDS if one.partition(".")[0] in tops]
    return _MEANT_BACKENDS.get(named) or next((one for one in others if one != named), None)


def _module_missing(uv: FailedUv, name: str, own: bool, words: str, said: str) -> list[Hint]:
    module = _MODULE_MISSING.search(words)
    pyproject = uv.case.pyproject_text()
    named = pyproject.value("build-system", "build-backend")
    meant = _meant_backend(named) if own and isinstance(named, str) else None
    spelt = all(part.isidentifier() for part in re.split(r"[.:]", str(named)))
    none_builds = f"module '{named}' has no attribute 'build_" in words or not spelt
    if meant and (module or none_builds):
        # Its module is not there, or is none that builds, or has a name that no module can have.
        asked = module[1] if module else str(named)
        if asked.partition(".")[0] == str(named).partition(".")[0]:
            return [
                Hint(
                    f"name the backend that is meant: {named} is not one",
                    edit=pyproject.setting("build-system", "build-backend", meant),
                )
            ]
    if module is None:
        return []
    missing = module.group(1)
    top = missing.partition(".")[0]
    lost = GONE_MODULES.get(missing) or GONE_MODULES.get(top)
    if lost is not None and lost.distribution == "setuptools":
        if not own and top == "distutils" and uv.case.wheel is not None:
            return []  # What is so old needs more than that.
        older = f"setuptools<{lost.version}"
        edit = (
            pyproject.with_item("build-system", "requires", older)
            if own
            else uv_setting(uv.case, name, [older], "extra-build-dependencies")
        )
        return [Hint(f"build with a setuptools that still has {missing}", edit=edit)]
    if own and (file := importable_file(uv.case, top)) is not None:
        return [
            Hint(
                f"let the build see {file}: it does not look for modules in the bundle's folder",
                edit=_let_build_see(pyproject, file, top),
            )
        ]
    needed = _distribution(missing, said)
    if own:
        edit = pyproject.with_item("build-system", "requires", needed)
        if pyproject.value("build-system", "requires") is None and _BY_SETUPTOOLS in said:
            # It builds where the key is not there; with it, nothing else is.
            edit = pyproject.setting("build-system", "requires", ["setuptools", needed])
        return [
            Hint(
                f"name {needed}, which brings {missing}, among what the build needs"
                if needed != missing
                else f"name what provides {missing} among what the build needs",
                edit=edit,
            )
        ]
    return [
        Hint(
            f"{name} does not say that its build needs {needed}: say it in its place",
            edit=uv_setting(uv.case, name, [needed], "extra-build-dependencies"),
        )
    ]


def _let_build_see(pyproject: PyprojectText, file: str, top: str) -> Edit | None:
    """The edit by which a build finds a module of the bundle."""
    backend = pyproject.value("build-system", "build-backend")
    if backend in (None, "setuptools.build_meta"):
        legacy = "setuptools.build_meta:__legacy__"
        edit = pyproject.setting("build-system", "build-backend", legacy)
        if pyproject.value("build-system", "requires") is not None:
            return edit
        table = f'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "{legacy}"'
        return pyproject.added(table)
    folder = file.partition(f"{top}/__init__.py")[0] if "/" in file else ""
    return pyproject.with_item("build-system", "backend-path", folder.rstrip("/") or ".")


def _distribution(module: str, said: str) -> str:
    """Python names the top of what is missing only; uv names the build backend in full."""
    backend = re.search(rf"Call to `({re.escape(module)}\.[\w.]+?)[.:]\w+` failed", said)
    full = distribution_of(backend.group(1)) if backend else None
    return full or distribution_named(module)


def _no_version(case: Case, module: str, name: str) -> list[Hint]:
    """Define what setuptools is to read the version from, where its module has no such name."""
    attr = case.pyproject_text().value("tool.setuptools.dynamic.version", "attr")
    file = importable_file(case, module) if attr == f"{module}.{name}" else None
    edit = Edit(file=file, after=f'{name} = "0.1.0"') if file else None
    return [Hint(f"say the version there: {name} = ...", edit=edit)] if edit else []


def _of_the_bundle(uv: FailedUv, words: str) -> list[Hint]:
    """Return what its author has to say in pyproject.toml, or to add to the bundle."""
    if "unable to detect version" in words:
        table = "tool.hatch.version" if "version from source" in words else "tool.setuptools_scm"
        key = "fallback-version" if table == "tool.hatch.version" else "fallback_version"
        return [
            Hint(
                "give a version for where there is no git history: a bundle is built from"
                " its files, and .git is not one of them",
                edit=uv.case.pyproject_text().setting(table, key, "0.1.0"),
            )
        ]
    if "License classifiers have been superseded" in words and (
        superseded := re.search(r"^\s*(License :: .+)$", words, re.MULTILINE)
    ):
        there = uv.case.pyproject_text()
        edit = there.without("project", "classifiers", superseded[1].strip())
        return [Hint("take that classifier out: license says it already", edit=edit)]
    if missing := _FILE_MISSING.search(words):
        file = next(filter(None, missing.groups())).removeprefix(f"{uv.failure.bundle_path}/")
        line = re.search(rf'^[\w-]+ = "{re.escape(file)}"$', uv.case.pyproject, re.MULTILINE)
        edit = Edit(file="pyproject.toml", before=line[0], after=f"# {line[0]}") if line else None
        title = f"take it out of pyproject.toml, or add {file} to the bundle"
        return [Hint(title, edit=edit)]
    named = uv.case.pyproject_text().value("project", "license")
    if "`project.license` must be valid exactly by one definition" in words and named:
        edit = uv.case.pyproject_text().setting("project", "license", {"text": named})
        return [Hint("give the licence as a text, which need not be of SPDX", edit=edit)]
    if field := re.search(r"unless field `([\w.-]+)\.([\w-]+)` is set to `true`", words):
        edit = uv.case.pyproject_text().setting(field[1], field[2], True)
        return [Hint(f"say {field[2]} = true in [{field[1]}]", edit=edit)]
    if lists := as_lists(uv.case.pyproject_text(), words):
        return lists
    if script := re.search(r"invalid console script: '([^']+)'", words):
        there, written = uv.case.pyproject_text(), script.group(1)
        module, _, function = written.rpartition(".")
        meant = f"{module}:{function}" if module else f"{written}:main"
        scripts = there.value("project", "scripts")
        named = (
            [key for key, one in scripts.items() if one == written]
            if isinstance(scripts, dict)
            else []
        )
        edit = there.setting("project.scripts", named[0], meant) if named else None
        return [Hint(f"name a function of a module in [project.scripts]: {meant}", edit=edit)]
    if re.search(r"expected version to start with a number|not part of a valid version", words):
        written = str(uv.case.pyproject_text().value("project", "version"))
        numbers = re.search(r"\d+(?:\.\d+)*", written)
        version = numbers[0] if numbers else "0.1.0"
        edit = uv.case.pyproject_text().setting("project", "version", version)
        return [Hint(f"give it a version of numbers (PEP 440), such as {version}", edit=edit)]
    if unset := _NAME_MISSING.search(words):
        return _no_version(uv.case, unset[1] or unset[5] or "", unset[2] or unset[4])
    at = re.match(r"(\S{1,200}?):(\d+):\d+: ", words)
    if at is not None and at[1] in uv.case.bundle_files:
        return [Hint(f"correct {printable(at[1])}:{at[2]}")]
    return say_what_to_ship(uv.case, words)
