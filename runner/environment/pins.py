"""A resolution that is written down, so that every worker can be given the same one.

It is a requirements file with one version of each distribution and the hashes of its files, as
``uv pip compile --generate-hashes`` writes it: readable, and installable by other tools too.
"""

import re
import shlex
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from runner.diagnosis.case import Failure, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.report import Hint
from runner.environment.keys import Base, Pins, Source
from runner.environment.uv_run import Uv, run_uv
from runner.events import Phase

_PIN = re.compile(r"([A-Za-z0-9][\w.-]*)\s*==\s*([^\s;\\]+)")


def check_pins(source: Source, pins: Pins, base: Base) -> None:
    """See that what is written down is what the bundle asks for.

    What only a build knows, and what has a URL, cannot be compared and is not complained about.

    :raises Failure: ``lock-outdated``: a dependency is missing, or has another version.
    """
    found = {
        canonicalize_name(match[1]): match[2]
        for line in pins.text.splitlines()
        if (match := _PIN.match(line))
    }
    environment: dict[str, str] = {**default_environment(), "extra": ""}  # type: ignore[dict-item]
    environment["python_full_version"] = base.version
    environment["python_version"] = ".".join(base.version.split(".")[:2])
    for text in _declared(source):
        try:
            wanted = Requirement(text)
        except InvalidRequirement:
            continue
        if wanted.url or (wanted.marker and not wanted.marker.evaluate(environment)):
            continue
        version = found.get(canonicalize_name(wanted.name))
        if version is None:
            raise Failure(_outdated(source, pins, f"{wanted.name} is not in it"))
        if not wanted.specifier.contains(version, prereleases=True):
            raise Failure(
                _outdated(source, pins, f"it has {wanted.name} {version}, and {text} is asked for")
            )


async def write_pins(uv: Uv, venv: Path, copy: Path, to: Path) -> None:
    """Write down what is installed in an environment, with the hashes that the index has of it.

    :param venv: the venv of the dependencies.
    :param copy: a copy of the bundle's content, to run uv in.
    :param to: the file to write.
    :raises Failure: uv could not.
    """
    if uv.source.requirements_from == "uv.lock":
        options = ["--frozen", "--no-emit-project", "--no-default-groups", "--no-header"]
        await run_uv(uv, "dependencies", ["export", "-q", *options, "-o", str(to)], cwd=copy)
        return
    python = str(venv / "bin" / "python")
    installed = copy / "modelops-installed.txt"
    installed.write_text("".join(f"{line}\n" for line in _installed(venv)))
    options = ["--no-deps", "--generate-hashes", "--no-header", "--no-annotate"]
    arguments = ["pip", "compile", "-q", *options, "--python", python, "-o", str(to)]
    await run_uv(uv, "dependencies", [*arguments, installed.name], cwd=copy)


def _installed(venv: Path) -> list[str]:
    from runner.environment.seal import packages

    # A dist-info folder's name is escaped: my_model-1.0 (the wheel format).
    return [name.replace("-", "==", 1) for name in packages(venv)]


def _declared(source: Source) -> tuple[str, ...]:
    if source.requirements_from != "requirements.txt":
        return source.dependencies or ()
    lines = (source.path / "requirements.txt").read_text("utf-8", "replace").splitlines()
    return tuple(line.partition(" #")[0].strip() for line in lines)


def _outdated(source: Source, pins: Pins, why: str) -> Finding:
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.LOCK_OUTDATED,
        summary=f"{pins.path} does not match what {source.name or source.path.name} needs: {why}",
        explanation="The file says which versions to install, and was written for other"
        " dependencies than the bundle has now.",
        hints=[
            Hint(
                title="write it anew",
                command=f"modelops-runner check {shlex.quote(str(source.path))} --lock-to"
                f" {shlex.quote(str(pins.path))}",
            )
        ],
    )
