"""A bundle's content as a gzipped tar file, the same bytes for the same content."""

import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from runner.bundle.content import bundle_digest, content_files
from runner.bundle.model import Bundle
from runner.diagnosis.case import Failure

# More than any bundle that is sent to workers, or kept with a study.
_MOST_ENTRIES = 500_000
# A small archive may be made to fill the disk; what has so many bytes seldom packs so well.
_MOST_BYTES, _MOST_TIMES = 1 << 30, 100


def pack(bundle: Bundle, file: IO[bytes], folders: Iterable[str] = ()) -> None:
    """Write a bundle's content.

    :param folders: those of the bundle that are empty, where they are to be there again.
    :raises OSError: a file cannot be read or written.
    """
    # Level 1: what is large in a bundle is data, and the network is seldom slower than gzip.
    with (
        gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name in bundle.files:
            path = bundle.path / name
            entry = tarfile.TarInfo(name)
            if path.is_symlink() and not path.is_file():
                entry.type, entry.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
                tar.addfile(entry)
                continue
            with path.open("rb") as content:
                status = os.fstat(content.fileno())
                entry.size = status.st_size
                entry.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
                tar.addfile(entry, content)
        for name in folders:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)


def extract(file: IO[bytes], folder: Path, folders: Iterable[str] = ()) -> None:
    """Unpack a bundle's content into a folder that is there.

    :param folders: empty ones to make beside.
    :raises OSError: it cannot be read or written.
    :raises ValueError: it is no such archive.
    """
    # By hand: tarfile's safe filters (PEP 706) are not in every 3.10 and 3.11.
    links: list[tuple[str, str]] = []
    made: set[str] = set()
    most = max(_MOST_BYTES, _MOST_TIMES * file.seek(0, os.SEEK_END))
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for number, entry in enumerate(tar):
                if number >= _MOST_ENTRIES:
                    raise ValueError(f"it has more than {_MOST_ENTRIES:,} files")
                path = _within(folder, entry.name)
                if (above := os.path.dirname(path)) not in made:  # noqa: PTH120
                    os.makedirs(above, exist_ok=True)  # noqa: PTH103
                    made.add(above)
                if entry.issym():
                    # Last, so that nothing is written through one.
                    links.append((path, entry.linkname))
                elif entry.isdir():
                    os.makedirs(path, exist_ok=True)  # noqa: PTH103
                elif entry.isfile():
                    content = tar.extractfile(entry)
                    assert content is not None
                    most -= entry.size
                    if most < 0:
                        raise ValueError(f"it would take {_MOST_TIMES} times its size")
                    with open(path, "xb") as extracted:  # noqa: PTH123
                        shutil.copyfileobj(content, extracted)
                        os.fchmod(extracted.fileno(), entry.mode & 0o777)
                else:
                    raise ValueError(f"{entry.name!r} is neither a file nor a link")
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"it is not a whole archive: {error}") from error
    for name in folders:
        os.makedirs(_within(folder, name), exist_ok=True)  # noqa: PTH103
    for path, target in links:
        os.symlink(target, path)  # noqa: PTH211


def check_content(folder: Path, digest: str) -> None:
    """See that a folder has a bundle's content.

    :raises ValueError: it is another content, or none: a model may leave anything in it.
    """
    try:
        found = bundle_digest(folder, content_files(folder))
    except Failure as failure:
        raise ValueError(failure.finding.summary) from failure
    if found != digest:
        raise ValueError(f"what was unpacked has the digest {found}")


def _within(folder: Path, name: str) -> str:
    """:raises ValueError: the name leads out of the folder."""
    # As text: a path object takes longer than to write a small file.
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{name!r} leads out of the bundle")
    return f"{folder}/{name}"
