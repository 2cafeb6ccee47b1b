"""Reads a bundle's files, and says what is wrong with them in their own lines."""

import difflib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from runner.bundle.content import bundle_digest, content_files
from runner.bundle.failures import invalid, not_found
from runner.bundle.model import Bundle, Defaults, RequirementsFrom
from runner.bundle.specifiers import is_satisfiable, python_version_file
from runner.bundle.toml_lines import key_line, string_line
from runner.bundle.wire import find_wire
from runner.diagnosis.report import Edit, Hint

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PYPROJECT, REQUIREMENTS, LOCK = "pyproject.toml", "requirements.txt", "uv.lock"

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_KEYS = ("wire", "entrypoint", "timeout", "memory-limit", "env")


def read_bundle(path: Path) -> Bundle:
    """Read a bundle.

    :raises Failure: ``bundle-not-found``, ``bundle-invalid``, ``wire-not-declared`` or
        ``wire-ambiguous``.
    """
    folder = _folder(path)
    if (folder / PYPROJECT).is_file():
        text = _text(folder, PYPROJECT)
        document = _toml(text, PYPROJECT)
        if "project" in document:
            return _read_project(folder, text, document)
        if not (folder / REQUIREMENTS).is_file():
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
    elif not (folder / REQUIREMENTS).is_file():
        raise _no_bundle(folder)
    return _read_requirements(folder)


def _folder(path: Path) -> Path:
    folder = path.expanduser().absolute()
    if not folder.exists():
        raise not_found(f"there is no {path}", *_near(folder))
    if not folder.is_dir():
        hints = []
        if folder.name in (PYPROJECT, REQUIREMENTS, "wire.py"):
            hints.append(
                Hint(title="name its folder", command=f"modelops-runner exec {path.parent}")
            )
        raise not_found(f"{path} is a file, not a bundle's folder", *hints)
    return folder.resolve()


def _near(folder: Path) -> list[Hint]:
    try:
        names = [entry.name for entry in folder.parent.iterdir() if entry.is_dir()]
    except OSError:
        return []
    close = difflib.get_close_matches(folder.name, names, n=1)
    return [Hint(title=f"did you mean {folder.parent / close[0]}?")] if close else []


def _no_bundle(folder: Path) -> Exception:
    try:
        below = [
            entry
            for entry in sorted(folder.iterdir())
            if (entry / PYPROJECT).is_file() or (entry / REQUIREMENTS).is_file()
        ]
    except OSError as error:
        return invalid(f"{folder} cannot be listed: {error.strerror}", "")
    hint = (
        Hint(title="name the bundle in it", command=f"modelops-runner exec {below[0]}")
        if below
        else Hint(title=f"add a {REQUIREMENTS} (it may be empty) and a wire.py")
    )
    return not_found(f"{folder} is no bundle: it has neither {PYPROJECT} nor {REQUIREMENTS}", hint)


def _read_project(folder: Path, text: str, document: Mapping[str, Any]) -> Bundle:
    project = _table(document["project"], "[project]")
    tool = _table(document.get("tool", {}), "[tool]")
    modelops = _table(tool.get("modelops", {}), "[tool.modelops]")
    name = _project_name(project, text)
    _check_shapes(project, text)
    requires, requires_text, at = _requires_python(project, text)
    dependencies = _dependencies(project, text)
    _check_sources(folder, tool, text)
    source: RequirementsFrom = "pyproject.toml"
    if (folder / LOCK).is_file():
        _toml(_text(folder, LOCK), LOCK)
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
        installable=_is_installable(folder, document, tool),
        wire=wire.spec,
        wire_project=wire.project,
        defaults=_defaults(modelops, text),
    )


def _read_requirements(folder: Path) -> Bundle:
    text = _text(folder, REQUIREMENTS)
    requirements = _requirement_lines(text)
    requires, requires_text, at = SpecifierSet(), None, None
    if (folder / ".python-version").is_file():
        try:
            asked = python_version_file(_text(folder, ".python-version"))
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


def _text(folder: Path, name: str) -> str:
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise invalid(f"{name} cannot be read: {error.strerror}", "") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise invalid(
            f"{name}:{line} is not UTF-8 (byte {error.start}: 0x{data[error.start]:02x})",
            "Metadata is text in UTF-8.",
            Hint(title=f"save {name} as UTF-8"),
        ) from error


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        message = str(error).partition(" (at ")[0]
        lines = text.rstrip().splitlines() or [""]
        # Without a place, it is what the document's end came too early for.
        number, column = map(int, place.groups()) if place else (len(lines), len(lines[-1]) + 1)
        line = lines[number - 1] if number <= len(lines) else ""
        raise invalid(
            f"{name}:{number}:{column} is not TOML: {message}",
            f"The line is: {line.strip()[:160]}",
            Hint(title=f"correct line {number} of {name}"),
        ) from error


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise invalid(f"{PYPROJECT}: {name} is no table", "")
    return value


def _project_name(project: Mapping[str, Any], text: str) -> str:
    name = project.get("name")
    if name is None:
        raise invalid(
            f"{PYPROJECT}: [project] has no name",
            "Every project has a name (PEP 621).",
            Hint(title="give it one", edit=Edit(file=PYPROJECT, after='name = "my-model"')),
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        number = key_line(text, "project", "name")
        raise invalid(
            f"{PYPROJECT}:{number}: {name!r} is no name for a project",
            "Names are letters, digits, '.', '-' and '_', with a letter or digit at both ends"
            " (PEP 508).",
            Hint(title="choose another name"),
        )
    return name


def _check_shapes(project: Mapping[str, Any], text: str) -> None:
    """See that what is looked into later is of the shape that PEP 621 gives it."""

    def wrong(key: str, wanted: str) -> Exception:
        number = key_line(text, "project", key)
        return invalid(
            f"{PYPROJECT}:{number}: {key} is no {wanted}",
            "The tables and types of [project] are those of PEP 621.",
            Hint(title=f"make {key} a {wanted}"),
        )

    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list) or not all(isinstance(key, str) for key in dynamic):
        raise wrong("dynamic", "list of strings")
    groups = project.get("entry-points", {})
    if not isinstance(groups, dict) or not all(isinstance(g, dict) for g in groups.values()):
        raise wrong("entry-points", "table of tables")


def _requires_python(
    project: Mapping[str, Any], text: str
) -> tuple[SpecifierSet, str | None, str | None]:
    written = project.get("requires-python")
    if written is None:
        return SpecifierSet(), None, None
    number = key_line(text, "project", "requires-python")
    at = f"{PYPROJECT}:{number}"
    before = _line(text, "project", "requires-python")
    hint = Hint(
        title="say which Pythons it is for, as in",
        edit=Edit(file=PYPROJECT, before=before, after='requires-python = ">=3.11"'),
    )
    try:
        if not isinstance(written, str):
            raise InvalidSpecifier
        specifier = SpecifierSet(written)
    except InvalidSpecifier as error:
        raise invalid(
            f"{at}: {written!r} is no Python requirement",
            "requires-python takes version specifiers such as >=3.11 or >=3.10,<3.13 (PEP 440).",
            hint,
        ) from error
    if not is_satisfiable(specifier):
        raise invalid(
            f"{at}: no Python can satisfy {written!r}",
            "Its parts exclude each other.",
            hint,
        )
    return specifier, written, at


def _line(text: str, table: str, key: str) -> str | None:
    """The line that gives a key, as it stands there."""
    number = key_line(text, table, key)
    return None if number is None else text.splitlines()[number - 1].strip()


def _dependencies(project: Mapping[str, Any], text: str) -> tuple[str, ...] | None:
    if "dependencies" in project.get("dynamic", []):
        return None
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        number = key_line(text, "project", "dependencies")
        raise invalid(
            f"{PYPROJECT}:{number}: dependencies is no list of strings",
            "Each dependency is one string, as in PEP 508.",
            Hint(
                title="write them so",
                edit=Edit(file=PYPROJECT, after='dependencies = ["numpy>=1.26"]'),
            ),
        )
    for dependency in dependencies:
        _check_requirement(
            dependency, f"{PYPROJECT}:{string_line(text, 'project', dependency) or '?'}"
        )
    return tuple(dependencies)


def _check_requirement(requirement: str, at: str) -> None:
    try:
        Requirement(requirement)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise invalid(
            f"{at}: {requirement!r} is no requirement: {reason}",
            "Requirements are names with version specifiers, as in numpy>=1.26,<3 (PEP 508).",
            Hint(title=f"correct it at {at}"),
        ) from error


def _requirement_lines(text: str) -> tuple[str, ...]:
    """The lines that ask for something; those that are plain requirements are checked."""
    found: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        requirement = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not requirement:
            continue
        found.append(requirement)
        # Options, paths, URLs and hashes are pip's own language, which uv reads itself.
        if requirement.startswith(("-", ".", "/")) or re.search(r"://|\\$|\s--|\$\{", requirement):
            continue
        if requirement.endswith((".whl", ".tar.gz", ".zip")):
            continue
        _check_requirement(requirement, f"{REQUIREMENTS}:{number}")
    return tuple(found)


def _check_sources(folder: Path, tool: Mapping[str, Any], text: str) -> None:
    """A path that leads out of the bundle is there on one machine only."""
    uv = tool.get("uv", {})
    sources = uv.get("sources", {}) if isinstance(uv, dict) else {}
    for name, source in sources.items() if isinstance(sources, dict) else ():
        for one in source if isinstance(source, list) else [source]:
            path = one.get("path") if isinstance(one, dict) else None
            if not isinstance(path, str):
                continue
            if not (folder / path).resolve().is_relative_to(folder):
                number = key_line(text, "tool.uv.sources", name)
                raise invalid(
                    f"{PYPROJECT}:{number}: {name} comes from {path}, outside of the bundle",
                    "A bundle is sent to workers as a folder: what is outside of it is not there.",
                    Hint(title=f"move {path} into the bundle, or depend on a release of {name}"),
                )


def _is_installable(folder: Path, document: Mapping[str, Any], tool: Mapping[str, Any]) -> bool:
    """uv's rule, and what declares an entry point wants to be installed."""
    uv = tool.get("uv", {})
    package = uv.get("package") if isinstance(uv, dict) else None
    if isinstance(package, bool):
        return package
    entry_points = document["project"].get("entry-points", {})
    return (
        "build-system" in document
        or "modelops.wire" in entry_points
        or (folder / "setup.py").is_file()
    )


def _defaults(modelops: Mapping[str, Any], text: str) -> Defaults:
    def wrong(key: str, wanted: str) -> Exception:
        number = key_line(text, "tool.modelops", key)
        return invalid(
            f"{PYPROJECT}:{number}: [tool.modelops] {key} is {modelops[key]!r}, not {wanted}",
            "",
            Hint(title=f"make {key} {wanted}"),
        )

    for key in modelops:
        if key not in _KEYS:
            number = key_line(text, "tool.modelops", key)
            close = difflib.get_close_matches(key, _KEYS, n=1)
            raise invalid(
                f"{PYPROJECT}:{number}: [tool.modelops] has no setting {key!r}",
                f"It takes {', '.join(_KEYS)}.",
                Hint(title=f"did you mean {close[0]!r}?" if close else f"remove {key!r}"),
            )
    entrypoint, timeout = modelops.get("entrypoint"), modelops.get("timeout")
    limit, env = modelops.get("memory-limit"), modelops.get("env", [])
    if entrypoint is not None and not isinstance(entrypoint, str):
        raise wrong("entrypoint", "a string")
    if timeout is not None and (
        isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0
    ):
        raise wrong("timeout", "a positive number of seconds")
    size = None
    if limit is not None:
        size = limit if isinstance(limit, int) and not isinstance(limit, bool) else _size(limit)
        if size is None or size <= 0:
            raise wrong("memory-limit", 'a size such as "2GiB"')
    if not isinstance(env, list) or not all(isinstance(name, str) for name in env):
        raise wrong("env", "a list of variables' names")
    return Defaults(entrypoint, timeout, size, tuple(cast("list[str]", env)))


def _size(text: object) -> int | None:
    """Bytes, from ``2GiB``, ``500M`` (powers of 1000 without the i)."""
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    number, prefix, binary = match.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** " KMGT".index(prefix.upper() or " "))
