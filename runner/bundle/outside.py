"""Finds what a bundle takes from outside of its folder, where no other worker has it.

uv may be led out in three places: the settings that say where a package comes from, the paths that
stand among the requirements, and the workspace that the bundle is a member of. A workspace gives
its members sources for what they depend on, siblings above all, which the bundle cannot do without;
and settings and a lock, without which it only gets other versions.
"""

import glob
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runner.bundle.failures import invalid
from runner.bundle.files import has_file, read_text
from runner.bundle.pyproject import PYPROJECT, Pyproject, read_toml
from runner.bundle.requirements import REQUIREMENTS, numbered_lines
from runner.diagnosis.report.model import Edit, Hint, by_hand
from runner.toml import tomllib

UV_TOML = "uv.toml"

_WHY = "A bundle is sent to workers as a folder: what is outside of it is not there."
_SCHEME = re.compile(r"[A-Za-z][\w+.-]+:")
_OPTION = re.compile(
    r"(?:(-[rcefi])\s*=?\s*"
    r"|(--(?:requirement|constraint|editable|find-links|index-url|extra-index-url))[\s=]+)(.+)"
)
_INCLUDES = {"-r", "-c", "--requirement", "--constraint"}
_PLACES = {"-f", "-i", "--find-links", "--index-url", "--extra-index-url"}
_NAMED = re.compile(r"[\w.-]+\s*(?:\[[^]]*\]\s*)?@\s*(.+)")
# What may follow a path: a marker, an option, a URL's fragment; the extras of what it is of.
_REST = re.compile(r"\s;.*|\s--.*|#.*|\[[\w\s,.-]*\]$")


def check_nothing_is_outside(
    folder: Path, pyproject: Pyproject, dependencies: Iterable[str] | None
) -> tuple[str, ...]:
    """See that all that a bundle names is in its folder.

    An archive, or a folder of archives, may be named by an absolute path: whoever writes one knows
    that all workers have it. The source code in a folder may not: uv does not notice its edits.

    :returns: what of the workspace around it does not count, one line each.
    :raises Failure: ``bundle-invalid``: one thing is not.
    """
    uv = pyproject.table("tool.uv")
    _check_sources(folder, pyproject)
    for key, place in _places(uv):
        _check_place(folder, place, pyproject.at("tool.uv", key))
    if has_file(folder, UV_TOML):
        for _, place in _places(read_toml(read_text(folder, UV_TOML), UV_TOML)):
            _check_place(folder, place, UV_TOML)
    if not pyproject.is_project:
        _check_requirements(folder, REQUIREMENTS, set())
        return ()
    for dependency in dependencies or ():
        requirement = Requirement(dependency)
        if requirement.url:
            at = pyproject.at_string("project", "dependencies", dependency)
            _check_source(folder, requirement.url, at, requirement.name)
    return _check_workspace(folder, pyproject, dependencies)


def _check_sources(folder: Path, pyproject: Pyproject) -> None:
    for name, source in pyproject.table("tool.uv.sources").items():
        for one in _list(source):
            path = one.get("path") if isinstance(one, dict) else None
            if isinstance(path, str):
                _check_source(folder, path, pyproject.at("tool.uv.sources", name), name)


def _places(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where uv's settings say that packages are; with the key that says so."""
    workspace = settings.get("workspace")
    if isinstance(workspace, dict):
        yield from (("workspace", one) for one in _strings(workspace.get("members")))
    pip = settings.get("pip")
    for table in (settings, pip if isinstance(pip, dict) else {}):
        for key in ("find-links", "index-url", "extra-index-url"):
            yield from ((key, one) for one in _strings(table.get(key)))
        index = table.get("index")
        for one in index if isinstance(index, list) else ():
            if isinstance(one, dict):
                yield from (("index", url) for url in _strings(one.get("url")))


def _strings(value: object) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)]


def _check_requirements(folder: Path, name: str, seen: set[str]) -> None:
    """Look at a requirements file, and at those that it includes."""
    seen.add(name)
    for number, line in numbered_lines(read_text(folder, name)):
        at = f"{name}:{number}"
        option = _OPTION.match(line)
        if option is None:
            _check_requirement(folder, line, at)
            continue
        short, long, value = option.groups()
        if (short or long) in _INCLUDES:
            # These are relative to the file that they stand in.
            included = _local(folder, value)
            if included is None:
                continue
            path = Path(os.path.normpath(folder / Path(name).parent / included))
            _check_place(folder, str(Path(name).parent / included), at, value.strip())
            # os.path's: a Path raises where a name is too long.
            if path.is_relative_to(folder) and os.path.isfile(path):  # noqa: PTH113
                relative = str(path.relative_to(folder))
                if relative not in seen:
                    _check_requirements(folder, relative, seen)
        elif (short or long) in _PLACES:
            _check_place(folder, value, at)
        else:
            _check_source(folder, value, at, None)


def _check_requirement(folder: Path, line: str, at: str) -> None:
    if line.startswith("-"):
        return
    if named := _NAMED.match(line):
        _check_source(folder, named[1], at, line.partition("@")[0].strip())
    elif "/" in line or line.startswith("."):
        _check_source(folder, line, at, None)


def _local(folder: Path, text: str) -> str | None:
    """The path that a setting or a requirement names; ``None`` where it is none."""
    text = _REST.sub("", text.strip()).strip().strip("\"'")
    if text.startswith("file:"):
        text = unquote(re.sub(r"^//(localhost)?(?=/|\$)", "", text.removeprefix("file:")))
    elif _SCHEME.match(text):
        return None
    text = re.sub(r"/*\$\{PROJECT_ROOT\}", str(folder), text)  # a variable that uv itself gives
    return None if "${" in text else text


def _is_outside(folder: Path, path: str) -> bool:
    # By name, and not by where a link leads: content_files() judges links.
    return "\0" in path or not Path(os.path.normpath(folder / path)).is_relative_to(folder)


def _check_place(folder: Path, text: str, at: str, shown: str | None = None) -> None:
    """See that a relative path, or one by way of the project's root, is in the bundle.

    :param shown: how it is written.
    """
    path = _local(folder, text)
    if path is None or not _is_outside(folder, path):
        return
    if Path(path).is_absolute() and "PROJECT_ROOT" not in text:
        return
    shown = shown or text.strip()
    raise invalid(
        f"{at}: {shown} is outside of the bundle", _WHY, Hint(f"move {shown} into the bundle")
    )


def _check_source(folder: Path, text: str, at: str, name: str | None) -> None:
    """See that a package does not come from a folder elsewhere, nor from a file above."""
    path = _local(folder, text)
    if path is None:
        return
    outside = _is_outside(folder, path)
    target = None if "\0" in path else Path(os.path.normpath(folder / path))
    is_folder = target is not None and os.path.isdir(target)  # noqa: PTH112 - as above
    absolute = Path(path).is_absolute() and "PROJECT_ROOT" not in text
    if absolute and not is_folder:
        return
    shown = _REST.sub("", text.strip()).strip()
    if outside:
        what = f"{name} comes from {shown}" if name else f"{shown} is"
        hints = [Hint(f"move {shown} into the bundle, or depend on a release of {name}")]
        if name is None:
            hints = [Hint(f"move {shown} into the bundle")]
        if is_folder:
            hints.append(_build_wheel(folder, target, " in place of the folder"))
        comma = "," if name else ""
        raise invalid(f"{at}: {what}{comma} outside of the bundle", _WHY, *hints)
    if absolute and target is not None and target != folder:
        relative = target.relative_to(folder)
        raise invalid(
            f"{at}: {shown} is an absolute path into the bundle",
            "Where the bundle is copied to, to be built or to another worker, the path leads to"
            " another folder or to none.",
            Hint(
                "write it relative to the bundle",
                edit=Edit(file=at.partition(":")[0], before=shown, after=f"./{relative}"),
            ),
        )


def _build_wheel(folder: Path, source: Path | None, how: str) -> Hint:
    wheels = shlex.quote(str(folder / "wheels"))
    return by_hand(
        f"or build a wheel of it into the bundle, and name that file{how}",
        f"uv build --wheel {shlex.quote(str(source))} --out-dir {wheels}",
    )


# Settings of a workspace's root that decide which versions its members get.
_DECISIVE = {"constraint-dependencies", "dependency-metadata", "environments", "exclude-newer",
             "extra-index-url", "find-links", "index", "index-strategy", "index-url", "no-binary",
             "no-build", "override-dependencies", "prerelease", "resolution"}  # fmt: skip


class _Workspace(Struct, frozen=True):
    root: Path
    uv: dict[str, Any]
    """Its ``[tool.uv]``."""
    members: dict[str, Path]
    """Its other members' folders, by their names."""


def _check_workspace(
    folder: Path, pyproject: Pyproject, dependencies: Iterable[str] | None
) -> tuple[str, ...]:
    """See that a bundle needs nothing of the workspace that it is in.

    :returns: what of it does not count, one line each.
    :raises Failure: ``bundle-invalid``: one of its dependencies is a sibling.
    """
    uv = pyproject.table("tool.uv")
    if "workspace" in uv:
        return ()  # It is a root itself: its members are in it.
    workspace = _workspace_around(folder)
    own = pyproject.table("tool.uv.sources")
    for name, source in own.items():
        if any(isinstance(one, dict) and one.get("workspace") is True for one in _list(source)):
            raise _from_workspace(folder, name, pyproject.at("tool.uv.sources", name), workspace)
    if workspace is None:
        return ()
    given = workspace.uv.get("sources", {})
    given = {canonicalize_name(name) for name in given} if isinstance(given, dict) else set()
    given |= workspace.members.keys()
    given -= {canonicalize_name(name) for name in own}
    for dependency in dependencies or ():
        name = Requirement(dependency).name
        if canonicalize_name(name) in given:
            raise _from_workspace(
                folder, name, pyproject.at_string("project", "dependencies", dependency), workspace
            )
    ignored = [f"[tool.uv] {key}" for key in sorted(_DECISIVE & workspace.uv.keys())]
    if (workspace.root / "uv.lock").is_file():
        ignored.append("its uv.lock")
    if not ignored:
        return ()
    return (
        f"{folder.name} is a member of the workspace {workspace.root}; what lies outside of the"
        f" bundle's folder does not count: {', '.join(ignored)}",
    )


def _from_workspace(folder: Path, name: str, at: str, workspace: _Workspace | None) -> Exception:
    hints = [Hint(f"move {name} into the bundle, or depend on a release of it")]
    if workspace is None:
        where = "a uv workspace, and no folder above the bundle is the root of one"
    else:
        where = f"the workspace {workspace.root}, outside of the bundle"
        if (member := workspace.members.get(canonicalize_name(name))) is not None:
            how = f': {name} = {{ path = "wheels/..." }} in [tool.uv.sources]'
            hints.append(_build_wheel(folder, member, how))
    return invalid(
        f"{at}: {name} comes from {where}",
        "A bundle is sent to workers as a folder: its siblings are not there.",
        *hints,
    )


def _workspace_around(folder: Path) -> _Workspace | None:
    """The nearest workspace above a folder that has it as a member, by uv's rules."""
    for root in folder.parents:
        uv = _uv_settings(root)
        workspace = uv.get("workspace")
        if not isinstance(workspace, dict):
            continue
        members = _matching(root, workspace.get("members"))
        members -= _matching(root, workspace.get("exclude"))
        if folder not in members:
            return None
        names = {name: one for one in members if one != folder and (name := _name_of(one))}
        return _Workspace(root, uv, names)
    return None


def _matching(root: Path, patterns: object) -> set[Path]:
    """The folders below a workspace's root that its patterns name."""
    return {
        found
        for text in _strings(patterns)
        if "\0" not in text
        for one in glob.glob(text, root_dir=root, recursive=True)  # noqa: PTH207 - takes any pattern
        if (found := (root / one).resolve()).is_dir()
    }


def _uv_settings(folder: Path) -> dict[str, Any]:
    found = _other_pyproject(folder).get("tool", {})
    found = found.get("uv", {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _name_of(folder: Path) -> str | None:
    project = _other_pyproject(folder).get("project", {})
    name = project.get("name") if isinstance(project, dict) else None
    return canonicalize_name(name) if isinstance(name, str) else None


def _other_pyproject(folder: Path) -> dict[str, Any]:
    """A pyproject.toml of somebody else's, and so is what is wrong with it."""
    try:
        return tomllib.loads((folder / PYPROJECT).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
