"""A venv that is not what was built is built again, and so is each that shares the files that were
written to.

uv links files from its cache: whoever writes to one in place writes to it in the cache, and in each
venv that it was linked into, also in those that are made meanwhile.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from runner.environment.file_states import files_changed, look, read_down, write_down
from runner.environment.integrity import Damage, damage
from runner.environment.store import Manifest, discard, read_manifest
from runner.environment.uses import end_use, is_abandoned, used, uses
from runner.environment.uv_run import forget_packages
from runner.events import Journal

_log = logging.getLogger(__name__)


async def heal(
    venv: Path, cache: Path, journal: Journal, uv: Path, *, but_added: bool = False
) -> bool:
    """Compare every file of a venv with what was installed.

    :param but_added: what was added is not damage.
    :returns: whether it was damaged; then it will be built again.
    """
    manifest = read_manifest(venv)
    if manifest is None:
        return False
    found = await anyio.to_thread.run_sync(damaged, venv, manifest)
    if but_added:
        found = msgspec.structs.replace(found, added=())
    if not found:
        return False
    if not discarded(venv, found, journal):
        return False
    await heal_linked(found, cache, journal, uv)
    return True


def discarded(venv: Path, damage: object, journal: Journal) -> bool:
    """Discard a venv that is damaged; whether that can be done."""
    journal.note(f"{venv} is damaged: {damage}")
    try:
        discard(venv)
    except OSError as error:
        journal.note(f"it cannot be built again: {error}")
        return False
    return True


def damaged(venv: Path, manifest: Manifest) -> Damage:
    """Find what is no longer as it was built; where that is nothing, note its states."""
    states = look(venv)  # before: what is written meanwhile is not taken for what was compared
    found = damage(venv, manifest.packages, manifest.as_built)
    if not found and manifest.dependencies is None:
        with suppress(OSError):  # on a disk that is read-only it is looked at each time
            write_down(venv, states, read_down(venv).digests)
    return found


async def heal_linked(found: Damage, cache: Path, journal: Journal, uv: Path) -> None:
    """Discard what uv has of the packages that were damaged, and the venvs with the same damage."""
    if not found.packages_changed:
        return
    await forget_packages(uv, found.packages_changed)
    for venv, manifest in _shared(cache):
        # Also what was linked after it was written to, and so is as it was when that was built.
        with suppress(OSError):
            other = await anyio.to_thread.run_sync(
                damage, venv, manifest.packages, manifest.as_built, found.packages_changed
            )
            if other.changed:
                journal.note(f"{venv} is damaged: {other}")
                discard(venv)


async def look_after_use(venv: Path, cache: Path, journal: Journal, uv: Path) -> bool:
    """See that what a bundle has written to the files that others share reaches nobody else.

    :returns: whether that was seen to.
    """
    try:
        if await anyio.to_thread.run_sync(files_changed, venv):
            await heal(venv, cache, journal, uv)
    except OSError as error:  # it is gone, and nobody else's either
        _log.info("%s was not looked at after it was used: %s", venv, error)
        return not venv.exists()
    return True


async def look_after_others(
    cache: Path, journal: Journal, uv: Path, *, at_work: bool = False
) -> None:
    """As :func:`look_after_use`, in the place of those who were killed.

    :param at_work: also of those who are at work.
    """
    for mark in uses(cache):
        with suppress(OSError), ExitStack() as held:
            abandoned = is_abandoned(mark, held)
            if not (abandoned or at_work):
                continue
            venv = used(mark)
            # Where it is gone, what it was linked from is not.
            there = venv is not None and await anyio.to_thread.run_sync(venv.is_dir)
            looked = [
                await look_after_use(one, cache, journal, uv)
                for one in ([venv] if venv and there else [one for one, _ in _shared(cache)])
            ]
            if abandoned and all(looked):
                end_use(mark)


def _shared(cache: Path) -> Iterator[tuple[Path, Manifest]]:
    """The venvs that are finished, with what they say of themselves."""
    for path in (*cache.glob("environments/*"), *cache.glob("backends/*")):
        if not path.is_symlink() and (manifest := read_manifest(path)) is not None:
            yield path, manifest
