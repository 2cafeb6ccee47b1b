"""The wheel of a bundle that is itself a project, built with a build backend that is kept.

uv makes an environment for every build, and asks the backend in it (PEP 517): half a second for a
line that was edited. So a venv with what ``[build-system] requires`` names is kept in the cache,
as the environments of bundles are, and shared by all that ask for the same; then a build costs its
hooks. What ``requires`` comes to is what it was when that venv was built.

Whatever is special is left to uv, and so is whatever fails: what is then said, and by whom, is the
same as if there were no such venv.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import anyio.to_thread
import msgspec
from msgspec import Struct

from runner.diagnosis.case import Case, Failure
from runner.environment.cache_key import (
    FORMAT,
    Source,
    decisive,
    digest,
    interpreter_of,
    names_content,
    read_pyproject,
)
from runner.environment.cached_venv import STAGED, built_once, new_manifest, python_of
from runner.environment.integrity import seal
from runner.environment.store import Manifest
from runner.environment.uv_run import Uv, build_environ, make_venv, run_uv
from runner.process.printed import printed_by
from runner.stored_files import read_json

_log = logging.getLogger(__name__)

# Settings and variables that say where packages are looked for, and nothing on how they are built
# or which are taken. With any other one, uv is to do it all.
_SETTINGS = {"default-groups", "dev-dependencies", "exclude-newer", "index", "managed", "package"}
_VARIABLES = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_URL|EXTRA_INDEX_URL|INDEX_STRATEGY|EXCLUDE_NEWER|FIND_LINKS"
    r"|NO_INDEX)"
)

# As uv's own, which takes the folder it runs in from the path, too.
_GET_REQUIRES = """\
import sys
del sys.path[0]
import importlib, json
backend, answer = sys.argv[1:]
module, _, names = backend.partition(":")
found = importlib.import_module(module)
for name in filter(None, names.split(".")):
    found = getattr(found, name)
hook = getattr(found, "get_requires_for_build_wheel", None)
with open(answer, "w") as file:
    json.dump(list(hook() if hook else []), file)
"""
_MAX_ANSWER_BYTES = 100_000


class BuildSystem(Struct, frozen=True, rename="kebab"):
    """``[build-system]`` (PEP 518)."""

    requires: tuple[str, ...]
    build_backend: str
    backend_path: tuple[str, ...] = ()


def build_system(source: Source, environ: Mapping[str, str]) -> BuildSystem | None:
    """Return what builds a bundle, where it can be kept.

    :returns: ``None`` where uv is to do it all: the backend is part of the bundle or by default,
        a requirement is not a name and versions, or uv is told how to build or resolve.
    """
    pyproject = read_pyproject(source)
    settings = pyproject.get("tool", {}).get("uv", {})
    if (
        "uv.toml" in source.files
        or not settings.keys() <= _SETTINGS
        or names_content(settings, source)
        or not all(_VARIABLES.fullmatch(name) for name in decisive(environ))
    ):
        return None
    try:
        found = msgspec.convert(pyproject.get("build-system"), BuildSystem)
    except msgspec.ValidationError:
        return None
    return found if all(map(_is_plain, found.requires)) and not found.backend_path else None


def _is_plain(requirement: str) -> bool:
    """Tell whether it is a name and versions, and nothing that uv takes for an option or file."""
    from runner.diagnosis.knowledge.requirement_text import read_requirement

    read = read_requirement(requirement)
    return read is not None and read.url is None


async def install_wheel(
    system: BuildSystem, uv: Uv, copy: Path, venv: Path, shared: Path, cache: Path
) -> bool:
    """Build a bundle's wheel with a backend that is kept, and install it.

    :param venv: where to install it: a thin one upon ``shared``.
    :returns: whether it is installed; else uv is to do it all, and says what is wrong.
    """
    journal = uv.case.journal
    # Told as it happens, and not recorded: what a report follows from is what uv then says.
    case = Case(journal.emit)
    case.evidence = uv.case.evidence
    uv = msgspec.structs.replace(uv, case=case)
    with ExitStack() as holds:
        try:
            wheel = await _build(system, uv, copy, cache, holds)
            # uv knows the Python of the shared venv; it would start that of the thin one, to see
            # what it is. But scripts find theirs only where it is installed for that.
            into = [python_of(shared), "--prefix", venv]
            if _has_scripts(wheel):
                into = [python_of(venv)]
            command = ["pip", "install", "--no-deps", str(wheel), "--python", *map(str, into)]
            await run_uv(uv, "bundle", command, cwd=copy)
        except (Failure, OSError, ValueError, BadZipFile) as error:
            _log.info("%s is built by uv alone: %s", uv.source.path, error)
            journal.note("uv builds the bundle by itself, with a build backend of its own")
            case.evidence.uv = None
            return False
    return True


async def _build(system: BuildSystem, uv: Uv, copy: Path, cache: Path, holds: ExitStack) -> Path:
    """Build the wheel; returns where it is.

    :raises Failure: uv failed, or the backend in it.
    :raises ValueError: a hook did not answer as PEP 517 has it.
    """
    backend = await _backend(system.requires, uv, copy, cache, holds)
    asked = await _get_requires(system, backend, uv, copy)
    if asked:
        backend = await _backend([*system.requires, *asked], uv, copy, cache, holds)
    folder = copy.with_name("wheels")
    command = ["build", "--wheel", "--no-build-isolation", "--python", str(python_of(backend))]
    await run_uv(uv, "bundle", [*command, "--out-dir", str(folder), "."], cwd=copy)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _has_scripts(wheel: Path) -> bool:
    """Tell whether a wheel has any (its entry points, and the wheel format's ``.data/scripts``)."""
    with ZipFile(wheel) as file:
        for name in file.namelist():
            if name.endswith(".dist-info/entry_points.txt") and b"_scripts]" in file.read(name):
                return True
            if ".data/scripts/" in name:
                return True
    return False


async def _backend(
    requires: Sequence[str], uv: Uv, copy: Path, cache: Path, holds: ExitStack
) -> Path:
    """The venv with what a build requires, built if need be, and held."""
    settings = read_pyproject(uv.source).get("tool", {}).get("uv", {})
    key = digest(
        FORMAT, "backend", interpreter_of(uv.base), requires, settings, decisive(uv.environ)
    )
    venv = cache / "backends" / key

    async def make(beside: Path) -> Manifest:
        built = beside / STAGED
        await make_venv(uv, built, cwd=copy)
        if requires:
            command = ["pip", "install", "--python", str(python_of(built)), *requires]
            await run_uv(uv, "dependencies", command, cwd=copy)
        await anyio.to_thread.run_sync(seal, built)
        return await new_manifest(uv, venv, built)

    await built_once(venv, uv, holds, make)
    return venv


async def _get_requires(system: BuildSystem, backend: Path, uv: Uv, copy: Path) -> list[str]:
    """Return what the backend asks for besides, for this very bundle.

    :raises ValueError: it does not answer, or not as PEP 517 has it.
    """
    answer = copy.with_name("requires.json")
    path = os.pathsep.join([str(backend / "bin"), uv.environ.get("PATH", os.defpath)])
    # What the hook says is said again by the one that fails without us.
    ran = await printed_by(
        [str(python_of(backend)), "-c", _GET_REQUIRES, system.build_backend, str(answer)],
        env={**build_environ(uv.environ, copy), "VIRTUAL_ENV": str(backend), "PATH": path},
        cwd=copy,
    )
    if ran.exit is None or ran.exit.code != 0:
        raise ValueError(f"get_requires_for_build_wheel of {system.build_backend} failed")
    asked = read_json(answer, list[str], _MAX_ANSWER_BYTES)
    if not all(map(_is_plain, asked)):
        raise ValueError(f"{system.build_backend} asks for {asked}")
    return asked
