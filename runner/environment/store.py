"""Folders that are built once and used by many: beside, then renamed into place, under a lock.

A folder is finished when its manifest is in it, which is written last. A builder that is killed
leaves a folder that nobody takes for finished; the next builder of the same key removes it.

Who uses a folder holds a shared lock (flock(2)) on its manifest, which the kernel lets go of when
the process ends, however it ends. Who removes one needs it alone. A manifest's time is the folder's
last use.
"""

import atexit
import errno
import fcntl
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from runner.diagnosis.case import Case
from runner.process.guardian import REMOVAL_SECONDS, remove_folder
from runner.stored_files import DamagedError, read_json

if TYPE_CHECKING:
    import filelock

_log = logging.getLogger(__name__)

MANIFEST = "modelops-manifest.json"
# What the manifest of a damaged folder is called: it is not finished any more, and may be in use.
_DISCARDED = "modelops-discarded.json"
HOLDS = (MANIFEST, _DISCARDED)
"""The files in a folder that those who use it have locked."""
BUILDING = ".building-"
LOCK = ".lock"
# How often a lock that another process holds is tried, at first and in the end: it cannot be waited
# for without a thread that no cancellation reaches. A bundle's own layer takes milliseconds.
_FIRST_POLL_SECONDS = 0.005
_POLL_SECONDS = 0.05

# A pipe in the place of a file is not waited for.
_AT_ONCE = os.O_CLOEXEC | os.O_NONBLOCK
WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""The errors of file systems without locks: NFS without a lock daemon, some of FUSE's."""


class Manifest(Struct, frozen=True, kw_only=True):
    """A finished folder's account of itself."""

    key: str
    python: str
    """The version of Python it was built for."""
    interpreter: tuple[int, int]
    """The size in bytes and the time, in seconds since the epoch, of that Python's executable."""
    requirements_from: str
    created_at: str
    """ISO 8601, UTC."""
    packages: tuple[str, ...] = ()
    """The distributions that are installed in it: ``numpy-2.4.6``."""
    content: str | None = None
    """The digest of what is installed, where it is an environment that is shared."""
    bundle: str | None = None
    """The name of the bundle, where it is one's own folder."""
    dependencies: str | None = None
    """The key of the environment below it, where it is a bundle's own folder."""
    as_built: tuple[str, ...] = ()
    """The files that were not what their package says of them when it was built."""
    config: str | None = None
    """The text of its pyvenv.cfg: without it, Python does not find what is installed."""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder that was built to its end: there, whole, and its own."""
    try:
        manifest = read_json(folder / MANIFEST, Manifest)
    except (OSError, DamagedError):
        return None
    return manifest if manifest.key == folder.name else None


def followed(folder: Path) -> Path:
    """The folder itself, or the one beside it that a link leads to and that is there."""
    if not folder.is_symlink():
        return folder
    target = Path(os.path.realpath(folder))  # Path.resolve raises RuntimeError where links loop
    return target if target.is_dir() and target.parent == folder.parent.resolve() else folder


def same_content(parent: Path, content: str) -> list[Path]:
    """The finished folders with this content."""
    return [
        path
        for path in parent.iterdir()
        if not path.is_symlink()
        and (manifest := read_manifest(path)) is not None
        and manifest.content == content
    ]


def hold(folder: Path, holds: ExitStack) -> bool:
    """Keep a finished folder from being removed until ``holds`` is closed.

    :returns: whether it is there to be held. Nothing is written: the folder may be on a disk that
        is read-only.
    """
    try:
        descriptor = os.open(folder / MANIFEST, os.O_RDONLY | _AT_ONCE)
    except OSError:
        return False
    mine = holds.enter_context(ExitStack())
    mine.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Whoever removes one moves it away first.
        same = os.path.samestat(os.fstat(descriptor), (folder / MANIFEST).stat())
    except (BlockingIOError, FileNotFoundError):
        same = False  # it is being removed
    except OSError as error:
        # A file system without locks: there, `env prune` may take what is in use.
        _log.debug("%s is used without a lock: %s", folder, error)
        same = True
    if not same:
        mine.close()
        return False
    with suppress(OSError):  # read-only, or another user's: its last use is then not known
        os.utime(descriptor)
    return True


def discard(folder: Path) -> None:
    """Let a folder count as unfinished: the next who needs it builds it again.

    Who holds it goes on holding it.

    :raises OSError: it cannot be written to.
    """
    with suppress(FileNotFoundError):  # somebody else has
        (folder / MANIFEST).rename(folder / _DISCARDED)


def alone(folder: Path, held: ExitStack) -> bool:
    """Keep others from holding a folder until ``held`` is closed, where nobody does."""
    return all(lock_file(folder / name, held) for name in HOLDS)


def lock_file(file: Path, held: ExitStack) -> bool:
    """Lock a file that is there until ``held`` is closed; whether nobody else has it locked.

    Who has the lock of a folder to be built may remove the lock's file: who waits for it sees that.

    :raises OSError: there are no locks, so that nobody knows.
    """
    while True:
        try:
            # To write, because NFS gives nobody a lock of his own for less (flock(2)).
            descriptor = os.open(file, os.O_RDWR | _AT_ONCE)
        except FileNotFoundError:
            return True  # nobody has locked it yet
        except OSError:
            descriptor = os.open(file, os.O_RDONLY | _AT_ONCE)  # a disk that is read-only
        with ExitStack() as mine:
            mine.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if os.fstat(descriptor).st_nlink:
                held.push(mine.pop_all())
                return True


def new_lock(file: Path) -> "filelock.BaseFileLock":
    """A lock whose file is made when it is taken, and which any thread may give back.

    It sees where the file was removed while it was waited for.
    """
    import filelock  # 16 ms, and not needed for what is built already

    # Its other lock is a file that stays, and locks, where its process is killed.
    return filelock.FileLock(file, thread_local=False, fallback_to_soft=False)


@contextmanager
def waiting_for(file: Path) -> Iterator[None]:
    """Hold a lock, and wait for it as long as somebody else does. Not for an event loop.

    :raises OSError: its file cannot be made.
    """
    lock = new_lock(file)
    _acquired(lock, wait=True)
    try:
        yield
    finally:
        lock.release()


@asynccontextmanager
async def locked(
    folder: Path, case: Case, unless: Callable[[], Awaitable[bool]] | None = None
) -> AsyncIterator[bool]:
    """Hold the lock of a folder that may not exist yet, against threads and processes.

    :param unless: whether the folder is built. Asked once the lock is held, and already while it
        is another's, if that one has published meanwhile: of many that wait, none waits for the
        others to look, one after the other.
    :returns: whether the lock is held; else the folder is built.
    :raises OSError: the lock's file cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    published = _publication(folder)
    pause = _FIRST_POLL_SECONDS
    lock = new_lock(folder.with_name(f"{folder.name}{LOCK}"))
    while not _acquired(lock):
        if pause == _FIRST_POLL_SECONDS:
            case.journal.note(f"waiting for another process that is building {folder}")
        if unless and _publication(folder) != published and await unless():
            yield False
            return
        await anyio.sleep(pause)
        pause = min(2 * pause, _POLL_SECONDS)
    try:
        yield unless is None or not await unless()
    finally:
        lock.release()


def _acquired(lock: "filelock.BaseFileLock", *, wait: bool = False) -> bool:
    """Tell whether a lock is held now, or its file system has none.

    :raises OSError: its file cannot be made.
    """
    import filelock

    try:
        lock.acquire(blocking=wait)
    except filelock.Timeout:
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        _log.warning("others may write %s at the same time: %s", lock.lock_file, error)
    return True


def _publication(folder: Path) -> int | None:
    """Return what tells one publication of a folder from the next; ``None`` where there is none."""
    try:
        return (folder / MANIFEST).stat().st_ino
    except OSError:
        return None


@asynccontextmanager
async def staging(folder: Path) -> AsyncIterator[Path]:
    """A folder beside the one to build, gone on leaving; and those of killed builders with it.

    To be called with the lock of ``folder`` held.
    """
    for leftover in folder.parent.glob(f"{folder.name}{BUILDING}*"):
        await anyio.to_thread.run_sync(remove_tree, leftover)
    beside = Path(tempfile.mkdtemp(prefix=f"{folder.name}{BUILDING}", dir=folder.parent))
    try:
        yield beside
    finally:
        await _remove(beside)


def publish(built: Path, folder: Path, manifest: Manifest, beside: Path) -> None:
    """Put what was built in place of whatever is there.

    Who runs in what was there goes on in what was built: it is found by its path.

    :param beside: the staging folder, which takes what was there with it when it goes.
    """
    (built / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    _put(built, folder, beside)


def publish_link(other: Path, folder: Path, beside: Path) -> None:
    """Let ``other``, which is beside it, stand for a folder; as :func:`publish` otherwise."""
    link = beside / "link"
    link.symlink_to(other.name)
    _put(link, folder, beside)


def _put(made: Path, folder: Path, beside: Path) -> None:
    if os.path.lexists(folder):
        folder.rename(beside / "replaced")
    made.rename(folder)


@asynccontextmanager
async def temporary_folder(parent: Path, case: Case) -> AsyncIterator[Path]:
    """A folder for one run, gone after it; those of killed runs are removed before.

    A run holds the lock of its own folder, so what can be locked is nobody's.
    """
    async with locked(parent, case):
        await anyio.to_thread.run_sync(_remove_abandoned, parent)
        folder = Path(tempfile.mkdtemp(dir=parent))
        own = new_lock(folder / LOCK)
        _acquired(own)
    try:
        yield folder
    finally:
        await _remove(folder)
        own.release()


def _remove_abandoned(parent: Path) -> None:
    parent.mkdir(exist_ok=True)
    for folder in parent.iterdir():
        # Where there are no locks, nobody knows what is abandoned.
        with suppress(OSError), ExitStack() as held:
            if lock_file(folder / LOCK, held):
                remove_tree(folder)


async def _remove(folder: Path) -> None:
    """Remove a folder, whatever is cancelled meanwhile."""
    with anyio.CancelScope(shield=True):
        await anyio.to_thread.run_sync(remove_tree, folder)


_refused = set[Path]()
"""Folders that could not be removed."""


def remove_tree(folder: Path, seconds: float = REMOVAL_SECONDS) -> None:
    """Remove a folder, however read-only.

    What refuses is logged, and tried again with the next one and as this process ends: a uv whose
    runner was killed may still be writing there.

    :param seconds: how long it is waited for.
    """
    for one in {folder, *_refused}:
        if remove_folder(str(one), seconds):
            _refused.discard(one)
            continue
        if one == folder:
            _log.warning("%s cannot be removed yet", one)
        _refused.add(one)


@atexit.register
def _remove_refused() -> None:
    for folder in tuple(_refused):
        remove_tree(folder)
