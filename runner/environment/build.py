"""Building an environment, or finding that it is built already.

It has two layers. The dependencies are a venv that all bundles with the same dependencies share.
The bundle itself, where it is a project to install, is a folder for ``sys.path`` upon it, so that
editing a line of a model reinstalls nothing else.
"""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec import Struct

from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.report import EnvironmentInfo, Hint
from runner.environment.keys import (
    Base,
    Source,
    dependencies_key,
    has_dependencies,
    layer_key,
)
from runner.environment.store import (
    Manifest,
    finished,
    locked,
    note_damage,
    own_io,
    publish,
    staging,
    temporary_folder,
)
from runner.environment.uv_run import Uv, run_uv
from runner.events import Origin, Phase


class Environment(Struct, frozen=True):
    """An environment that is ready."""

    path: Path
    """The venv."""
    python: Path
    site: list[Path]
    """Folders that the child adds to its site (``site.addsitedir``): the bundle itself."""
    key: str
    reused: bool
    """Whether nothing had to be built."""


@asynccontextmanager
async def environment(
    source: Source,
    base: Base,
    *,
    case: Case,
    cache: Path,
    uv: Path,
    environ: Mapping[str, str],
    fresh: bool = False,
    timeout: float | None = None,
) -> AsyncIterator[Environment]:
    """The environment of a bundle, built if need be.

    Any number of processes may ask for the same one: one builds, the others wait for it.

    :param cache: the folder where environments are kept.
    :param uv: the uv to build with.
    :param environ: the worker's variables, of which uv gets what it needs.
    :param fresh: build one for this run, and remove it on leaving.
    :param timeout: seconds that building may take, with the wait for another builder.
    :raises Failure: it could not be built.
    """
    runs = Uv(uv, case, environ, source, base)
    async with AsyncExitStack() as stack:
        built: Environment | None = None
        # Not around the yield: what the run itself raises has nothing to do with the cache.
        with own_io(cache), anyio.move_on_after(timeout):
            key = dependencies_key(source, base, environ)
            _know(case, EnvironmentInfo(key=key, requirements_from=source.requirements_from))
            root = cache
            if fresh:
                root = await stack.enter_async_context(temporary_folder(cache / "fresh", case))
            built = await _ready(source, base, key, root, runs)
        if built is None:
            assert timeout is not None
            raise Failure(_timed_out(source, runs, timeout))
        _know(
            case,
            EnvironmentInfo(
                path=str(built.path),
                key=key,
                reused=built.reused,
                requirements_from=source.requirements_from,
                site=[str(folder) for folder in built.site],
            ),
        )
        yield built


def _know(case: Case, info: EnvironmentInfo) -> None:
    case.environment = info
    case.journal.fact(Origin.ENVIRONMENT, info)


async def _ready(source: Source, base: Base, key: str, root: Path, uv: Uv) -> Environment:
    """Find or build both layers under ``root``."""
    venv = root / "environments" / key
    site: list[Path] = []
    reused = await _dependencies(source, base, venv, uv)
    if source.installable:
        layer = root / "layers" / layer_key(source, key)
        reused = await _bundle(source, venv, layer, uv) and reused
        site.append(layer)
    return Environment(venv, _python(venv), site, key, reused)


async def _dependencies(source: Source, base: Base, venv: Path, uv: Uv) -> bool:
    """Make sure of the venv; whether it was there."""
    if _usable(venv):
        return True
    if source.requirements_from == "uv.lock":
        from runner.environment.lock import check_lock  # 10 ms, and not needed for what is built

        check_lock(source, base)
    async with locked(venv, uv.case):
        if _usable(venv):
            return True
        note_damage(venv, uv.case)
        async with staging(venv) as beside:
            copy = await _copy(source, beside)
            built = beside / "venv"
            # Relocatable, so that console scripts run after the rename too.
            await run_uv(
                uv,
                "venv",
                [
                    "venv",
                    "--quiet",
                    "--no-project",
                    "--relocatable",
                    "--python",
                    str(base.path),
                    str(built),
                ],
                cwd=copy,
            )
            if has_dependencies(source):
                await run_uv(
                    uv,
                    "dependencies",
                    [*_install_command(source), "--python", str(_python(built))],
                    cwd=copy,
                    extra_environ={"UV_PROJECT_ENVIRONMENT": str(built)},
                )
            publish(built, venv, _manifest(source, uv, venv), beside)
    return False


async def _bundle(source: Source, venv: Path, layer: Path, uv: Uv) -> bool:
    """Make sure of the bundle's own layer; whether it was there."""
    if finished(layer):
        return True
    async with locked(layer, uv.case):
        if finished(layer):
            return True
        note_damage(layer, uv.case)
        async with staging(layer) as beside:
            copy = await _copy(source, beside)
            built = beside / "layer"
            command = ["pip", "install", "--no-deps", "--target", str(built)]
            await run_uv(uv, "bundle", [*command, "--python", str(_python(venv)), "."], cwd=copy)
            publish(built, layer, _manifest(source, uv, layer), beside)
    return False


def _python(venv: Path) -> Path:
    return venv / "bin" / "python"


def _install_command(source: Source) -> list[str]:
    if source.requirements_from == "uv.lock":
        return ["sync", "--frozen", "--no-install-project", "--no-default-groups"]
    return ["pip", "install", "-r", source.requirements_from]


def _usable(venv: Path) -> bool:
    """Whether the venv is finished, and the interpreter that it was made from still there."""
    return finished(venv) and os.access(_python(venv), os.X_OK)


def _manifest(source: Source, uv: Uv, folder: Path) -> Manifest:
    created = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Manifest(folder.name, uv.base.version, source.requirements_from, created)


async def _copy(source: Source, beside: Path) -> Path:
    """Copy the bundle's content: build backends write into the folder that they build."""
    copy = beside / "bundle"
    await anyio.to_thread.run_sync(_copy_files, source, copy)
    # uv looks for settings in the folders above as well, and stops at the first that has some.
    # Those above the cache are not the bundle's.
    (beside / "uv.toml").touch()
    return copy


def _copy_files(source: Source, copy: Path) -> None:
    copy.mkdir()
    for name in source.files:
        original, target = source.path / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if original.is_file():
            shutil.copy(original, target)
        else:
            # A link to a folder of the bundle; in the copy it must not lead back to the bundle.
            folder = original.parent.resolve()
            target.symlink_to(os.path.relpath(folder / original.readlink(), folder))


def _timed_out(source: Source, uv: Uv, timeout: float) -> Finding:
    name = source.name or source.path.name
    run = uv.case.evidence.uv
    if run is None:
        what = "uv was not at work here: another process may still be building the same one"
    else:
        what = f"`{' '.join(['uv', *run.argv[1:3]])}` was still at work"
    return Finding(
        phase=Phase.ENVIRONMENT,
        code=Code.ENVIRONMENT_TIMEOUT,
        summary=f"the environment of {name} was not built within {timeout:g} s",
        explanation=f"When the time was up, {what}. Nothing half-built is left; what uv has"
        " downloaded stays in its cache.",
        hints=[Hint(title="run it again: the next build starts from uv's cache")],
    )
