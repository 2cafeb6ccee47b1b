"""Remembers the digests of a bundle's large files, so that they are not read for each command.

As in git's index, a file is known by its size, its times, its inode and its device: whoever writes
to it changes its ctime, which no program can set. A digest is remembered only where the file had
rested for a while before it was read: else a write that follows within what the file system's clock
can tell apart would not be seen (git's documentation calls this "racy").
"""

import hashlib
import logging
import os
import stat
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from runner.fingerprint import Fingerprint
from runner.stored_files import read_stored, whole_file

_log = logging.getLogger(__name__)

REST_SECONDS = 10.0
"""How long a file must have been as it is. File systems keep times of up to 2 s, and the clock of a
file server is not this machine's."""

_LEAST_BYTES = 64 * 1024
"""A smaller file is read each time: that takes no longer than to look for it here."""

_MOST_FILES = 50_000
_MOST_BUNDLES = 200
_CHECKSUM_BYTES = hashlib.sha256().digest_size


class _Entry(Struct, frozen=True, array_like=True, gc=False):
    """A file as it was when it was read."""

    device: int
    fingerprint: Fingerprint
    digest: bytes

    @classmethod
    def of(cls, status: os.stat_result, digest: bytes) -> "_Entry":
        return cls(status.st_dev, Fingerprint.of(status), digest)


class DigestIndex:
    """The digests of one bundle's files, kept in the runner's cache.

    An index that is damaged, or of another format, is as good as none.
    """

    def __init__(self, cache: Path, bundle: Path) -> None:
        self._file = cache / "digests" / f"{key_of_place(bundle)}.v2"
        self._before = self._read()
        self._now: dict[str, _Entry] = {}

    def known(self, name: str, path: str) -> bytes | None:
        """Return the digest of a file that has not been written to since it was read."""
        entry = self._before.get(name)
        if entry is None:
            return None
        try:
            now = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        if not stat.S_ISREG(now.st_mode) or entry != _Entry.of(now, entry.digest):
            return None
        self._now[name] = entry
        return entry.digest

    def learn(
        self, name: str, before: os.stat_result, after: os.stat_result, digest: bytes
    ) -> None:
        """Remember the digest of a file that was read, where it can be trusted from here on."""
        entry = _Entry.of(after, digest)
        rested = time.time() - max(after.st_mtime, after.st_ctime) > REST_SECONDS
        if (
            after.st_size >= _LEAST_BYTES
            and len(self._now) < _MOST_FILES
            and rested
            and entry == _Entry.of(before, digest)
        ):
            self._now[name] = entry

    def keep(self) -> None:
        """Write down what is known of the files that were asked for or learned, if it is news.

        Where the cache cannot be written to, they are read again the next time.
        """
        if self._now == self._before:
            return
        content = msgspec.msgpack.encode(self._now)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(self._file) as file:
                file.write(hashlib.sha256(content).digest() + content)
            _forget_oldest(self._file.parent)
        except OSError as error:
            _log.info("digests are not remembered: %s", error)

    def _read(self) -> dict[str, _Entry]:
        try:
            written = read_stored(self._file)
            content = written[_CHECKSUM_BYTES:]
            if hashlib.sha256(content).digest() != written[:_CHECKSUM_BYTES]:
                return {}
            return msgspec.msgpack.decode(content, type=dict[str, _Entry])
        except (OSError, ValueError):
            return {}


def key_of_place(bundle: Path) -> str:
    """The name of what the cache keeps of a bundle at its place."""
    return hashlib.sha256(os.fsencode(bundle.resolve())).hexdigest()[:20]


def _forget_oldest(folder: Path) -> None:
    """Bound the folder: whose index is forgotten is read once more."""
    with os.scandir(folder) as entries:
        indexes = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
    for _, path in indexes[:-_MOST_BUNDLES]:
        Path(path).unlink(missing_ok=True)
