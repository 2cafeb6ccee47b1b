"""Reads what a setup.py hands to setup(), without running it, and what setup.cfg says."""

import ast
import configparser
from collections.abc import Collection
from typing import Any

import msgspec

from bundle_protocol.syntax_tree import tree_of
from runner.bundle.foreign.imports import imports_of, required_by
from runner.bundle.foreign.model import Foreign, text_or_none

_OF_SETUPTOOLS = {"distutils", "pkg_resources", "setuptools"}
_LISTS = ("packages", "py_modules")
_FIELDS = {
    "author": "authors",
    "author_email": "authors",
    "classifiers": "classifiers",
    "description": "description",
    "extras_require": "optional-dependencies",
    "keywords": "keywords",
    "license": "license",
    "long_description": "readme",
    "maintainer": "maintainers",
    "maintainer_email": "maintainers",
    "project_urls": "urls",
}
"""The fields of ``[project]`` that setuptools fills of these. It breaks off, or leaves them out,
where the table is there and does not say so."""


def setup_py(text: str, cfg: str = "", own: Collection[str] = ()) -> Foreign | None:
    """Return what is written in it as it stands; ``None`` where it calls no setup().

    :param own: the modules that are beside it.
    """
    if (tree := tree_of(text)) is None:
        return None
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    names = ("id", "attr")  # setup(), setuptools.setup()
    call = next((c for c in calls if "setup" in [getattr(c.func, n, None) for n in names]), None)
    if call is None:
        return None
    known = _constants(tree)
    given: dict[str, Any] = {}
    notes: list[str] = []
    dynamic: set[str] = set()
    for keyword in call.keywords:
        if keyword.arg in _FIELDS:
            dynamic.add(_FIELDS[keyword.arg])
        if keyword.arg not in ("name", "version", "install_requires", "python_requires",
                               "entry_points"):  # fmt: skip
            continue
        try:
            given[keyword.arg] = _value(keyword.value, known)
        except ValueError:
            if keyword.arg == "version":
                dynamic.add("version")
                continue
            notes.append(f"{keyword.arg} of setup.py:{keyword.value.lineno} is computed when it"
                         " runs: write it by hand")  # fmt: skip
    config, of_config = _config(cfg)
    file = "setup.py" if text.strip() else "setup.cfg"
    foreign = _foreign(file, {**config, **given}, dynamic | of_config, notes)
    build_requires, _ = required_by(imports_of(tree) - _OF_SETUPTOOLS, own)
    listed = any(keyword.arg in _LISTS or keyword.arg is None for keyword in call.keywords)
    return msgspec.structs.replace(
        foreign, build_requires=build_requires, lists_modules=listed or foreign.lists_modules
    )


def setup_cfg(text: str) -> Foreign:
    return _foreign("setup.cfg", *_config(text), [])


def _foreign(file: str, given: dict[str, Any], dynamic: set[str], notes: list[str]) -> Foreign:
    requires = given.get("install_requires") or []
    if isinstance(requires, str):
        requires = requires.splitlines()
    groups = given.get("entry_points") or {}
    groups = groups if isinstance(groups, dict) else {}
    wires = groups.get("modelops.wire", [])
    wires = wires.splitlines() if isinstance(wires, str) else wires
    pairs = [wire.partition("=") for wire in wires if isinstance(wire, str) and "=" in wire]
    return Foreign(
        file=file,
        kind=f"a {file}",
        name=text_or_none(given.get("name")),
        version=text_or_none(given.get("version")),
        requires_python=text_or_none(given.get("python_requires")),
        dependencies=tuple(text.strip() for text in requires if str(text).strip()),
        wires=tuple((key.strip(), value.strip()) for key, _, value in pairs),
        dynamic=tuple(sorted(dynamic | _of_entry_points(groups))),
        lists_modules=any(key in given for key in _LISTS),
        notes=tuple(notes),
    )


def _of_entry_points(groups: dict[str, Any]) -> set[str]:
    fields = {"console_scripts": "scripts", "gui_scripts": "gui-scripts"}
    found = {fields.get(group, "entry-points") for group in groups}
    # The table has the wire functions, and what it has cannot be dynamic.
    return found - {"entry-points"} if "modelops.wire" in groups else found


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """The names that are given a value once, at the top."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _value(node: ast.expr, known: dict[str, ast.expr], depth: int = 0) -> Any:
    """The value of an expression of constants.

    :raises ValueError: it has to be run.
    """
    if depth > 20:
        raise ValueError
    if isinstance(node, ast.Name) and node.id in known:
        return _value(known[node.id], known, depth + 1)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        one = _value(node.left, known, depth + 1)
        other = _value(node.right, known, depth + 1)
        if type(one) is type(other) and isinstance(one, str | list | tuple):
            return one + other
        raise ValueError
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, known, depth + 1) for item in node.elts]
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {
            _value(key, known, depth + 1): _value(value, known, depth + 1)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    if isinstance(node, ast.Constant):
        return node.value
    raise ValueError


def _config(text: str) -> tuple[dict[str, Any], set[str]]:
    """The values that setup.cfg gives, and the fields that setuptools fills of it."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}, set()
    metadata = parser["metadata"] if parser.has_section("metadata") else {}
    dynamic = {_FIELDS[key] for key in metadata if key in _FIELDS}
    if parser.has_section("options.extras_require"):
        dynamic.add("optional-dependencies")
    found: dict[str, Any] = {}
    for section, key in (
        ("metadata", "name"),
        ("metadata", "version"),
        ("options", "install_requires"),
        ("options", "python_requires"),
        *(("options", key) for key in _LISTS),
    ):
        value = parser.get(section, key, fallback=None)
        if value is not None and not value.startswith(("attr:", "file:")):
            found[key] = value
        elif value is not None and key == "version":
            dynamic.add(key)
    if parser.has_section("options.entry_points"):
        found["entry_points"] = dict(parser["options.entry_points"])
    return found, dynamic
