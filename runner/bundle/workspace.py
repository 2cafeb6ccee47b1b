"""Finds what a bundle takes from the uv workspace that it is a member of.

A bundle is its own folder. The workspace around it gives its members two things that are not in
there: sources for what they depend on, siblings above all, which the bundle cannot do without; and
settings and a lock, without which it only gets other versions.
"""

import glob
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runner.bundle.failures import invalid
from runner.bundle.pyproject import PYPROJECT, Pyproject
from runner.diagnosis.report.model import Hint
from runner.toml import tomllib

# Settings of a workspace's root that decide which versions its members get.
_DECISIVE = {
    "constraint-dependencies",
    "dependency-metadata",
    "environments",
    "exclude-newer",
    "extra-index-url",
    "find-links",
    "index",
    "index-strategy",
    "index-url",
    "no-binary",
    "no-build",
    "override-dependencies",
    "prerelease",
    "resolution",
}


class _Workspace(Struct, frozen=True):
    root: Path
    uv: dict[str, Any]
    """Its ``[tool.uv]``."""
    members: dict[str, Path]
    """Its other members' folders, by their names."""


def check_workspace(
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
    own = uv.get("sources", {})
    own = own if isinstance(own, dict) else {}
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
    hints = [Hint(title=f"move {name} into the bundle, or depend on a release of it")]
    if workspace is None:
        where = "a uv workspace, and no folder above the bundle is the root of one"
    else:
        where = f"the workspace {workspace.root}, outside of the bundle"
        member = workspace.members.get(canonicalize_name(name))
        if member is not None:
            wheels = shlex.quote(str(folder / "wheels"))
            hints.append(
                Hint(
                    title="or build a wheel of it into the bundle, and name that file:"
                    f' {name} = {{ path = "wheels/..." }} in [tool.uv.sources]',
                    command=f"uv build --wheel {shlex.quote(str(member))} --out-dir {wheels}",
                )
            )
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
    texts = [one for one in _list(patterns) if isinstance(one, str) and "\0" not in one]
    return {
        found
        for text in texts
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
