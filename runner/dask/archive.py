"""A bundle's content as one string of bytes, named by the bundle's digest."""

import gzip
import io
import os
import shutil
import stat
import tarfile
import tempfile
import zlib
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from filelock import FileLock
from msgspec import Struct

from runner.bundle import Bundle
from runner.bundle.content import bundle_digest, content_files
from runner.environment.keys import KEY_DIGITS
from runner.environment.store import BUILDING, MANIFEST, hold


class Archive(Struct, frozen=True):
    """:param digest: the bundle's, ``sha256:...``: what is unpacked must have it again.

    :param name: of the bundle's folder, which its child sees and reports show.
    :param data: a gzipped tar file; ``None``: it lies in ``file``.
    :param file: where it lies on a disk that client and workers share.
    """

    digest: str
    name: str
    data: bytes | None = None
    file: str | None = None

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
    place = folder / archive.digest.removeprefix("sha256:")[:KEY_DIGITS]
    bundle = place / archive.name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{place.name}.lock"):
        if _digest(bundle) == archive.digest and hold(place, holds):
            return bundle
        for leftover in folder.glob(f"{place.name}{BUILDING}*"):
            shutil.rmtree(leftover)
        beside = Path(tempfile.mkdtemp(prefix=f"{place.name}{BUILDING}", dir=folder))
        try:
            content = beside / "content" / archive.name
            content.mkdir(parents=True)
            _extract(archive.read(), content)
            if (found := _digest(content)) != archive.digest:
                raise ValueError(f"what was unpacked has the digest {found}")
            (beside / "content" / MANIFEST).touch()
            if os.path.lexists(place):
                place.rename(beside / "replaced")
            (beside / "content").rename(place)
            hold(place, holds)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return bundle


def _digest(bundle: Path) -> str | None:
    return bundle_digest(bundle, content_files(bundle)) if bundle.is_dir() else None


def _extract(data: bytes, folder: Path) -> None:
    """By hand: tarfile's safe filters (PEP 706) are not in every 3.10 and 3.11."""
    links: list[tuple[Path, str]] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for entry in tar:
                name = PurePosixPath(entry.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{entry.name!r} leads out of the bundle")
                path = folder / name
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
    for path, target in links:
        path.symlink_to(target)
