"""Reads a bundle's files, and says what is wrong with them in their own lines."""

import contextlib
import difflib
import re
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from runner.bundle.content import bundle_digest, content_files
from runner.bundle.defaults import read_defaults
from runner.bundle.failures import invalid, merge_conflict, not_found, unreadable
from runner.bundle.files import has_file, leads_outside, read_text
from runner.bundle.model import Bundle, RequirementsFrom
from runner.bundle.requirements import (
    REQUIREMENTS,
    check_requirement,
    optional_dependencies,
    requirement_lines,
)
from runner.bundle.specifiers import is_satisfiable, python_version_file
from runner.bundle.toml_lines import at_line, key_line, string_line, unclosed_line
from runner.bundle.wire_source import PYPROJECT, find_wire
from runner.diagnosis.report.model import Edit, Hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LOCK = "uv.lock"

_ARCHIVES = (".whl", ".zip", ".gz", ".bz2", ".xz", ".tgz", ".tar")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508


def read_bundle(path: Path) -> Bundle:
    """Read a bundle.

    :raises Failure: ``bundle-not-found``, ``bundle-invalid``, ``wire-not-declared`` or
        ``wire-ambiguous``.
    """
    folder = _folder(path)
    if has_file(folder, PYPROJECT):
        text = read_text(folder, PYPROJECT)
        document = _toml(text, PYPROJECT)
        if "project" in document:
            return _read_project(folder, text, document)
        if not has_file(folder, REQUIREMENTS):
            raise not_found(
                f"{folder / PYPROJECT} has no [project] table",
                Hint(
                    title="describe the project in it",
                    edit=Edit(
                        file=PYPROJECT,
                        after=f'[project]\nname = "{folder.name}"\nversion = "0.1.0"\n'
                        "dependencies = []",
                    ),
                ),
            )
    elif not has_file(folder, REQUIREMENTS):
        raise _no_bundle(folder)
    return _read_requirements(folder)


def _folder(path: Path) -> Path:
    folder = path.absolute()
    with contextlib.suppress(RuntimeError):  # no such user: a shell leaves the ~ as it is
        folder = path.expanduser().absolute()
    try:
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise not_found(f"there is no {path}", *_near(folder)) from error
    except OSError as error:
        raise not_found(
            f"{path} cannot be looked at: {error.strerror}",
            Hint(title="see what is in the way", command=f"ls -ld {shlex.quote(str(path))}"),
        ) from error
    if not is_folder:
        raise not_found(
            f"{path} is a file, not a bundle's folder",
            Hint(title="unpack it into a folder, and name that")
            if folder.suffix in _ARCHIVES
            else Hint(title="name its folder", command=_exec(path.parent)),
        )
    return folder.resolve()


def _exec(folder: Path) -> str:
    return f"modelops-runner exec {shlex.quote(str(folder))}"


def _near(folder: Path) -> list[Hint]:
    try:
        names = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()]
    except (OSError, ValueError):
        return []
    close = difflib.get_close_matches(folder.name, names, n=1)
    if close:
        return [Hint(title=f"did you mean {folder.parent / close[0]}?")]
    return [Hint(title="see what is there", command=f"ls {shlex.quote(str(folder.parent))}")]


def _no_bundle(folder: Path) -> Exception:
    try:
        below = [
            entry
            for entry in sorted(folder.iterdir())
            if (entry / PYPROJECT).is_file() or (entry / REQUIREMENTS).is_file()
        ]
    except OSError as error:
        return unreadable(str(folder), error)
    hint = (
        Hint(title="name the bundle in it", command=_exec(below[0]))
        if below
        else Hint(title=f"add a {REQUIREMENTS} (it may be empty) and a wire.py")
    )
    return not_found(f"{folder} is no bundle: it has neither {PYPROJECT} nor {REQUIREMENTS}", hint)


def _read_project(folder: Path, text: str, document: Mapping[str, Any]) -> Bundle:
    project = _table(document, "project", text)
    tool = _table(document, "tool", text)
    modelops = _table(tool, "tool.modelops", text)
    uv = _table(tool, "tool.uv", text)
    name = _project_name(project, text)
    _check_shapes(project, text)
    requires, requires_text, at = _requires_python(project, text)
    dependencies = _dependencies(project, text)
    _check_sources(folder, uv, text)
    source: RequirementsFrom = "pyproject.toml"
    if has_file(folder, LOCK):
        _toml(read_text(folder, LOCK), LOCK)
        source = "uv.lock"
    wire = find_wire(
        folder,
        project=project,
        tool=modelops,
        text=text,
        has_dependencies=dependencies is None or bool(dependencies),
    )
    version = project.get("version")
    files = content_files(folder)
    return Bundle(
        path=folder,
        name=name,
        version=version if isinstance(version, str) else None,
        digest=bundle_digest(folder, files),
        files=files,
        requires_python=requires,
        requires_python_text=requires_text,
        requires_python_at=at,
        requires_python_line=_line(text, "project", "requires-python"),
        requirements_from=source,
        dependencies=dependencies,
        optional_dependencies=optional_dependencies(document),
        installable=_is_installable(folder, document, uv),
        wire=wire.spec,
        wire_project=wire.project,
        defaults=read_defaults(modelops, text),
    )


def _read_requirements(folder: Path) -> Bundle:
    text = read_text(folder, REQUIREMENTS)
    requirements = requirement_lines(text)
    requires, requires_text, at = SpecifierSet(), None, None
    if has_file(folder, ".python-version"):
        try:
            asked = python_version_file(read_text(folder, ".python-version"))
        except ValueError as error:
            raise invalid(
                f"{error} is no Python version",
                "It takes a version such as 3.12, or a specifier such as >=3.11.",
                Hint(title="name a version", edit=Edit(file=".python-version", after="3.12")),
            ) from error
        if asked is not None:
            requires, number = asked
            requires_text, at = str(requires), f".python-version:{number}"
    wire = find_wire(folder, project={}, tool={}, text="", has_dependencies=bool(requirements))
    files = content_files(folder)
    return Bundle(
        path=folder,
        name=folder.name,
        version=None,
        digest=bundle_digest(folder, files),
        files=files,
        requires_python=requires,
        requires_python_text=requires_text,
        requires_python_at=at,
        requires_python_line=None,
        requirements_from="requirements.txt",
        dependencies=requirements,
        installable=False,
        wire=wire.spec,
        wire_project=None,
    )


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        message = str(error).partition(" (at ")[0]
        lines = text.rstrip().split("\n")
        number = int(place[1]) if place else len(lines)
        # At the document's end, tomllib misses what should have been closed long before; a bracket
        # left open is often what makes a later line wrong, too.
        opened = unclosed_line("\n".join(lines[: number - 1] if place else lines))
        hint = f"correct line {number} of {name}"
        if opened is not None and place:
            hint += f", or close what line {opened} opens"
        elif opened is not None:
            message += ": what begins here is never closed"
            hint = f"close what line {opened} of {name} opens"
            number = opened
        at = f"{name}:{number}:{place[2]}" if place else f"{name}:{number}"
        line = lines[number - 1] if number <= len(lines) else ""
        if line.startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise merge_conflict(name, number) from error
        raise invalid(
            f"{at} is not TOML: {message}", f"The line is: {line.strip()[:160]}", Hint(title=hint)
        ) from error
    except (ValueError, RecursionError) as error:
        raise invalid(
            f"{name} cannot be read as TOML: {error}",
            "A number has thousands of digits, or values are nested thousands deep.",
            Hint(title=f"see whether {name} is what it should be"),
        ) from error


def _at(text: str, table: str, key: str) -> str:
    """Where pyproject.toml gives a key."""
    return at_line(PYPROJECT, key_line(text, table, key))


def _table(parent: Mapping[str, Any], path: str, text: str) -> Mapping[str, Any]:
    """One of the tables ``project``, ``tool``, ``tool.modelops``; empty where it is not there."""
    above, _, key = path.rpartition(".")
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise invalid(
            f"{_at(text, above, key)}: [{path}] is no table",
            f"It is {value!r}.",
            Hint(title=f"begin the table with a line [{path}]"),
        )
    return value


def _project_name(project: Mapping[str, Any], text: str) -> str:
    name = project.get("name")
    if name is None:
        raise invalid(
            f"{_at(text, 'project', 'name')}: [project] has no name",
            "Every project has a name (PEP 621).",
            Hint(title="give it one", edit=Edit(file=PYPROJECT, after='name = "my-model"')),
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(
            f"{_at(text, 'project', 'name')}: {name!r} is no name for a project",
            "Names are letters, digits, '.', '-' and '_', with a letter or digit at both ends"
            " (PEP 508).",
            Hint(title="choose another name"),
        )
    return name


def _check_shapes(project: Mapping[str, Any], text: str) -> None:
    """See that what is looked into later is of the shape that PEP 621 gives it."""

    def wrong(key: str, wanted: str) -> Exception:
        return invalid(
            f"{_at(text, 'project', key)}: {key} is no {wanted}",
            "The tables and types of [project] are those of PEP 621.",
            Hint(title=f"make {key} a {wanted}"),
        )

    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list) or not all(isinstance(key, str) for key in dynamic):
        raise wrong("dynamic", "list of strings")
    if not isinstance(project.get("version", ""), str):
        raise wrong("version", "string")
    groups = project.get("entry-points", {})
    if not isinstance(groups, dict) or not all(isinstance(g, dict) for g in groups.values()):
        raise wrong("entry-points", "table of tables")
    if isinstance(groups.get("modelops", {}).get("wire"), dict):
        raise invalid(
            f"{_at(text, 'project.entry-points', 'modelops.wire')}: the entry points' group"
            " modelops.wire lacks its quotes",
            "Without them, TOML takes it for a table wire within a table modelops.",
            Hint(
                title="quote it",
                edit=Edit(file=PYPROJECT, after='[project.entry-points."modelops.wire"]'),
            ),
        )


def _requires_python(
    project: Mapping[str, Any], text: str
) -> tuple[SpecifierSet, str | None, str | None]:
    written = project.get("requires-python")
    if written is None:
        return SpecifierSet(), None, None
    at = _at(text, "project", "requires-python")
    before = _line(text, "project", "requires-python")
    hint = Hint(
        title="say which Pythons it is for, as in",
        edit=Edit(file=PYPROJECT, before=before, after='requires-python = ">=3.11"'),
    )
    try:
        if not isinstance(written, str):
            raise InvalidSpecifier
        specifier = SpecifierSet(written)
        satisfiable = is_satisfiable(specifier)
    except ValueError as error:
        raise invalid(
            f"{at}: {written!r} is no Python requirement",
            "requires-python takes version specifiers such as >=3.11 or >=3.10,<3.13 (PEP 440).",
            hint,
        ) from error
    if not satisfiable:
        raise invalid(
            f"{at}: no Python can satisfy {written!r}",
            "Its parts exclude each other.",
            hint,
        )
    return specifier, written, at


def _line(text: str, table: str, key: str) -> str | None:
    """The line that gives a key, as it stands there."""
    number = key_line(text, table, key)
    return None if number is None else text.split("\n")[number - 1].strip()


def _dependencies(project: Mapping[str, Any], text: str) -> tuple[str, ...] | None:
    if "dependencies" in project.get("dynamic", []):
        return None
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        raise invalid(
            f"{_at(text, 'project', 'dependencies')}: dependencies is no list of strings",
            "Each dependency is one string, as in PEP 508.",
            Hint(
                title="write them so",
                edit=Edit(file=PYPROJECT, after='dependencies = ["numpy>=1.26"]'),
            ),
        )
    for dependency in dependencies:
        number = string_line(text, "project", "dependencies", dependency)
        check_requirement(dependency, at_line(PYPROJECT, number))
    return tuple(dependencies)


def _check_sources(folder: Path, uv: Mapping[str, Any], text: str) -> None:
    """A path that leads out of the bundle is there on one machine only."""
    sources = uv.get("sources", {})
    for name, source in sources.items() if isinstance(sources, dict) else ():
        for one in source if isinstance(source, list) else [source]:
            path = one.get("path") if isinstance(one, dict) else None
            if not isinstance(path, str):
                continue
            if leads_outside(folder, path):
                at = _at(text, "tool.uv.sources", name)
                raise invalid(
                    f"{at}: {name} comes from {path}, outside of the bundle",
                    "A bundle is sent to workers as a folder: what is outside of it is not there.",
                    Hint(title=f"move {path} into the bundle, or depend on a release of {name}"),
                )


def _is_installable(folder: Path, document: Mapping[str, Any], uv: Mapping[str, Any]) -> bool:
    """uv's rule, and what declares an entry point wants to be installed."""
    package = uv.get("package")
    if isinstance(package, bool):
        return package
    entry_points = document["project"].get("entry-points", {})
    return (
        "build-system" in document
        or "modelops.wire" in entry_points
        or (folder / "setup.py").is_file()
    )
