"""What decides an environment's content, and the keys made of it.

A key never contains a path: a bundle that is copied or moved, to another worker too, finds the
environment that was built for it.
"""

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# To be raised when what is built from the same input changes: older environments are then unused.
FORMAT = 2
KEY_DIGITS = 20

# What uv resolves, and from which files. Those that say how (cache, retries, link mode) are left
# out; they may differ between workers that share an environment.
_DECISIVE_VARIABLES = re.compile(
    r"UV_(INDEX|DEFAULT_INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|FIND_LINKS|NO_INDEX"
    r"|EXCLUDE_NEWER|RESOLUTION|PRERELEASE|FORK_STRATEGY|TORCH_BACKEND"
    r"|CONSTRAINT|BUILD_CONSTRAINT|OVERRIDE|EXCLUDE|CONFIG_FILE|NO_CONFIG"
    r"|NO_BINARY|NO_BINARY_PACKAGE|NO_BUILD|NO_BUILD_PACKAGE|NO_BUILD_ISOLATION"
    r"|NO_SOURCES|NO_SOURCES_PACKAGE)"
)
_NAME_FILES = {
    "UV_CONSTRAINT",
    "UV_BUILD_CONSTRAINT",
    "UV_OVERRIDE",
    "UV_EXCLUDE",
    "UV_CONFIG_FILE",
}
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")

# A line of requirements.txt that names a file or a folder: `-r other.txt`, `-e .`, `./a.whl`,
# `name @ file:///...`. A URL of an index or of a wheel elsewhere is none.
_NAMES_A_FILE = re.compile(
    r"-[rcef]|--(requirement|constraint|editable|find-links)\b"
    r"|\.{1,2}(/|$)|[^:@]*/|.*\bfile:|[^:@]*\.(whl|zip|tar\.gz)\b"
)


class Pins(Struct, frozen=True):
    """The versions to install, as somebody wrote them down (``--lock-to``)."""

    path: Path
    text: str


class Source(Struct, frozen=True, kw_only=True):
    """The bundle, as far as it decides what is in its environment."""

    path: Path
    """The bundle's folder: read from, never written to."""
    name: str | None
    digest: str
    requirements_from: str
    """``uv.lock``, ``pyproject.toml`` or ``requirements.txt``."""
    installable: bool
    """Whether the bundle is itself a project to install."""
    dependencies: tuple[str, ...] | None
    """``[project] dependencies``; ``None`` where they are dynamic or not declared there."""
    files: tuple[str, ...]
    """The bundle's content, as paths relative to its folder."""
    pins: Pins | None = None
    """What to install in place of what the bundle's own files lead to."""


class Base(Struct, frozen=True, kw_only=True):
    """The interpreter that an environment is made from."""

    path: Path
    version: str
    implementation: str
    soabi: str | None
    platform: str


def dependencies_key(source: Source, base: Base, environ: Mapping[str, str]) -> str:
    """The key of the environment that holds the bundle's dependencies.

    :raises OSError: a file that decides it cannot be read.
    """
    requirements = (source.requirements_from, _requirements(source))
    return digest(FORMAT, interpreter_of(base), requirements, decisive(environ))


def decisive(environ: Mapping[str, str]) -> dict[str, list[str]]:
    """The variables that decide what uv installs, with what they say.

    :raises OSError: a file that one of them names cannot be read.
    """
    return {
        name: _variable(name, value)
        for name, value in environ.items()
        if _DECISIVE_VARIABLES.fullmatch(name)
    }


def interpreter_of(base: Base) -> tuple[str, str, str | None, str]:
    """What of an interpreter decides what is installed for it."""
    return base.implementation, base.version, base.soabi, base.platform


def _variable(name: str, value: str) -> list[str]:
    """What a variable says: what the files it names contain, its text without credentials."""
    if name not in _NAME_FILES:
        return [_CREDENTIALS.sub("", value)]
    # Relative ones are looked for where uv runs, in the copy of the bundle.
    files = map(Path, value.split())
    return [_file_digest(file) if file.is_absolute() else str(file) for file in files]


def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def layer_key(source: Source, dependencies: str) -> str:
    """The key of the layer that holds the bundle itself, upon these dependencies."""
    return digest(FORMAT, "layer", dependencies, source.digest)


def has_dependencies(source: Source) -> bool:
    """Whether there is anything to install beside the bundle itself."""
    if source.pins is not None:
        return "==" in source.pins.text or "@" in source.pins.text
    if source.requirements_from == "requirements.txt":
        return any(_requirement_lines(source))
    return source.dependencies != ()


def _requirements(source: Source) -> list[Any]:
    """What decides which dependencies are installed."""
    if source.pins is not None:
        return [source.pins.text]
    if source.requirements_from == "requirements.txt":
        lines = list(_requirement_lines(source))
        # What the files it names contain is known only to the bundle's digest.
        whole = any(_NAMES_A_FILE.match(line) for line in lines)
        return [lines, _content(source, "uv.toml"), source.digest if whole else None]
    pyproject = read_pyproject(source)
    settings = pyproject.get("tool", {}).get("uv", {})
    whole = names_content(settings, source)
    if source.requirements_from == "uv.lock":
        # It holds what the dependencies have become, dynamic ones too. What they are declared as
        # decides whether it is outdated.
        python = pyproject.get("project", {}).get("requires-python")
        declared: Any = [_content(source, "uv.lock"), sorted(source.dependencies or ()), python]
    else:
        declared = sorted(source.dependencies or ())
        whole = whole or source.dependencies is None
    # uv reads uv.toml in place of [tool.uv].
    return [
        declared,
        settings,
        _content(source, "uv.toml"),
        source.digest if whole else None,
    ]


def read_pyproject(source: Source) -> dict[str, Any]:
    return tomllib.loads((source.path / "pyproject.toml").read_text("utf-8"))


def _content(source: Source, name: str) -> str | None:
    """The digest of a file, where it is part of the bundle."""
    if name not in source.files:
        return None
    return _file_digest(source.path / name)


def _requirement_lines(source: Source) -> Iterator[str]:
    text = (source.path / "requirements.txt").read_text("utf-8-sig", "surrogateescape")
    for line in text.splitlines():
        # A comment starts the line or follows white space (pip's requirements file format).
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if line:
            yield line


def _parts(files: Iterable[str]) -> set[str]:
    """Every file and every folder of the content."""
    return {str(part) for file in files for part in (Path(file), *Path(file).parents)}


def names_content(settings: object, source: Source) -> bool:
    """Whether uv's settings name a file or folder of the bundle: a source, wheels to find, ...

    Where a name only looks like one, an environment is built once more than need be.
    """
    return _names_content(settings, _parts(source.files))


def _names_content(setting: object, parts: set[str]) -> bool:
    if isinstance(setting, dict):
        # A workspace's members are given as patterns.
        return "workspace" in setting or any(
            _names_content(value, parts) for value in setting.values()
        )
    if isinstance(setting, list):
        return any(_names_content(value, parts) for value in setting)
    return isinstance(setting, str) and str(Path(setting)) in parts


def digest(*content: Any) -> str:
    """The key of what all this decides."""
    # Not as JSON, which has no room for what is no UTF-8: variables and files may be anything.
    text = repr(msgspec.to_builtins(content, order="sorted"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:KEY_DIGITS]
