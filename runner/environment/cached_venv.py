"""A venv of the cache: built once, by whoever comes first, and used while it is as it was built."""

import os
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import anyio.to_thread

from runner.diagnosis.refusals import raise_lacking
from runner.diagnosis.report.text import one_line
from runner.environment.bundle_layer import SHARED_PTH, leads_to
from runner.environment.cache_folder import close_to_strangers, is_trusted, make_folder, planted
from runner.environment.file_states import files_changed, folders_changed
from runner.environment.healing import damaged, discarded, heal_linked
from runner.environment.integrity import Damage, damage, packages, site_packages
from runner.environment.store import (
    Manifest,
    followed,
    hold,
    locked,
    publish,
    read_manifest,
    staging,
)
from runner.environment.uses import uses
from runner.environment.uv_run import Uv
from runner.events import Journal, Phase
from runner.interpreter.model import Interpreter
from runner.process.printed import printed_by
from runner.stored_files import DamagedError, read_stored

CONFIG = "pyvenv.cfg"
STAGED = "venv"
"""The name of the venv in the staging folder."""

# A Python on a cold network disk takes seconds to start.
PROBE_SECONDS = 20.0


def python_of(venv: Path) -> Path:
    return venv / "bin" / "python"


async def is_whole(
    venv: Path, uv: Uv, holds: ExitStack, *, upon: Path | None = None, say: bool = False
) -> bool:
    """Tell whether a venv is there as it was built; then it is held.

    :param say: say what is wrong with one that is there.
    """
    with ExitStack() as mine:
        held = hold(venv, mine)
        wrong = await what_is_wrong(venv, uv.base, upon) if held else "it is not finished"
        if wrong is None and not is_trusted(uv.environ):
            try:
                wrong = planted(venv, site_packages(venv), own=upon is not None)
            except OSError as error:
                wrong = f"it cannot be looked through: {error}"
        if wrong is None:
            holds.push(mine.pop_all())
            return True
    if say and os.path.lexists(venv):
        uv.case.journal.note(f"{venv} is built again: {wrong}")
        if isinstance(wrong, Damage):
            await heal_linked(wrong, venv.parent.parent, uv.case.journal, uv.path)
    return False


async def what_is_wrong(
    venv: Path, base: Interpreter, upon: Path | None = None
) -> Damage | str | None:
    manifest = read_manifest(venv)
    if manifest is None:
        return "its manifest is damaged"
    if upon is not None and manifest.dependencies != upon.name:
        return f"it stands upon {manifest.dependencies}, and its dependencies are in {upon.name}"
    python = python_of(venv)
    try:
        stamp = _stamp(python)
    except OSError as error:
        return f"its Python is gone: {python}: {error.strerror}"
    if stamp != manifest.interpreter and (version := await _version_of(python)) != base.version:
        return f"its Python was {base.version} and is {version} now"
    if (unlike := unlike_built(venv, manifest, upon)) is not None or upon is not None:
        return unlike
    # Where somebody is at work, nobody has looked yet at what may have been written.
    in_use = uses(venv.parent.parent)
    if await anyio.to_thread.run_sync(folders_changed, venv) or (
        in_use and await anyio.to_thread.run_sync(files_changed, venv)
    ):
        # A copy has times of its own, and is as good.
        try:
            found = await anyio.to_thread.run_sync(damaged, venv, manifest)
        except (FileNotFoundError, NotADirectoryError) as error:
            return f"it cannot be looked through: {error}"
        if found:
            return found
    return None


def unlike_built(venv: Path, manifest: Manifest, upon: Path | None) -> str | None:
    """Say which file is not as it was built, of those without which Python finds no package."""
    try:
        if manifest.config is not None and config_of(venv) != manifest.config:
            return f"its {CONFIG} is not as it was built"
        if upon is not None and not leads_to(venv, upon):
            return f"its {SHARED_PTH} does not lead to {upon}"
    except (OSError, DamagedError) as error:
        return f"a file that Python needs cannot be read: {error}"
    return None


async def heal_links(venv: Path, upon: Path, journal: Journal) -> bool:
    """Compare what a bundle's own venv finds its packages by with what was built.

    :returns: whether it was damaged; then it will be built again.
    """
    manifest = read_manifest(venv)
    if manifest is None:
        return False
    wrong = await anyio.to_thread.run_sync(unlike_built, venv, manifest, upon)
    return wrong is not None and discarded(venv, wrong, journal)


def config_of(venv: Path) -> str:
    """:raises OSError: it cannot be read."""
    return read_stored(venv / CONFIG).decode("utf-8", "replace")


def _stamp(python: Path) -> tuple[int, int]:
    status = python.stat()
    return status.st_size, int(status.st_mtime)


async def _version_of(python: Path) -> str:
    """Return what an interpreter says its version is; what went wrong, where it does not."""
    argv = [str(python), "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        ran = await printed_by(argv, env=os.environ, cwd=python.parent, seconds=PROBE_SECONDS)
    except OSError as error:
        raise_lacking(Phase.ENVIRONMENT, error)
        return f"one that cannot be started ({error.strerror})"
    return one_line(ran.stdout + ran.stderr, 100) or "one that does not answer"


async def new_manifest(
    uv: Uv,
    folder: Path,
    built: Path,
    *,
    content: str | None = None,
    bundle: str | None = None,
    dependencies: str | None = None,
) -> Manifest:
    """Return what a venv is to say of itself.

    :param folder: where it will be.
    :param built: where it is.
    """
    again = dependencies is None and os.path.lexists(folder)
    installed, wrong = await anyio.to_thread.run_sync(_contents, built, again)
    return Manifest(
        key=folder.name,
        python=uv.base.version,
        interpreter=_stamp(python_of(built)),
        requirements_from=uv.source.requirements_from,
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        packages=installed,
        content=content,
        bundle=bundle,
        dependencies=dependencies,
        as_built=(*wrong.missing, *wrong.changed, *wrong.added),
        config=config_of(built),
    )


def _contents(built: Path, again: bool) -> tuple[tuple[str, ...], Damage]:
    """Return what is installed, and what of it is not as its package says.

    A package may be wrong about its own files, and must not have it built again and again.
    """
    installed = packages(built)
    return installed, damage(built, installed) if again else Damage()


async def built_once(
    folder: Path,
    uv: Uv,
    holds: ExitStack,
    make: Callable[[Path], Awaitable[Manifest | None]],
    *,
    upon: Path | None = None,
) -> bool:
    """Make sure of a venv, and hold it.

    :param folder: where it is to be; a link to another one may stand there for it.
    :param make: makes :data:`STAGED` in a staging folder, and returns what it is to say of itself;
        or has published something else, which is held then, and returns ``None``.
    :returns: whether it was there.
    :raises Failure: it could not be built.
    """

    async def is_there(*, say: bool = False) -> bool:
        # Anew each time: whoever had the lock may have found one that stands for it.
        return await is_whole(followed(folder), uv, holds, upon=upon, say=say)

    if await is_there():
        return True
    make_folder(folder.parent, uv.environ)
    async with locked(folder, uv.case, unless=partial(is_there, say=True)) as to_build:
        if not to_build:
            return True
        async with staging(folder) as beside:
            manifest = await make(beside)
            if manifest is not None:
                close_to_strangers(beside / STAGED, uv.environ)
                publish(beside / STAGED, folder, manifest, beside)
                hold(folder, holds)
    return False
