"""Building an environment, or finding that it is built already.

It has two layers. The dependencies are a venv that all bundles with the same dependencies share,
and that none of them writes to. Upon it each bundle has a thin venv of its own, with the bundle
itself where that is a project to install: editing a line of a model reinstalls nothing else, and
what a bundle installs while it runs stays there.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.codes import Code
from runner.diagnosis.report import EnvironmentInfo, Hint
from runner.diagnosis.text import one_line
from runner.environment.keys import (
    Base,
    Source,
    dependencies_key,
    has_dependencies,
    interpreter_of,
    layer_key,
)
from runner.environment.seal import (
    content_digest,
    damage,
    seal,
    site_packages,
)
from runner.environment.store import (
    discard,
    followed,
    hold,
    locked,
    own_io,
    publish,
    publish_link,
    read_manifest,
    same_content,
    staging,
    temporary_folder,
)
from runner.environment.thin import link_scripts, make_thin
from runner.environment.uv_run import Uv, make_venv, run_uv, uv_environ
from runner.environment.whole import PROBE_SECONDS, is_whole, new_manifest, python_of
from runner.events import Origin, Phase
from runner.process import spawn

_log = logging.getLogger(__name__)

_PINS = "modelops-lock.txt"


class Environment(Struct, frozen=True):
    """An environment that is ready."""

    path: Path
    """The venv of the dependencies."""
    own: Path
    """The bundle's own venv, upon it."""
    python: Path
    """The interpreter of the bundle's own venv."""
    site: list[Path]
    """Where the bundle itself is installed."""
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
            built = await _ready(source, base, key, root, runs, stack.enter_context(ExitStack()))
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


async def _ready(
    source: Source, base: Base, key: str, root: Path, uv: Uv, holds: ExitStack
) -> Environment:
    """Find or build both layers under ``root``, and hold them."""
    shared, own = places(source, key, root)
    shared, had = await _dependencies(source, base, shared, uv, holds)
    reused = await _bundle(source, shared, own, root, uv, holds) and had
    site = [site_packages(own)] if source.installable else []
    return Environment(shared, own, python_of(own), site, key, reused)


def environment_path(
    source: Source, base: Base, root: Path, environ: Mapping[str, str]
) -> Path | None:
    """The bundle's own venv, where both layers are built.

    :param root: the folder where environments are kept.
    """
    shared, own = places(source, dependencies_key(source, base, environ), root)
    return own if read_manifest(shared) and read_manifest(own) else None


def places(source: Source, key: str, root: Path) -> tuple[Path, Path]:
    """Where under ``root`` the venv of the dependencies is, and the bundle's own upon it."""
    return followed(root / "environments" / key), root / "layers" / layer_key(source, key)


async def _dependencies(
    source: Source, base: Base, venv: Path, uv: Uv, holds: ExitStack
) -> tuple[Path, bool]:
    """Make sure of the venv that is shared.

    :returns: where it is, which may be that of other requirements which came to the same, and
        whether it was there.
    """
    if await is_whole(venv, uv, holds):
        return venv, True
    if source.pins is not None:
        from runner.environment.pins import check_pins

        check_pins(source, source.pins, base)
    elif source.requirements_from == "uv.lock":
        from runner.environment.lock import check_lock  # 10 ms, and not needed for what is built

        check_lock(source, base)
    found = venv

    async def built_meanwhile() -> bool:
        nonlocal found
        found = followed(venv)  # whoever held the lock may have found one that stands for it
        return await is_whole(found, uv, holds, say=True)

    async with locked(venv, uv.case, unless=built_meanwhile) as to_build:
        if not to_build:
            return found, True
        async with staging(venv) as beside:
            copy = await _copy(source, beside)
            built = beside / "venv"
            await make_venv(uv, built, cwd=copy)
            if has_dependencies(source):
                await run_uv(
                    uv,
                    "dependencies",
                    [*_install_command(source, copy), "--python", str(python_of(built))],
                    cwd=copy,
                    extra_environ={"UV_PROJECT_ENVIRONMENT": str(built)},
                )
            content = content_digest(built, interpreter_of(base))
            for other in same_content(venv.parent, content):
                if await is_whole(other, uv, holds):
                    publish_link(other, venv, beside)
                    return other, False
            await anyio.to_thread.run_sync(seal, built)
            publish(built, venv, new_manifest(uv, venv, built, content=content), beside)
            hold(venv, holds)
    return venv, False


async def _bundle(
    source: Source, shared: Path, own: Path, root: Path, uv: Uv, holds: ExitStack
) -> bool:
    """Make sure of the bundle's own venv; whether it was there."""
    if await is_whole(own, uv, holds):
        return True

    async def built_meanwhile() -> bool:
        return await is_whole(own, uv, holds, say=True)

    async with locked(own, uv.case, unless=built_meanwhile) as to_build:
        if not to_build:
            return True
        async with staging(own) as beside:
            built = beside / "venv"
            make_thin(built, shared)
            if source.installable:
                await _install(source, built, shared, root, beside, uv)
            link_scripts(built, shared, own)
            manifest = new_manifest(
                uv,
                own,
                built,
                bundle=source.name or source.path.name,
                dependencies=shared.name,
            )
            publish(built, own, manifest, beside)
            hold(own, holds)
    return False


async def _install(
    source: Source, venv: Path, shared: Path, root: Path, beside: Path, uv: Uv
) -> None:
    """Install a bundle that is a project into its own venv."""
    from runner.environment.wheel import build_system, install_wheel

    system = build_system(source, uv.environ)
    if system is not None:
        copy = await _copy(source, beside / "kept")
        if await install_wheel(system, uv, copy, venv, shared, root):
            return
    copy = await _copy(source, beside)
    command = ["pip", "install", "--no-deps", "--python", str(python_of(venv)), "."]
    await run_uv(uv, "bundle", command, cwd=copy)


async def lock_to(built: Environment, source: Source, base: Base, uv: Uv, file: Path) -> None:
    """Write down which versions an environment has, for others to be given the same.

    :raises Failure: uv could not.
    """
    from runner.environment.pins import write_pins

    with tempfile.TemporaryDirectory(prefix="modelops-runner-") as folder:
        copy = await _copy(source, Path(folder))
        await write_pins(uv, built.path, copy, file)


async def discard_damaged(built: Environment, case: Case, uv: Path) -> bool:
    """Compare every file of an environment with what was installed, once something failed in it.

    :param uv: the uv that it was built with, whose cache may hold the same damage.
    :returns: whether it was damaged; then it will be built again.
    """
    discarded = False
    for venv in (built.path, built.own):
        manifest = read_manifest(venv)
        if manifest is None:
            continue
        found = await anyio.to_thread.run_sync(damage, venv, manifest.packages)
        if venv == built.own:
            found = msgspec.structs.replace(found, added=())  # what the bundle has installed itself
        if not found:
            continue
        case.journal.note(f"{venv} is damaged: {found}")
        try:
            discard(venv)
        except OSError as error:
            case.journal.note(f"it cannot be built again: {error}")
            return False
        discarded = True
        if found.packages_changed:
            # uv links files from its cache: they are changed there, too.
            await _forget(uv, found.packages_changed)
    return discarded


async def _forget(uv: Path, packages: Iterable[str]) -> None:
    said = bytearray()
    async with spawn(
        [str(uv), "cache", "clean", "--quiet", *packages],
        env=uv_environ(os.environ),
        cwd=Path.cwd(),
        stdout=said.extend,
        stderr=said.extend,
    ) as process:
        with anyio.move_on_after(PROBE_SECONDS):
            await process.wait()
    if said:
        _log.warning("uv cache clean: %s", one_line(said.decode("utf-8", "replace"), 400))


def _install_command(source: Source, copy: Path) -> list[str]:
    if source.pins is not None:
        # uv compares the hashes that are there.
        (copy / _PINS).write_text(source.pins.text)
        return ["pip", "install", "--no-deps", "-r", _PINS]
    if source.requirements_from == "uv.lock":
        return ["sync", "--frozen", "--no-install-project", "--no-default-groups"]
    return ["pip", "install", "-r", source.requirements_from]


async def _copy(source: Source, beside: Path) -> Path:
    """Copy the bundle's content: build backends write into the folder that they build."""
    copy = beside / "bundle"
    await anyio.to_thread.run_sync(_copy_files, source, copy)
    # uv looks for settings in the folders above as well, and stops at the first that has some.
    # Those above the cache are not the bundle's.
    (beside / "uv.toml").touch()
    return copy


def _copy_files(source: Source, copy: Path) -> None:
    copy.mkdir(parents=True)
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
