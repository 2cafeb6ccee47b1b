"""A bundle's content as one string of bytes, named by what it unpacks to."""

import gzip
import hashlib
import io
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from contextlib import ExitStack
from itertools import count
from pathlib import Path, PurePath, PurePosixPath

import msgspec
from msgspec import Struct

from runner.bundle import Bundle, bundle_digest, content_files
from runner.diagnosis.case import Failure
from runner.environment.cache_key import KEY_DIGITS
from runner.environment.store import BUILDING, LOCK, MANIFEST, alone, hold, waiting_for

# More than any bundle that is sent to workers.
_MOST_ENTRIES = 500_000


class Archive(Struct, frozen=True):
    """:param digest: the bundle's, ``sha256:...``: what is unpacked must have it again.

    :param name: of the bundle's folder, which its child sees and reports show.
    :param data: a gzipped tar file; ``None``: it lies in ``file``.
    :param file: where it lies on a disk that client and workers share.
    :param folders: those that are empty, and so not in the digest.
    """

    digest: str
    name: str
    data: bytes | None = None
    file: str | None = None
    folders: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Return what decides what is unpacked, as hexadecimal digits."""
        decides = msgspec.json.encode((self.digest, self.name, self.folders))
        return hashlib.sha256(decides).hexdigest()

    def read(self) -> bytes:
        if self.data is not None:
            return self.data
        assert self.file is not None
        return Path(self.file).read_bytes()


def pack(bundle: Bundle) -> bytes:
    """The bundle's content as a gzipped tar file.

    :raises OSError: a file cannot be read.
    """
    packed = io.BytesIO()
    # Level 1: what is large in a bundle is data, and the network is seldom slower than gzip.
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name in bundle.files:
            path = bundle.path / name
            entry = tarfile.TarInfo(name)
            if path.is_symlink() and not path.is_file():
                entry.type, entry.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
                tar.addfile(entry)
                continue
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                entry.size = status.st_size
                entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
                tar.addfile(entry, file)
    return packed.getvalue()


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
            shutil.rmtree(leftover)
        beside = Path(tempfile.mkdtemp(prefix=f"{key}{BUILDING}", dir=folder))
        try:
            content = beside / "content" / archive.name
            content.mkdir(parents=True)
            _extract(archive, content)
            _check(archive, content)
            (beside / "content" / MANIFEST).touch()
            if os.path.lexists(place):
                place.rename(beside / "replaced")
            (beside / "content").rename(place)
            hold(place, holds)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return bundle


def _is_whole(archive: Archive, bundle: Path) -> bool:
    try:
        _check(archive, bundle)
    except ValueError:
        return False
    return all((bundle / name).is_dir() for name in archive.folders)


def _check(archive: Archive, bundle: Path) -> None:
    """:raises ValueError: it is another content, or none: a model may leave anything in it."""
    try:
        found = bundle_digest(bundle, content_files(bundle))
    except Failure as failure:
        raise ValueError(failure.finding.summary) from failure
    if found != archive.digest:
        raise ValueError(f"what was unpacked has the digest {found}")


def _in_use(place: Path) -> bool:
    """Tell whether a process holds it, or may: a file system may have no locks."""
    with ExitStack() as held:
        try:
            return not alone(place, held)
        except OSError:
            return True


def _extract(archive: Archive, folder: Path) -> None:
    """By hand: tarfile's safe filters (PEP 706) are not in every 3.10 and 3.11."""
    links: list[tuple[Path, str]] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(archive.read()), mode="r:gz") as tar:
            for number, entry in enumerate(tar):
                if number >= _MOST_ENTRIES:
                    raise ValueError(f"it has more than {_MOST_ENTRIES:,} files")
                path = _within(folder, entry.name)
                path.parent.mkdir(parents=True, exist_ok=True)
                if entry.issym():
                    # Last, so that nothing is written through one.
                    links.append((path, entry.linkname))
                elif entry.isfile():
                    content = tar.extractfile(entry)
                    assert content is not None
                    with path.open("xb") as file:
                        shutil.copyfileobj(content, file)
                    path.chmod(entry.mode & 0o777)
                else:
                    raise ValueError(f"{entry.name!r} is neither a file nor a link")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"it is no whole archive: {error}") from error
    for name in archive.folders:
        _within(folder, name).mkdir(parents=True, exist_ok=True)
    for path, target in links:
        path.symlink_to(target)


def _within(folder: Path, name: str) -> Path:
    """:raises ValueError: the name leads out of the folder."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{name!r} leads out of the bundle")
    return folder / path
