"""A bundle's content as one string of bytes, named by what it unpacks to."""

import hashlib
import io
import os
import tempfile
from contextlib import ExitStack
from itertools import count
from pathlib import Path, PurePath

import msgspec
from msgspec import Struct, field

from runner.bundle.archive import check_content, extract, pack
from runner.bundle.model import Bundle
from runner.environment.cache_key import KEY_DIGITS
from runner.environment.store import BUILDING, LOCK, MANIFEST, alone, hold, waiting_for
from runner.process.guardian import remove_folder
from runner.version import runner_version


class Archive(Struct, frozen=True):
    """:param digest: the bundle's, ``sha256:...``: what is unpacked must have it again.

    :param name: of the bundle's folder, which its child sees and reports show.
    :param data: a gzipped tar file; ``None``: it lies in ``file``.
    :param file: where it lies on a disk that client and workers share.
    :param folders: those that are empty, and so not in the digest.
    :param runner: the version of modelops-runner that sends it.
    """

    digest: str
    name: str
    data: bytes | None = None
    file: str | None = None
    folders: tuple[str, ...] = ()
    runner: str = field(default_factory=runner_version)

    @property
    def key(self) -> str:
        """Return what decides what is unpacked and who reads it, as hexadecimal digits."""
        decides = msgspec.json.encode((self.digest, self.name, self.folders, self.runner))
        return hashlib.sha256(decides).hexdigest()

    def read(self) -> bytes:
        if self.data is not None:
            return self.data
        assert self.file is not None
        return Path(self.file).read_bytes()


def packed(bundle: Bundle) -> bytes:
    """The bundle's content as a gzipped tar file.

    :raises OSError: a file cannot be read.
    """
    archive = io.BytesIO()
    pack(bundle, archive)
    return archive.getvalue()


def unpack(archive: Archive, folder: Path, holds: ExitStack) -> Path:
    """Where the bundle is, unpacked under ``folder`` unless it is there already, and whole.

    Any number of processes may ask for the same one: one unpacks it, the others wait. It is not
    pruned until ``holds`` is closed.

    :returns: the bundle's own folder.
    :raises OSError: it cannot be read or written.
    :raises ValueError: it is not an archive of what it is named for.
    """
    if PurePath(archive.name).name != archive.name or archive.name in ("", ".", ".."):
        raise ValueError(f"{archive.name!r} is not the name of a folder")
    folder.mkdir(parents=True, exist_ok=True)
    key = archive.key[:KEY_DIGITS]
    with waiting_for(folder / f"{key}{LOCK}"):
        # A model may write into its folder, and others run in it: they keep theirs as it is.
        for number in count(1):
            place = folder / (key if number == 1 else f"{key}-{number}")
            bundle = place / archive.name
            if _is_whole(archive, bundle) and hold(place, holds):
                return bundle
            if not _in_use(place):
                break
        for leftover in folder.glob(f"{key}{BUILDING}*"):
            remove_folder(str(leftover))
        beside = Path(tempfile.mkdtemp(prefix=f"{key}{BUILDING}", dir=folder))
        try:
            content = beside / "content" / archive.name
            content.mkdir(parents=True)
            extract(io.BytesIO(archive.read()), content, archive.folders)
            check_content(content, archive.digest)
            (beside / "content" / MANIFEST).touch()
            if os.path.lexists(place):
                place.rename(beside / "replaced")
            (beside / "content").rename(place)
            hold(place, holds)
        finally:
            remove_folder(str(beside))
    return bundle


def _is_whole(archive: Archive, bundle: Path) -> bool:
    try:
        check_content(bundle, archive.digest)
    except ValueError:
        return False
    return all((bundle / name).is_dir() for name in archive.folders)


def _in_use(place: Path) -> bool:
    """Tell whether a process holds it, or may: a file system may have no locks."""
    with ExitStack() as held:
        try:
            return not alone(place, held)
        except OSError:
            return True
