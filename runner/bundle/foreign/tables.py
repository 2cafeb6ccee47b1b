"""Reads the TOML of other tools: Poetry's older tables, a Pipfile, a script's header (PEP 723)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runner.bundle.foreign.model import Foreign, text_or_none
from runner.bundle.foreign.versions import pep440
from runner.diagnosis.knowledge.requirement_text import read_requirement

# As ssh(1) and git(1) have it: git@github.com:lab/model.git
_OF_SSH = re.compile(r"^([\w.-]+@[\w.-]+):(?!//)(.+)")
_HEADER = re.compile(
    r"^# /// script\s*$\n((?:^#(?: .*)?$\n)+?)^# ///\s*$", re.MULTILINE
)  # as in PEP 723


def poetry(table: Mapping[str, Any]) -> Foreign:
    """Poetry's own table, in which it kept all before it knew ``[project]``."""
    wanted = dict(_mapping(table.get("dependencies")))
    python = wanted.pop("python", None)
    found, notes = _all(wanted)
    plugins = _mapping(_mapping(table.get("plugins")).get("modelops.wire"))
    return Foreign(
        file="pyproject.toml",
        kind="[tool.poetry] of an older Poetry",
        name=text_or_none(table.get("name")),
        version=text_or_none(table.get("version")),
        requires_python=pep440(python) if isinstance(python, str) else None,
        dependencies=tuple(found),
        wires=tuple((key, str(value)) for key, value in plugins.items()),
        notes=tuple(notes),
    )


def pipfile(document: Mapping[str, Any]) -> Foreign:
    found, notes = _all(_mapping(document.get("packages")))
    requires = _mapping(document.get("requires"))
    python = requires.get("python_full_version") or requires.get("python_version")
    if python is not None:
        python = f"=={python}.*" if str(python).count(".") < 2 else f"=={python}"
    return Foreign(
        file="Pipfile",
        kind="a Pipfile",
        requires_python=python,
        dependencies=tuple(found),
        notes=tuple(notes),
    )


def header_of(text: str) -> str | None:
    """The TOML in the header of a script (PEP 723)."""
    found = _HEADER.search(text)
    if found is None:
        return None
    return "\n".join(line[2:] for line in found[1].splitlines())


def script(file: str, document: Mapping[str, Any]) -> Foreign:
    dependencies = document.get("dependencies", [])
    return Foreign(
        file=file,
        kind="the header of a script (PEP 723)",
        requires_python=text_or_none(document.get("requires-python")),
        dependencies=tuple(text for text in dependencies if isinstance(text, str))
        if isinstance(dependencies, list)
        else (),
    )


def _all(wanted: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    found: list[str] = []
    notes: list[str] = []
    for name, value in wanted.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict) and one.get("optional"):
                continue
            text = _requirement(name, one)
            if text is None:
                notes.append(f"{name} = {one!r} has no equal in [project] dependencies")
            else:
                found.append(text)
    return found, notes


def _requirement(name: str, value: object) -> str | None:
    options: Mapping[str, Any] = value if isinstance(value, dict) else {"version": value}
    options = {key: one for key, one in options.items() if isinstance(one, (str, list))}
    extras = options.get("extras")
    text = f"{name}[{','.join(map(str, extras))}]" if isinstance(extras, list) else name
    if "git" in options:
        revision = next((options[k] for k in ("rev", "tag", "branch", "ref") if k in options), None)
        url = _OF_SSH.sub(r"ssh://\1/\2", str(options["git"]))
        text += f" @ git+{url}" + (f"@{revision}" if revision else "")
    elif "url" in options:
        text += f" @ {options['url']}"
    elif "version" in options and isinstance(options["version"], str):
        specifier = pep440(options["version"])
        if specifier is None:
            return None
        text += specifier
    else:
        return None
    markers = list(_markers(options))
    if markers:
        text += f"{' ' if ' @ ' in text else ''}; {' and '.join(markers)}"
    return None if read_requirement(text) is None else text


def _markers(options: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(options.get("markers"), str):
        yield f"({options['markers']})" if " or " in options["markers"] else options["markers"]
    if isinstance(options.get("platform"), str):
        yield f"sys_platform == '{options['platform']}'"
    if isinstance(options.get("python"), str):
        for clause in filter(None, (pep440(options["python"]) or "").split(",")):
            operator, version = re.match(r"([<>=!~]+)(.*)", clause).groups()  # type: ignore[union-attr]
            yield f"python_version {operator} '{version}'"


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
