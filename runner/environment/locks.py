"""Locks: which versions to install, as uv or ``--lock-to`` wrote them down, and whether they fit.

``--lock-to`` writes one version of each distribution and the hashes of its files, so that every
worker can be given the same: a requirements file, as ``uv pip compile --generate-hashes`` writes
it, or a ``pylock.toml`` (PEP 751) where it is called so. Both are readable, and installable by
other tools too.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from runner.diagnosis.case import Failure
from runner.diagnosis.knowledge.requirement_text import read_requirement
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.environment.cache_key import Pins, Source, has_dependencies, read_pyproject
from runner.environment.integrity import packages
from runner.environment.uv_run import Uv, run_uv
from runner.interpreter.model import Interpreter
from runner.stored_files import read_stored
from runner.toml import tomllib

# Where the rest of a line is about files, not about what is asked for.
_REST = re.compile(r"\s+--hash=.*")
WITHOUT_LOCK = Hint("or leave uv.lock out of account: --ignore-lock (ignore_lock=True)")
"""The hint for a run whose user may not write to the bundle."""


def read_pins(file: Path) -> Pins:
    """Read a file that ``--lock-to`` wrote.

    :raises Failure: it cannot be read.
    """
    try:
        return Pins(file, read_stored(file).decode().replace("\r\n", "\n"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if isinstance(error, UnicodeDecodeError):
            reason = "it is not UTF-8"
        command = f"modelops-runner check BUNDLE --lock-to {shlex.quote(str(file))}"
        raise Failure.of(
            Code.ENVIRONMENT_FAILED,
            f"the lock {file} cannot be read: {reason}",
            "",
            Hint("write one", command=command),
        ) from error


def kept_pylock(venv: Path, key: str) -> Path:
    """The lock of an environment's versions that a run has made, for the accounts of later runs.

    :param venv: the venv of the dependencies; a lock goes with it.
    :param key: the one of what was asked for. Other requirements may have come to the same venv.
    """
    return venv / f"modelops-{key}.pylock.toml"


def check_locks(source: Source, base: Interpreter) -> None:
    """See that what is locked for a bundle is what it asks for.

    :raises Failure: ``lock-outdated``.
    """
    if source.pins is None:
        check_lock(source, base)
    else:
        check_pins(source, source.pins, base)


def check_pins(source: Source, pins: Pins, base: Interpreter) -> None:
    """See that what is written down is what the bundle asks for.

    What only a build knows, and what has a URL, cannot be compared and is not complained about.

    :raises Failure: ``lock-outdated``: a dependency is missing, or has another version.
    """
    environment = marker_environment(base)
    lines = _pylock_lines(pins) if pins.is_pylock else pins.lines
    pinned = list(_requirements(lines, environment))
    # A folder or a file is written without the name of what is in it.
    nameless = any(line.startswith((".", "/", "file:")) for line in lines)
    found = {canonicalize_name(one.name): one for one in pinned}
    for wanted in _requirements(source.dependencies or (), environment):
        one = found.get(canonicalize_name(wanted.name))
        if wanted.url or (one is not None and one.url):
            continue
        if one is None:
            if nameless:
                continue
            raise _outdated(source, pins, f"{wanted.name} is not in it")
        version = str(one.specifier).removeprefix("==")
        if not wanted.specifier.contains(version, prereleases=True):
            raise _outdated(source, pins, f"it has {one.name} {version}, and {wanted} is asked for")


def _requirements(texts: Iterable[str], environment: dict[str, str]) -> Iterator[Requirement]:
    """Those that count on this interpreter."""
    for one in filter(None, (read_requirement(_REST.sub("", text)) for text in texts)):
        if one.marker is None or one.marker.evaluate(environment):
            yield one


def _pylock_lines(pins: Pins) -> list[str]:
    """The packages of a pylock.toml as requirements; what is from no index has a URL.

    :raises Failure: it is not a pylock.toml.
    """
    try:
        packages = tomllib.loads(pins.text)["packages"]
        return [
            (
                f"{one['name']}=={one['version']}"
                if "version" in one
                else f"{one['name']} @ file:///"
            )
            + (f" ; {one['marker']}" if "marker" in one else "")
            for one in packages
        ]
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Failure.of(
            Code.ENVIRONMENT_FAILED,
            f"the lock {pins.path} is not a pylock.toml (PEP 751): {error}",
            "",
            Hint("write it anew, with check --lock-to pylock.toml"),
        ) from error


async def pins_of(uv: Uv, venv: Path, copy: Path, *, pylock: bool) -> str:
    """Return what is installed in an environment, with the hashes that the index has of it.

    :param pylock: as a ``pylock.toml``.
    :raises Failure: uv could not.
    """
    if pylock and not has_dependencies(uv.source):
        return 'lock-version = "1.0"\ncreated-by = "modelops-runner"\npackages = []\n'
    written = copy / ("pylock.toml" if pylock else "modelops-pins.txt")
    form = ["--format", "pylock.toml"] if pylock else []
    if uv.source.requirements_from == "uv.lock":
        options = ["--frozen", "--no-emit-project", "--no-default-groups", "--no-header"]
        arguments = ["export", "-q", *form, *options, "-o", written.name]
        await run_uv(uv, "dependencies", arguments, cwd=copy)
        return written.read_text("utf-8")
    # Resolved from what the bundle itself says, so that what comes from elsewhere than an index
    # does so again; to the versions that are installed.
    installed = copy / "modelops-installed.txt"
    # A dist-info folder's name is escaped: my_model-1.0 (the wheel format).
    versions = (name.replace("-", "==", 1) for name in packages(venv))
    installed.write_text("".join(f"{version}\n" for version in versions))
    options = ["--generate-hashes", "--no-header", "--no-annotate", "-c", installed.name]
    python = str(venv / "bin" / "python")
    arguments = ["pip", "compile", "-q", *form, *options, "--python", python]
    files = [uv.source.requirements_from, "-o", written.name]
    await run_uv(uv, "dependencies", [*arguments, *files], cwd=copy)
    # The copy is gone soon; another one will be where the pins are installed.
    return written.read_text("utf-8").replace(f"{copy.resolve().as_uri()}/", "./")


def _outdated(source: Source, pins: Pins, why: str) -> Failure:
    anew = f"{shlex.quote(str(source.path))} --lock-to {shlex.quote(str(pins.path))}"
    return Failure.of(
        Code.LOCK_OUTDATED,
        f"{pins.path} does not match what {source.name or source.path.name} needs: {why}",
        "The file says which versions to install, and was written for other dependencies than the"
        " bundle has now.",
        Hint("write it anew", command=f"modelops-runner check {anew}"),
    )


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


def check_lock(source: Source, base: Interpreter) -> None:
    """Compare a bundle's uv.lock with its pyproject.toml.

    ``uv sync --frozen`` installs what is locked and does not look; ``--locked`` looks, but resolves
    anew over the network for it. uv.lock records what the project asked for when it was locked, so
    the two can be compared as they stand. Only what applies on this interpreter and platform
    counts, and what cannot be decided is not complained about.

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
        Code.LOCK_OUTDATED,
        f"uv.lock is older than pyproject.toml: {difference}",
        "What is locked is what gets installed, so the bundle would run without what its"
        " pyproject.toml asks for.",
        Hint("lock it anew", command=f"uv lock --project {path}"),
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
        if one.marker is None or one.marker.evaluate(environment):
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
