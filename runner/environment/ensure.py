"""A venv of the cache: built once, by whoever comes first, while the others wait for it."""

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from runner.environment.cache_trust import close_to_strangers, make_folder
from runner.environment.store import Manifest, followed, hold, locked, publish, staging
from runner.environment.uv_run import Uv
from runner.environment.validity import is_whole

STAGED = "venv"
"""The name of the venv in the staging folder."""


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
