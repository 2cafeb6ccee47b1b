"""Checks that uv.lock still says what pyproject.toml asks for.

``uv sync --frozen`` installs what is locked and does not look; ``--locked`` looks, but resolves
anew over the network for it. uv.lock records what the project asked for when it was locked, so the
two can be compared as they stand. Only what applies on this interpreter and platform counts, and
what cannot be decided is not complained about.
"""

import shlex
from typing import Any

import msgspec
from msgspec import Struct, field
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.environment.cache_key import Source, read_pyproject
from runner.events import Phase
from runner.interpreter.model import Interpreter
from runner.toml import tomllib


class _Requirement(Struct):
    name: str
    specifier: str = ""
    marker: str | None = None
    extras: list[str] = []


class _Metadata(Struct, rename="kebab"):
    requires_dist: list[_Requirement] = []


class _Package(Struct):
    name: str
    source: dict[str, Any] = {}
    metadata: _Metadata = field(default_factory=_Metadata)
    dependencies: list[Any] = []


class _Lock(Struct, rename="kebab"):
    requires_python: str | None = None
    package: list[_Package] = []


_Wanted = dict[NormalizedName, set[tuple[frozenset[str], SpecifierSet]]]


WITHOUT_LOCK = Hint(title="or leave uv.lock out of account: --ignore-lock (ignore_lock=True)")
"""The hint for a run whose user may not write to the bundle."""


def check_lock(source: Source, base: Interpreter) -> None:
    """Compare a bundle's uv.lock with its pyproject.toml.

    :raises Failure: ``lock-outdated``: they differ in something that matters on this interpreter.
    """
    try:
        difference = _difference(source, base)
    except (ValueError, RecursionError):  # TOML's, msgspec's and packaging's are ValueErrors
        return  # uv says better what it cannot read
    if difference is None:
        return
    path = shlex.quote(str(source.path))
    raise Failure.of(
        Phase.ENVIRONMENT,
        Code.LOCK_OUTDATED,
        f"uv.lock is older than pyproject.toml: {difference}",
        "What is locked is what gets installed, so the bundle would run without what its"
        " pyproject.toml asks for.",
        Hint(title="lock it anew", command=f"uv lock --project {path}"),
        WITHOUT_LOCK,
    )


def _difference(source: Source, base: Interpreter) -> str | None:
    text = (source.path / "uv.lock").read_text("utf-8")
    lock = msgspec.convert(tomllib.loads(text), _Lock)
    if lock.requires_python and not SpecifierSet(lock.requires_python).contains(
        base.version, prereleases=True
    ):
        return f"it was locked for Python {lock.requires_python}, and this is {base.version}"
    kinds = ("editable", "virtual", "directory")
    of_folder = (one for one in lock.package if "." in map(one.source.get, kinds))
    project = next(of_folder, None)
    if project is None or source.dependencies is None:
        return None
    if project.dependencies and not project.metadata.requires_dist:
        return None  # locked by a uv that did not record what was asked for
    environment = marker_environment(base)
    declared = _wanted([Requirement(text) for text in source.dependencies], environment)
    locked = _wanted(
        [
            Requirement(
                f"{one.name}[{','.join(one.extras)}]{one.specifier}"
                + (f"; {one.marker}" if one.marker else "")
            )
            for one in project.metadata.requires_dist
        ],
        environment,
    )
    elsewhere = {canonicalize_name(name) for name in _sources(source)} | {
        canonicalize_name(requirement.name)
        for requirement in map(Requirement, source.dependencies)
        if requirement.url
    }
    for name in sorted(declared.keys() | locked.keys()):
        if name not in locked:
            return f"it does not have {_text(name, declared)}"
        if name not in declared:
            return f"it still has {_text(name, locked)}, which is no longer asked for"
        if name not in elsewhere and declared[name] != locked[name]:
            return f"it was locked for {_text(name, locked)}, not for {_text(name, declared)}"
    return None


def _sources(source: Source) -> dict[str, Any]:
    """The packages that come from elsewhere than an index, where a version says nothing."""
    sources = read_pyproject(source).get("tool", {}).get("uv", {}).get("sources", {})
    return sources if isinstance(sources, dict) else {}


def _wanted(requirements: list[Requirement], environment: dict[str, str]) -> _Wanted:
    """Return what is asked for on this interpreter. uv rewrites markers, but not what they mean."""
    wanted: _Wanted = {}
    for one in requirements:
        if one.marker is None or Marker(str(one.marker)).evaluate(environment):
            extras = frozenset(canonicalize_name(extra) for extra in one.extras)
            wanted.setdefault(canonicalize_name(one.name), set()).add((extras, one.specifier))
    return wanted


def _text(name: NormalizedName, wanted: _Wanted) -> str:
    texts = []
    for extras, specifier in sorted(wanted[name], key=str):
        texts.append(f"{name}[{','.join(sorted(extras))}]" if extras else name)
        texts[-1] += str(specifier)
    return " and ".join(texts)


def marker_environment(base: Interpreter) -> dict[str, str]:
    """The values of markers (PEP 508) for the interpreter, on the machine that this runs on."""
    major, minor, *_ = base.version.split(".")
    implementation = {"cpython": "CPython", "pypy": "PyPy"}.get(
        base.implementation.lower(), base.implementation
    )
    return {
        **{name: str(value) for name, value in default_environment().items()},
        "python_version": f"{major}.{minor}",
        "python_full_version": base.version,
        "implementation_name": base.implementation.lower(),
        "platform_python_implementation": implementation,
        "extra": "",
    }
