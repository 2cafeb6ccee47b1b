"""Writes the ``[project]`` table (PEP 621) of what another tool's file says."""

import json
import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runner.bundle.foreign.model import Foreign


def project_table(foreign: Foreign, name: str) -> tuple[str, tuple[str, ...]]:
    """The table, and what could not be taken over.

    :param name: what to call the project where the file does not say.
    """
    notes = list(foreign.notes)
    given = foreign.name or name
    name = given if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", given) else name
    dependencies = []
    for text in dict.fromkeys(foreign.dependencies):
        try:
            itself = canonicalize_name(Requirement(text).name) == canonicalize_name(name)
        except (InvalidRequirement, RecursionError):
            notes.append(f"{text} is not a requirement (PEP 508)")
            continue
        # A conda environment may be called like what it is for; a project cannot.
        name = f"{name}-model" if itself else name
        dependencies.append(text)
    lines = ["[project]", f"name = {_string(name)}"]
    if "version" not in foreign.dynamic:
        lines.append(f"version = {_string(_version(foreign))}")
    if foreign.dynamic:
        lines.append(f"dynamic = [{', '.join(map(_string, foreign.dynamic))}]")
    if foreign.requires_python:
        try:
            SpecifierSet(foreign.requires_python)
            lines.append(f"requires-python = {_string(foreign.requires_python)}")
        except InvalidSpecifier:
            notes.append(f"Python {foreign.requires_python} is not a specifier (PEP 440)")
    lines += ["dependencies = [", *(f"    {_string(text)}," for text in dependencies), "]"]
    if foreign.wires:
        lines += ["", '[project.entry-points."modelops.wire"]']
        lines += [f"{_string(key)} = {_string(value)}" for key, value in foreign.wires]
    return "\n".join([*lines, ""]), tuple(notes)


def _version(foreign: Foreign) -> str:
    try:
        return str(Version(foreign.version or ""))
    except InvalidVersion:
        return "0.1.0"


def _string(text: str) -> str:
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(text).replace("\x7f", "\\u007f")
