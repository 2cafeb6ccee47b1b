"""A resolution that is written down, so that every worker can be given the same one.

It has one version of each distribution and the hashes of its files: a requirements file, as
``uv pip compile --generate-hashes`` writes it, or a ``pylock.toml`` (PEP 751) where it is called
so. Both are readable, and installable by other tools too.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from runner.diagnosis.case import Failure
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import Hint
from runner.environment.cache_key import Pins, Source, has_dependencies
from runner.environment.lock import marker_environment
from runner.environment.uv_run import Uv, run_uv
from runner.events import Phase
from runner.interpreter.model import Interpreter
from runner.toml import tomllib

# Where the rest of a line is about files, not about what is asked for.
_REST = re.compile(r"\s+--hash=.*")


def read_pins(file: Path) -> Pins:
    """Read a file that ``--lock-to`` wrote.

    :raises Failure: it cannot be read.
    """
    try:
        return Pins(file, file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        command = f"modelops-runner check BUNDLE --lock-to {shlex.quote(str(file))}"
        raise Failure.of(
            Phase.ENVIRONMENT,
            Code.ENVIRONMENT_FAILED,
            f"the lock {file} cannot be read: {reason}",
            "",
            Hint(title="write one", command=command),
        ) from error


def kept_pylock(venv: Path, key: str) -> Path:
    """The lock of an environment's versions that a run has made, for the accounts of later runs.

    :param venv: the venv of the dependencies; a lock goes with it.
    :param key: the one of what was asked for. Other requirements may have come to the same venv.
    """
    return venv / f"modelops-{key}.pylock.toml"


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
    for text in texts:
        try:
            one = Requirement(_REST.sub("", text))
        except InvalidRequirement:
            continue
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
            Phase.ENVIRONMENT,
            Code.ENVIRONMENT_FAILED,
            f"the lock {pins.path} is not a pylock.toml (PEP 751): {error}",
            "",
            Hint(title="write it anew, with check --lock-to pylock.toml"),
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
    installed.write_text("".join(f"{line}\n" for line in _installed(venv)))
    options = ["--generate-hashes", "--no-header", "--no-annotate", "-c", installed.name]
    python = str(venv / "bin" / "python")
    arguments = ["pip", "compile", "-q", *form, *options, "--python", python]
    files = [uv.source.requirements_from, "-o", written.name]
    await run_uv(uv, "dependencies", [*arguments, *files], cwd=copy)
    # The copy is gone soon; another one will be where the pins are installed.
    return written.read_text("utf-8").replace(f"{copy.resolve().as_uri()}/", "./")


def _installed(venv: Path) -> list[str]:
    from runner.environment.integrity import packages

    # A dist-info folder's name is escaped: my_model-1.0 (the wheel format).
    return [name.replace("-", "==", 1) for name in packages(venv)]


def _outdated(source: Source, pins: Pins, why: str) -> Failure:
    anew = f"{shlex.quote(str(source.path))} --lock-to {shlex.quote(str(pins.path))}"
    return Failure.of(
        Phase.ENVIRONMENT,
        Code.LOCK_OUTDATED,
        f"{pins.path} does not match what {source.name or source.path.name} needs: {why}",
        "The file says which versions to install, and was written for other dependencies than the"
        " bundle has now.",
        Hint(title="write it anew", command=f"modelops-runner check {anew}"),
    )
