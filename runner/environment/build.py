"""Building an environment, or finding that it is built already.

It has two layers. The dependencies are a venv that all bundles with the same dependencies share,
and that none of them writes to. Upon it each bundle has a thin venv of its own, with the bundle
itself where that is a project to install: editing a line of a model reinstalls nothing else, and
what a bundle installs while it runs stays there.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from msgspec import Struct
from msgspec.structs import replace

from runner.diagnosis.case import Case, Failure, Finding
from runner.diagnosis.report.codes import Code
from runner.diagnosis.report.model import EnvironmentInfo, Hint
from runner.environment.bundle_layer import link_what_is_shared, make_thin
from runner.environment.cache_folder import check_trust, make_cache
from runner.environment.cache_key import (
    Source,
    declaring,
    dependencies_key,
    has_dependencies,
    index_options,
    interpreter_of,
    is_pylock,
    layer_key,
    may_be_built,
)
from runner.environment.cached_venv import (
    STAGED,
    built_once,
    heal_links,
    is_whole,
    new_manifest,
    python_of,
)
from runner.environment.healing import heal, look_after_others, look_after_use
from runner.environment.integrity import (
    content_digest,
    packages,
    remove_bytecode,
    seal,
    site_packages,
)
from runner.environment.own_io import own_io
from runner.environment.store import (
    Manifest,
    followed,
    publish_link,
    read_manifest,
    same_content,
    temporary_folder,
)
from runner.environment.uses import begin_use, end_use
from runner.environment.uv_run import Others, Uv, make_venv, run_uv
from runner.events import Origin
from runner.interpreter.model import Interpreter
from runner.process.guardian import guarded_folder
from runner.stored_files import whole_file

_PINS = "modelops-lock.txt"
_PYLOCK = "pylock.toml"


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
    """True if nothing had to be built."""
    cache: Path
    """The folder where environments are kept."""


@asynccontextmanager
async def environment(
    source: Source,
    base: Interpreter,
    *,
    case: Case,
    cache: Path,
    uv: Path,
    environ: Mapping[str, str],
    others: Others | None = None,
    fresh: bool = False,
    timeout: float | None = None,
) -> AsyncIterator[Environment]:
    """The environment of a bundle, built if need be.

    Any number of processes may ask for the same one: one builds, the others wait for it.

    :param environ: the worker's variables; uv gets those that it needs.
    :param others: finds the other interpreters that the bundle accepts, the newest first; a hint
        may name one.
    :param fresh: build one for this run, and remove it on leaving.
    :param timeout: seconds that building may take, with the wait for another builder.
    :raises Failure: it could not be built.
    """
    runs = Uv(uv, case, environ, source, base, others)
    async with AsyncExitStack() as stack:
        built: Environment | None = None
        # Not around the yield: what the run itself raises has nothing to do with the cache.
        with own_io(cache), anyio.move_on_after(timeout):
            make_cache(cache, environ)
            check_trust(cache, environ)
            # In a thread: a lock may have megabytes.
            key = await anyio.to_thread.run_sync(dependencies_key, source, base, environ)
            info = EnvironmentInfo(key=key, requirements_from=source.requirements_from)
            _tell(case, info)
            await look_after_others(cache, case.journal, uv)
            root = cache
            if fresh:
                root = await stack.enter_async_context(temporary_folder(cache / "fresh", case))
            holds = stack.enter_context(ExitStack())
            built = await _both_venvs(source, base, key, root, cache, runs, holds)
        if built is None:
            assert timeout is not None
            raise _timed_out(source, runs, timeout)
        mark = begin_use(cache, built.path, stack.enter_context(ExitStack()))
        info = replace(
            info, path=str(built.path), reused=built.reused, site=list(map(str, built.site))
        )
        _tell(case, info)
        try:
            yield built
        finally:
            with anyio.CancelScope(shield=True):
                if await look_after_use(built.path, cache, case.journal, uv):
                    end_use(mark)


def _tell(case: Case, info: EnvironmentInfo) -> None:
    case.environment = info
    case.journal.fact(Origin.ENVIRONMENT, info)


async def _both_venvs(
    source: Source, base: Interpreter, key: str, root: Path, cache: Path, uv: Uv, holds: ExitStack
) -> Environment:
    """Find or build both layers under ``root``, and hold them."""
    shared, own = venvs_of(source, key, root, uv.environ)
    had = await _ensure_shared(source, base, shared, cache, uv, holds)
    shared = followed(shared)
    reused = await _ensure_own(source, shared, own, root, uv, holds) and had
    site = [site_packages(own)] if source.installable else []
    return Environment(shared, own, python_of(own), site, key, reused, cache)


def environment_path(
    source: Source, base: Interpreter, root: Path, environ: Mapping[str, str]
) -> Path | None:
    """The bundle's own venv, where both layers are built."""
    shared, own = venvs_of(source, dependencies_key(source, base, environ), root, environ)
    return own if read_manifest(followed(shared)) and read_manifest(own) else None


def installed_packages(
    source: Source, base: Interpreter, root: Path, environ: Mapping[str, str]
) -> tuple[str, ...] | None:
    """The packages installed for a bundle, as ``numpy-2.4.6``; ``None`` where nothing is built."""
    shared, _ = venvs_of(source, dependencies_key(source, base, environ), root, environ)
    shared = followed(shared)
    return packages(shared) if read_manifest(shared) else None


def venvs_of(source: Source, key: str, root: Path, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Where under ``root`` the venv of the dependencies is, and the bundle's own upon it."""
    return root / "environments" / key, root / "layers" / layer_key(source, key, environ)


async def _ensure_shared(
    source: Source, base: Interpreter, venv: Path, cache: Path, uv: Uv, holds: ExitStack
) -> bool:
    """Make sure of the venv that is shared; whether it was there.

    A link to that of other requirements stands for it where they come to the same.
    """

    async def make(beside: Path) -> Manifest | None:
        if source.pins is not None or source.requirements_from == "uv.lock":
            from runner.environment.locks import (
                check_locks,  # 10 ms, and not needed where it is built
            )

            await anyio.to_thread.run_sync(check_locks, source, base)
        # uv is about to link what they may have written to.
        await look_after_others(cache, uv.case.journal, uv.path, at_work=True)
        copy = await _copy(source, beside, whole=may_be_built(source))
        built = beside / STAGED
        await make_venv(uv, built, cwd=copy)
        if has_dependencies(source):
            from runner.environment.older_wheels import install

            await install(
                uv,
                _install_command(source, copy),
                python_of(built),
                cwd=copy,
                extra_environ={"UV_PROJECT_ENVIRONMENT": str(built)},
            )
        # In threads: each package's list of files is read.
        content = await anyio.to_thread.run_sync(content_digest, built, interpreter_of(base))
        for other in await anyio.to_thread.run_sync(same_content, venv.parent, content):
            if other != venv and await is_whole(other, uv, holds):
                publish_link(other, venv, beside)
                return None
        await anyio.to_thread.run_sync(seal, built)
        return await new_manifest(uv, venv, built, content=content)

    return await built_once(venv, uv, holds, make)


async def _ensure_own(
    source: Source, shared: Path, own: Path, root: Path, uv: Uv, holds: ExitStack
) -> bool:
    """Make sure of the bundle's own venv; whether it was there."""

    async def make(beside: Path) -> Manifest:
        built = beside / STAGED
        await anyio.to_thread.run_sync(make_thin, built, shared)
        if source.installable:
            await _install(source, built, shared, root, beside, uv)
        await anyio.to_thread.run_sync(link_what_is_shared, built, shared, own)
        name = source.name or source.path.name
        return await new_manifest(uv, own, built, bundle=name, dependencies=shared.name)

    return await built_once(own, uv, holds, make, upon=shared)


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


async def lock_to(built: Environment, source: Source, uv: Uv, file: Path) -> None:
    """Write down which versions an environment has, for others to be given the same.

    :raises Failure: uv could not.
    :raises OSError: the file could not be written.
    """
    from runner.environment.locks import pins_of

    with guarded_folder() as folder:
        copy = await _copy(source, folder)
        pins = await pins_of(uv, built.path, copy, pylock=is_pylock(file))
    with whole_file(file) as written:
        written.write(pins.encode())


async def discard_damaged(built: Environment, case: Case, uv: Path) -> bool:
    """Compare every file of an environment with what was installed, once something failed in it.

    :returns: whether it was damaged; then it will be built again.
    """
    shared = await heal(built.path, built.cache, case.journal, uv)
    # What a bundle has added to its own is its own.
    own = await heal(built.own, built.cache, case.journal, uv, but_added=True)
    return shared or own or await heal_links(built.own, built.path, case.journal)


async def is_written_to(built: Environment, case: Case, uv: Path) -> bool:
    """Look whether a bundle has written to the files that others share; then it is discarded."""
    await look_after_use(built.path, built.cache, case.journal, uv)
    return read_manifest(built.path) is None


async def forget_bytecode(built: Environment, case: Case) -> bool:
    """Have Python compile every module anew; whether that is possible."""
    try:
        for venv in (built.path, built.own):
            await anyio.to_thread.run_sync(remove_bytecode, venv)
    except OSError as error:
        case.journal.note(f"what Python compiled in {built.path} stays: {error}")
        return False
    case.journal.note(f"what Python compiled in {built.path} is damaged; it compiles it anew")
    return True


def _install_command(source: Source, copy: Path) -> list[str]:
    if source.pins is not None and source.pins.is_pylock:
        (copy / _PYLOCK).write_text(source.pins.text)
        return ["pip", "install", "--preview-features", "pylock", "--no-deps", "-r", _PYLOCK]
    if source.pins is not None:
        # uv compares the hashes that are there.
        (copy / _PINS).write_text("\n".join([*index_options(source), source.pins.text]))
        return ["pip", "install", "--no-deps", "-r", _PINS]
    if source.requirements_from == "uv.lock":
        return ["sync", "--frozen", "--no-install-project", "--no-default-groups"]
    return ["pip", "install", "-r", source.requirements_from]


async def _copy(source: Source, beside: Path, *, whole: bool = True) -> Path:
    """Copy the bundle's content: build backends write into the folder that they build.

    :param whole: all of it; else the files that declare what it needs.
    :raises Failure: it is not any more what its digest is of.
    """
    copy = beside / "bundle"
    files = source.files if whole else declaring(source)
    await anyio.to_thread.run_sync(_copy_files, source.path, files, copy)
    # Afterwards: then nothing was edited before it was copied.
    if not await anyio.to_thread.run_sync(source.is_as_read):
        raise Failure(_edited(source))
    # uv looks for settings in the folders above as well, and stops at the first that has some.
    # Those above the cache are not the bundle's.
    (beside / "uv.toml").touch()
    return copy


def _copy_files(folder: Path, files: Iterable[str], copy: Path) -> None:
    copy.mkdir(parents=True)
    for name in files:
        original, target = folder / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if original.is_file():
            shutil.copy(original, target)
        elif original.is_symlink():
            # A link to a folder of the bundle; in the copy it must not lead back to the bundle.
            above = original.parent.resolve()
            target.symlink_to(os.path.relpath(above / original.readlink(), above))


def _edited(source: Source) -> Finding:
    return Finding.of(
        Code.ENVIRONMENT_FAILED,
        f"{source.name or source.path.name} was edited while its environment was built",
        "What was built would be neither what the bundle was nor what it is now."
        " Nothing of it is kept.",
        Hint("run it again"),
        retryable=True,
    )


def _timed_out(source: Source, uv: Uv, timeout: float) -> Failure:
    name, run = source.name or source.path.name, uv.case.evidence.uv
    what = "uv was not at work here: another process may still be building the same one"
    if run is not None:
        what = f"`{' '.join(['uv', *run.argv[1:3]])}` was still at work"
    return Failure.of(
        Code.ENVIRONMENT_TIMEOUT,
        f"the environment of {name} was not built within {timeout:g} s",
        f"When the time was up, {what}. Nothing half-built is left; what uv has downloaded stays in"
        " its cache.",
        Hint(
            "run it again with more time: the next build starts from uv's cache",
            command=uv.case.exec_command(f"--build-timeout {timeout * 10:g}"),
        ),
    )
