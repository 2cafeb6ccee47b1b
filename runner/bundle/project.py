"""Checks ``[project]`` (PEP 621) of a bundle's pyproject.toml, and says what is wrong with it."""

import difflib
import json
import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from runner.bundle.failures import invalid
from runner.bundle.pyproject import PYPROJECT, Pyproject
from runner.bundle.requirements import check_requirement
from runner.diagnosis.report.model import Edit, Hint

# PEP 621, PEP 639 and PEP 794.
_KEYS = (
    "authors", "classifiers", "dependencies", "description", "dynamic", "entry-points",
    "gui-scripts", "import-names", "import-namespaces", "keywords", "license", "license-files",
    "maintainers", "name", "optional-dependencies", "readme", "requires-python", "scripts", "urls",
    "version",
)  # fmt: skip
# As setup.py and Poetry call them.
_OTHER_NAMES = {
    "python-requires": "requires-python",
    "python": "requires-python",
    "install-requires": "dependencies",
    "requirements": "dependencies",
    "extras-require": "optional-dependencies",
    "extras": "optional-dependencies",
}
_NEAR = 0.85
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # PEP 508


def project_name(pyproject: Pyproject) -> str:
    """The project's name.

    :raises Failure: ``bundle-invalid``: it has none, or one that is not allowed.
    """
    name = pyproject.table("project").get("name")
    at = pyproject.at("project", "name")
    if name is None:
        raise invalid(
            f"{at}: [project] has no name",
            "Every project has a name (PEP 621).",
            Hint("give it one", edit=pyproject.edits.setting("project", "name", "my-model")),
        )
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        plain = re.sub(r"[^A-Za-z0-9]+", "-", str(name)).strip("-").lower()
        edit = pyproject.edits.setting("project", "name", plain) if plain else None
        raise invalid(
            f"{at}: {name!r} is not a name for a project",
            "Names are letters, digits, '.', '-' and '_', with a letter or digit at both ends"
            " (PEP 508).",
            Hint("choose another name", edit=edit),
        )
    return name


def _check_keys(pyproject: Pyproject) -> None:
    """See that no key is nearly one that is missing: whatever it says would be passed over."""
    project = pyproject.table("project")
    for key in project:
        if key in _KEYS:
            continue
        plain = key.lower().replace("_", "-")
        near = difflib.get_close_matches(plain, _KEYS, n=1, cutoff=_NEAR)
        meant = _OTHER_NAMES.get(plain) or (near[0] if near else None)
        if meant is None or meant in project:
            continue
        line = pyproject.line("project", key)
        edit = (
            Edit(file=PYPROJECT, before=line, after=line.replace(key, meant, 1)) if line else None
        )
        raise invalid(
            f"{pyproject.at('project', key)}: [project] takes no key {key!r}; {meant!r} is one",
            "The keys of [project] are those of PEP 621; another one is passed over by whatever"
            " reads it.",
            Hint(f"did you mean {meant!r}?", edit=edit),
        )


# Where a list of dependencies comes to stand below the wrong header; "": above all of them.
_WRONG_TABLES = ("project.urls", "project.scripts", "project.gui-scripts",
                 "project.optional-dependencies", "tool.modelops", "tool.uv", "build-system",
                 "")  # fmt: skip


def _check_place(pyproject: Pyproject) -> None:
    """See that what is to be installed, and for which Python, stands where it is read."""
    there = pyproject.edits
    known = {*pyproject.table("project"), *there.items("project", "dynamic")}
    kinds: dict[str, type] = {"dependencies": list, "requires-python": str}
    for key, kind in kinds.items():
        for table in _WRONG_TABLES if key not in known else ():
            asked = there.value(table, key)
            if not isinstance(asked, kind) or not asked:
                continue
            line = pyproject.line(table, key)
            edit = there.moved(line, "project", key) if line else None
            raise invalid(
                f"{pyproject.at(table, key)}: {key} stands"
                f" {f'in [{table}]' if table else 'before any table'}, and belongs in [project]",
                "Nothing reads it there.",
                Hint(title=f"put it into [project]: {key} = {json.dumps(asked)}", edit=edit),
            )
    if isinstance(written := pyproject.document.get("dependencies"), dict):
        raise invalid(
            f"{pyproject.at('', 'dependencies')}: there is no table [dependencies]",
            "Dependencies are a list in [project] (PEP 621).",
            _as_list(pyproject, written, table="dependencies"),
        )


def check_shapes(pyproject: Pyproject) -> None:
    """See that what is looked into later is of the shape that PEP 621 gives it.

    :raises Failure: ``bundle-invalid``.
    """
    project = pyproject.table("project")

    def wrong(key: str, wanted: str, edit: Edit | None = None) -> Exception:
        return invalid(
            f"{pyproject.at('project', key)}: {key} is not a {wanted}",
            "The tables and types of [project] are those of PEP 621.",
            Hint(f"make {key} a {wanted}", edit=edit),
        )

    _check_keys(pyproject)
    _check_place(pyproject)
    dynamic = project.get("dynamic", [])
    if not isinstance(dynamic, list) or not all(isinstance(key, str) for key in dynamic):
        raise wrong("dynamic", "list of strings")
    if not isinstance(project.get("version", ""), str):
        # As it is written: 1.10 is read as 1.1.
        line = pyproject.line("project", "version") or ""
        written = re.fullmatch(r"version\s*=\s*([\d.]+)(\s*#.*)?", line)
        after = f'version = "{written[1]}"' if written else ""
        edit = Edit(file=PYPROJECT, before=line, after=after) if written else None
        raise wrong("version", "string", edit)
    if "build-system" in pyproject.document and "version" not in {*project, *dynamic}:
        raise invalid(
            f"{pyproject.at('project', 'name')}: [project] has no version, and is to be built",
            'What is built has a version, unless its backend finds one out: dynamic = ["version"]'
            " (PEP 621).",
            Hint("give it one", edit=pyproject.edits.setting("project", "version", "0.1.0")),
        )
    groups = project.get("entry-points", {})
    if not isinstance(groups, dict) or not all(isinstance(g, dict) for g in groups.values()):
        before = "[project.entry-points]"
        edit = Edit(file=PYPROJECT, before=before, after='[project.entry-points."modelops.wire"]')
        once = isinstance(groups, dict) and pyproject.text.count(before) == 1
        raise wrong("entry-points", "table of tables", edit if once else None)
    if isinstance(groups.get("modelops", {}).get("wire"), dict):
        at = pyproject.at("project.entry-points", "modelops.wire")
        raise invalid(
            f"{at}: the entry points' group modelops.wire lacks its quotes",
            "Without them, TOML takes it for a table wire within a table modelops.",
            Hint(
                "quote it",
                edit=Edit(
                    file=PYPROJECT,
                    before="[project.entry-points.modelops.wire]",
                    after='[project.entry-points."modelops.wire"]',
                )
                if "[project.entry-points.modelops.wire]" in pyproject.text
                else None,
            ),
        )


def project_dependencies(pyproject: Pyproject) -> tuple[str, ...] | None:
    """The project's dependencies; ``None`` where only its build backend knows them.

    :raises Failure: ``bundle-invalid``: one is not a requirement, or is the project itself.
    """
    project = pyproject.table("project")
    if "dependencies" in project.get("dynamic", []):
        return None
    dependencies = project.get("dependencies", [])
    if not isinstance(dependencies, list) or not all(isinstance(d, str) for d in dependencies):
        raise invalid(
            f"{pyproject.at('project', 'dependencies')}: dependencies is not a list of strings",
            "Each dependency is one string, as in PEP 508.",
            _as_list(pyproject, dependencies),
        )
    for dependency in dependencies:
        at = pyproject.at_string("project", "dependencies", dependency)
        check_requirement(dependency, at, pyproject.text)
        requirement = Requirement(dependency)
        _check_is_another(requirement, pyproject, at)
        _check_is_no_relative_path(requirement, at, pyproject)
    return tuple(dependencies)


def _as_list(pyproject: Pyproject, written: object, table: str = "project.dependencies") -> Hint:
    """The hint to write dependencies as a list that stand in a text, or in a table as Poetry's."""
    there, edit, found = pyproject.edits, None, ["numpy>=1.26"]
    if isinstance(written, str):
        found = written.splitlines()
        edit = there.setting("project", "dependencies", found)
    elif isinstance(written, dict) and all(isinstance(one, str) for one in written.values()):
        from runner.bundle.foreign.versions import pep440  # nothing right needs it

        found = [f"{name}{pep440(version) or ''}" for name, version in written.items()]
        edit = there.as_list("project", "dependencies", found, table)
    return Hint(f"write them so: dependencies = {json.dumps(found)}", edit=edit)


def _check_is_another(requirement: Requirement, pyproject: Pyproject, at: str) -> None:
    """See that a dependency is another project than this one, or some of its own extras."""
    project = pyproject.table("project")
    name = project["name"]
    if canonicalize_name(requirement.name) != canonicalize_name(name):
        return
    own = project.get("optional-dependencies", {})
    extras = {canonicalize_name(extra) for extra in own} if isinstance(own, dict) else set()
    if requirement.extras and (
        "optional-dependencies" in project.get("dynamic", [])
        or extras.issuperset(map(canonicalize_name, requirement.extras))
    ):
        return
    before = pyproject.line("project", "name")
    raise invalid(
        f"{at}: {requirement.name} depends on itself",
        f"The project is called {name} ({pyproject.at('project', 'name')}), and a dependency of"
        f" that name is the project itself: the package {requirement.name} of the index would not"
        " be installed.",
        Hint(
            "give the bundle another name, if that package is meant",
            edit=Edit(
                file=PYPROJECT,
                before=before,
                after=before.replace(name, f"{name}-model") if before else f'name = "{name}-model"',
            ),
        ),
        Hint(f"or take {requirement} out of the dependencies"),
    )


def _check_is_no_relative_path(requirement: Requirement, at: str, pyproject: Pyproject) -> None:
    """uv takes paths in ``[tool.uv.sources]`` only, and does not say so."""
    path = requirement.url
    if path is None or re.match(r"[A-Za-z][\w+.-]*:|\$", path):
        return
    if re.fullmatch(r"v?\d+(?:\.\d+)*", path):
        asked = f"{requirement.name}=={path}"
        there = pyproject.edits
        edits = (
            there.replaced("project", "dependencies", one, asked)
            for one in there.items("project", "dependencies")
            if one.replace(" ", "").startswith(f"{requirement.name}@{path}")
        )
        raise invalid(
            f"{at}: {requirement} is no version of {requirement.name}, but a path",
            "@ stands before a URL; before a version, == does (PEP 508).",
            Hint(f"did you mean {asked}?", edit=next(edits, None)),
        )
    raise invalid(
        f"{at}: {requirement.name} comes from {path}, and [project] dependencies take no relative"
        " path",
        "They take names with versions, or whole URLs (PEP 508).",
        Hint(
            f'write "{requirement.name}" there, and where it is in [tool.uv.sources]',
            edit=pyproject.edits.setting("tool.uv.sources", requirement.name, {"path": path}),
            by="person",
        ),
    )


def is_installable(folder: Path, pyproject: Pyproject) -> bool:
    """Tell whether the project itself gets installed.

    It is uv's rule; and what declares an entry point wants to be installed.
    """
    package = pyproject.table("tool.uv").get("package")
    if isinstance(package, bool):
        return package
    entry_points = pyproject.table("project").get("entry-points", {})
    return (
        "build-system" in pyproject.document
        or "modelops.wire" in entry_points
        or (folder / "setup.py").is_file()
    )
